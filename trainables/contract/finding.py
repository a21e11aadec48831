"""What a contract check found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal


class ContractError(AssertionError):
    """An architecture breaks a contract; the message says which, where and by how much."""


Outcome = Literal["passed", "failed", "expected_violation", "not_declared"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What became of one contract."""

    contract: str
    outcome: Outcome
    """`expected_violation`: declared in `violates`, and really broken. `not_declared`: there is nothing to
    check, because no reference is declared."""
    expected: str
    """What the contract demands."""
    found: str = ""
    """What was found instead, where the contract failed."""
    error: Exception | None = None
    """What the code under check raised by itself, if that is how the contract failed."""


def examine(contract: str, function: Callable[..., None], run: Callable[[], None]) -> Finding:
    """Run one check and turn its end into a finding; `function` is the check whose docstring says what is due."""
    expected = " ".join((function.__doc__ or "").split()).rstrip(".")
    try:
        run()
    except ContractError as error:
        return Finding(contract=contract, outcome="failed", expected=expected, found=str(error))
    except Exception as error:  # noqa: BLE001  code under check may raise anything, and that is the finding
        found = " ".join(f"{type(error).__name__}: {error}".split())
        return Finding(contract=contract, outcome="failed", expected=expected, found=found, error=error)
    return Finding(contract=contract, outcome="passed", expected=expected)
