"""The result of a contract check."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal


class ContractError(AssertionError):
    """A broken contract; the message says which, where and by how much."""


Outcome = Literal["passed", "failed", "expected_violation", "not_declared"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The result of checking one contract."""

    contract: str
    outcome: Outcome
    """`expected_violation`: declared in `violates`, and really broken. `not_declared`: nothing to
    check, because no reference is declared, or no state from which a sequence can be continued."""
    expected: str
    """What the contract requires."""
    found: str = ""
    """What was found instead, if the contract failed."""
    error: Exception | None = None
    """Exception raised by the code under check, if that is how the contract failed."""


def examine(contract: str, function: Callable[..., None], run: Callable[[], None]) -> Finding:
    """Run one check and return its finding; the docstring of the check `function` states what is expected."""
    expected = " ".join((function.__doc__ or "").split()).rstrip(".")
    try:
        run()
    except ContractError as error:
        return Finding(contract=contract, outcome="failed", expected=expected, found=str(error))
    except Exception as error:  # noqa: BLE001  code under check may raise anything, and that is the finding
        found = " ".join(f"{type(error).__name__}: {error}".split())
        return Finding(contract=contract, outcome="failed", expected=expected, found=found, error=error)
    return Finding(contract=contract, outcome="passed", expected=expected)
