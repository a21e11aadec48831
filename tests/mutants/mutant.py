"""What a planted defect is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


class StaleMutantError(Exception):
    """A mutant whose text is not in the source exactly once: the code has moved on, and it must follow."""


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One small change of the source that a named test must notice."""

    name: str
    meaning: str
    """What would be wrong with the platform, in a line."""
    file: str
    """Path from the root of the repository."""
    old: str
    """Text that stands in `file` exactly once."""
    new: str
    """What replaces it."""
    caught_by: str
    """Node id of the test that must fail; without brackets, one of its cases must."""
    is_slow: bool = False
    """Whether that test is left out of `make test`, which then does not notice the defect."""

    @property
    def test_file(self) -> str:
        """Path of the test's file from the root of the repository."""
        return self.caught_by.partition("::")[0]

    @property
    def test_function(self) -> str:
        """Name of the test function, without its parameters."""
        return self.caught_by.rpartition("::")[2].partition("[")[0]

    def catches(self, node_id: str) -> bool:
        """Return whether a failure of `node_id` is the one that was asked for."""
        return node_id == self.caught_by or node_id.startswith(f"{self.caught_by}[")

    def planted(self, tree: Path) -> str:
        """Return the text of `file` in `tree` with the defect in it.

        Raises:
            StaleMutantError: If `old` is not there exactly once.
        """
        text = (tree / self.file).read_text(encoding="utf-8")
        count = text.count(self.old)
        if count != 1:
            raise StaleMutantError(f"{self.name}: {self.file} holds its text {count} times, not once: {self.old!r}")
        return text.replace(self.old, self.new)
