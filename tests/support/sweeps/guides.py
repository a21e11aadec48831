"""The guides as tests see them: their fenced blocks, and what a comment before a block says of it.

    <!-- test: after first_sweep.md -->     the guide goes on in the folder of that guide
    <!-- file: my_study.yaml -->            the block is this file; it is written before any command runs
    <!-- test: skip, it needs a GPU -->    the block is not run; the reason is part of it
    <!-- test: serves http://… -->          the block runs until MLflow answers there, then is ended by Ctrl-C
    <!-- test: exit 1 -->                   the block ends with this code instead of 0
    <!-- test: cluster -->                  the block runs in the test that has a cluster

A block of `bash` without a comment runs as it stands. Other languages are shown only, unless they are a file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[3]
GUIDES = ROOT / "docs" / "guides"

_COMMENT = re.compile(r"<!-- (file|test): (.+?) -->")
_FENCE = re.compile(r"```(\w*)")


@dataclass(frozen=True)
class Block:
    """A fenced block of a guide."""

    guide: str
    line: int
    """Of its first line of text, from 1."""
    language: str
    text: str
    file: str = ""
    """Name of the file that the block is; empty if it is none."""
    test: str = ""
    """What the comment says after `test:`; empty if there is none."""

    @property
    def place(self) -> str:
        """Where it stands, for messages."""
        return f"docs/guides/{self.guide}:{self.line}"

    def argument(self, word: str) -> str | None:
        """Return what follows `word` in the comment; None if the comment says something else."""
        first, _, rest = self.test.partition(" ")
        return rest.strip() if first.rstrip(",") == word else None


def names() -> list[str]:
    """Return the file names of all guides."""
    return sorted(path.name for path in GUIDES.glob("*.md"))


def blocks(guide: str) -> list[Block]:
    """Return the blocks of a guide in order.

    Raises:
        ValueError: If a comment stands before no block, or a fence has no language or no end.
    """
    found: list[Block] = []
    comment: tuple[str, str] | None = None
    lines = iter(enumerate((GUIDES / guide).read_text(encoding="utf-8").splitlines(), start=1))
    for number, line in lines:
        if match := _COMMENT.fullmatch(line.strip()):
            if match[2].startswith("after "):
                continue  # of the whole guide
            comment = (match[1], match[2])
        elif match := _FENCE.match(line):
            text = []
            for _, inner in lines:
                if inner.startswith("```"):
                    break
                text.append(inner)
            else:
                raise ValueError(f"{guide}:{number}: the block has no end")
            if not match[1]:
                raise ValueError(f"{guide}:{number}: the block names no language")
            kind, said = comment or ("", "")
            comment = None
            found.append(
                Block(
                    guide,
                    number + 1,
                    match[1],
                    "\n".join(text) + "\n",
                    file=said if kind == "file" else "",
                    test=said if kind == "test" else "",
                )
            )
        elif line.strip() and comment is not None:
            raise ValueError(f"{guide}:{number}: the comment '{comment[0]}: {comment[1]}' stands before no block")
    return found


def goes_on_after(guide: str) -> str | None:
    """Return the guide in whose folder this one goes on; None if it starts in a fresh one."""
    match = re.search(r"<!-- test: after (\S+) -->", (GUIDES / guide).read_text(encoding="utf-8"))
    return match[1] if match else None


def write_files(guide: str, folder: Path) -> None:
    """Write the blocks that are files."""
    for block in blocks(guide):
        if block.file:
            path = folder / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
