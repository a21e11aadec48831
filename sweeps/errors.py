"""User errors: one message that says what to do; exit code 2, nothing started."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from search_spaces.suggestions import nearest

__all__ = [
    "EXIT_DONE",
    "EXIT_FAILURES",
    "EXIT_INTERRUPTED",
    "EXIT_USER_ERROR",
    "UserError",
    "first_few",
    "nearest",
    "writing",
]

EXIT_DONE = 0
EXIT_FAILURES = 1
EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130


MAX_NAMED = 4
"""Names that a message lists before it counts the rest."""


class UserError(Exception):
    """A mistake the user can fix. The message names where, what, the nearest valid name and what to do."""


@contextmanager
def writing(what: str, cure: str = "") -> Iterator[None]:
    """Report what cannot be written: `what` is an option with its value, or a path."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{what}: cannot be written: {error}{cure}") from error


def first_few(names: Sequence[str], most: int = MAX_NAMED) -> str:
    """Return the first names, and how many more there are."""
    more = [f"{len(names) - most} more"] if names[most:] else []
    return ", ".join([*names[:most], *more])
