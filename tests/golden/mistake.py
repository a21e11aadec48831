"""A user's mistake: the command line, what is wrong with the study, and what the platform answers."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

from sweeps.cli import app as cli
from tests.support.sweeps.studies import MEASURING, STUDY

VALID = STUDY.format(seeds=2, steps=20, report_every=10)
"""The study `tiny.yaml` before anything is wrong with it."""

ROOT = Path(__file__).parents[2]
PLAN = ("plan", "tiny.yaml")
UNSET = {
    "MLFLOW_TRACKING_URI",
    "PHASESWEEP_DATA",
    "RAY_ADDRESS",
    "RAY_API_SERVER_ADDRESS",
    "RAY_AUTH_MODE",
    "RAY_AUTH_TOKEN",
}


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """What a user types, in a folder that holds `tiny.yaml`."""

    arguments: tuple[str, ...] = PLAN
    replace: tuple[str, str] | None = None
    """What stands in the study, and what the user writes instead."""
    environment: dict[str, str] = field(default_factory=dict)
    prepare: Callable[[Path], None] | None = None
    """Puts more into the folder."""
    hides_numbers: bool = False
    """The answer holds numbers of the machine it is given on."""

    @property
    def command(self) -> str:
        """The command line, environment included."""
        settings = [f"{key}={shlex.quote(value)}" for key, value in self.environment.items()]
        return " ".join([*settings, shlex.join(["phasesweep", *self.arguments])])


@dataclass(frozen=True)
class Answer:
    """What the platform answers, with places of this machine replaced by names."""

    exit_code: int
    out: str
    err: str
    touched: bool
    """Whether anything has changed where results lie."""


def edit(old: str, new: str) -> Mistake:
    """Return the mistake of writing `new` where `old` belongs."""
    return Mistake(replace=(old, new))


def sets(*texts: str) -> Mistake:
    """Return the mistake of giving such overrides."""
    return Mistake(arguments=(*PLAN, *(part for text in texts for part in ("--set", text))))


def answer(mistake: Mistake, folder: Path) -> Answer:
    """Commit a mistake in the empty `folder`, in this process.

    Raises:
        ValueError: If the study does not hold what the mistake replaces.
    """
    old, new = mistake.replace or ("", "")
    if old not in VALID:
        raise ValueError(f"the study holds no {old!r}")
    (folder / "tiny.yaml").write_text(VALID.replace(old, new, 1), encoding="utf-8")
    if mistake.prepare:
        mistake.prepare(folder)
    before = _contents(folder / "results")
    with _user_at(folder, mistake), io.StringIO() as out, io.StringIO() as err:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            exit_code = _exit_code()
        texts = [_placed(stream.getvalue(), folder, mistake) for stream in (out, err)]
    return Answer(exit_code, *texts, touched=_contents(folder / "results") != before)


def _exit_code() -> int:
    try:
        cli.main()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return 0


@contextlib.contextmanager
def _user_at(folder: Path, mistake: Mistake) -> Iterator[None]:
    """Be a user whose working folder is `folder`, in whose environment only what is given is set."""
    given = {"PHASESWEEP_RESULTS": str(folder / "results"), "HF_HOME": str(folder / "hub"), "COLUMNS": "100"}
    with (
        contextlib.chdir(folder),
        mock.patch.dict(os.environ, {**given, **mistake.environment}),
        mock.patch.object(sys, "argv", ["phasesweep", *mistake.arguments]),
        mock.patch.object(sys.modules["__main__"], "__package__", ""),  # or click calls it by pytest's name
    ):
        for name in UNSET - mistake.environment.keys():
            os.environ.pop(name, None)
        yield


def _contents(folder: Path) -> dict[str, bytes] | None:
    if not folder.is_dir():
        return {"": folder.read_bytes()} if folder.exists() else None
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def _placed(text: str, folder: Path, mistake: Mistake) -> str:
    """Return `text` without what differs from machine to machine."""
    for path, name in ((folder.resolve(), "<folder>"), (folder, "<folder>"), (ROOT, "<phasesweep>")):
        text = text.replace(str(path), name)
    text = MEASURING.sub("", text)
    return re.sub(r"\d+", "<number>", text) if mistake.hides_numbers else text
