"""Mistakes of the user: said once, with what to do; exit code 2, nothing started."""

from __future__ import annotations

from search_spaces.suggestions import nearest

__all__ = ["EXIT_DONE", "EXIT_FAILURES", "EXIT_INTERRUPTED", "EXIT_USER_ERROR", "UserError", "nearest"]

EXIT_DONE = 0
EXIT_FAILURES = 1
EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130


class UserError(Exception):
    """A mistake the user can mend. The message names where, what, the nearest valid name and what to do."""
