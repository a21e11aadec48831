"""The result of a contract check."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal


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


def check_violations(declared: Set[str], checks: Mapping[str, object]) -> None:
    """What `violates` declares must be names of contracts."""
    unknown = declared - checks.keys()
    if unknown:
        raise ContractError(f"declares unknown contracts {sorted(unknown)}; known: {', '.join(checks)}")


def check_broken(contract: str, function: Callable[..., None], *checked: Any) -> None:
    """Check that a contract is broken, as declared."""
    try:
        function(*checked)
    except ContractError:
        return
    raise ContractError(f"declares that it violates '{contract}', but keeps it")


def examine_all(checks: Mapping[str, Callable[..., None]], violates: Set[str], *checked: Any) -> Iterator[Finding]:
    """Check every contract, in reverse what is declared in `violates`, and yield each finding."""
    for contract, function in checks.items():
        if contract not in violates:
            yield examine(contract, function, partial(function, *checked))
            continue
        finding = examine(contract, function, partial(check_broken, contract, function, *checked))
        yield replace(finding, outcome="expected_violation") if finding.outcome == "passed" else finding
