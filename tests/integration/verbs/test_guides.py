"""The guides are true: commands run, in order, in a fresh folder; studies are valid; links lead somewhere.

Looking at commands, studies and links is quick and done for every guide, and so is running the commands that start
neither a sweep nor a server, where the sweep that a guide goes on from is the session's. As a whole, all guides run
in the slow tests.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer

from sweeps.cli import app as cli
from sweeps.errors import EXIT_INTERRUPTED
from sweeps.studies.resolve import load_study
from sweeps.studies.yaml_file import YamlSource
from tests.support.machine.head_node import obeying_ctrl_c
from tests.support.machine.waiting import answers, wait_for
from tests.support.models.sizes import unmeasured
from tests.support.sweeps import guides
from tests.support.sweeps.finished_sweep import STUDY, FinishedSweep
from tests.support.sweeps.guides import ROOT, Block
from tests.support.sweeps.studies import environment, two_cores
from tests.support.sweeps.verbs import Call, caller

FIRST_SWEEP = "first_sweep.md"
"""The guide that runs the sweep that `finished` holds."""
KNOWN_COMMENTS = {"skip", "serves", "exit", "cluster"}

STARTING = {"run", "resume", "submit", "ui"}
"""Verbs that start a sweep or a server."""
READING = {
    "ablate",
    "best",
    "enqueue",
    "importance",
    "status",
    "logs",
    "stop",
    "report",
    "results",
    "curves",
    "compare",
    "aggregate",
    "export",
    "gc",
    "sync",
}
"""Verbs that need a sweep which has run."""

GUIDES = guides.names()
WITH_COMMANDS = [name for name in GUIDES if any(block.language == "bash" for block in guides.blocks(name))]
_HERE_DOCUMENT = re.compile(r"<<'(\w+)'.*?^\1$", re.DOTALL | re.MULTILINE)


def commands(text: str) -> Iterator[list[str]]:
    """Yield the arguments of every `phasesweep` in lines for a shell."""
    text = _HERE_DOCUMENT.sub("", text).replace("\\\n", " ")
    for line in text.splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=";|&<>()")
        lexer.whitespace_split = True
        lexer.commenters = "#"
        command: list[str] = []
        for word in [*lexer, ";"]:
            if set(word) <= set(";|&<>()"):
                if command and Path(command[0]).name == "phasesweep":
                    yield command[1:]
                command = []
            elif command or not re.match(r"\w+=", word):  # variables may stand before a command
                command.append(word)


@pytest.mark.parametrize("guide", GUIDES)
def test_every_comment_is_understood(guide: str) -> None:
    for block in guides.blocks(guide):
        if block.test:
            word = re.split(r"[ ,]", block.test)[0]
            assert word in KNOWN_COMMENTS, block.place
            assert word == "cluster" or block.argument(word), f"{block.place}: say more after `{word}`"
            assert block.language == "bash", f"{block.place}: only commands are run"


@pytest.mark.parametrize("guide", [*WITH_COMMANDS, "../../README.md"])
def test_its_commands_exist_with_their_options(guide: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    guides.write_files(guide, tmp_path)
    program: Any = typer.main.get_command(cli.app)
    for block in guides.blocks(guide):
        if block.language != "bash":
            continue
        for arguments in commands(block.text):
            try:
                outer = program.make_context("phasesweep", list(arguments))
                name, verb, rest = program.resolve_command(outer, [*outer._protected_args, *outer.args])
                verb.make_context(name, rest, parent=outer)
            except Exception as error:  # noqa: BLE001  typer's errors have no public name
                pytest.fail(f"{block.place}: phasesweep {shlex.join(arguments)}: {error}")


@pytest.mark.parametrize("guide", GUIDES)
def test_its_studies_are_valid_at_every_scale(guide: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    guides.write_files(guide, tmp_path)
    monkeypatch.chdir(tmp_path)
    for path in sorted(tmp_path.rglob("*.yaml")):
        data = YamlSource.read(path).data
        if not isinstance(data, dict) or "format_version" not in data:
            continue  # no study
        for scale in data["scales"]:
            load_study(str(path), scale)


PAGES = [
    *ROOT.glob("*.md"),
    *sorted((ROOT / "docs").rglob("*.md")),
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_and_headings(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue  # elsewhere
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), f"{page.relative_to(ROOT)}: {target}"
        if anchor:
            assert anchor in headings(linked), f"{page.relative_to(ROOT)}: {target}"


def headings(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    lines = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-") for line in lines}


def test_the_first_guide_runs_the_sweep_that_the_others_are_tested_with() -> None:
    text = "".join(block.text for block in guides.blocks(FIRST_SWEEP) if block.language == "bash")
    assert ["run", *STUDY] in list(commands(text))


def test_the_index_names_every_guide() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    missing = [name for name in GUIDES if f"(guides/{name})" not in index]
    assert not missing


class Reader:
    """Follows guides word by word, each once, in a folder of its own or of the guide that it goes on from."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folders: dict[str, Path] = {}

    def follow(self, guide: str) -> None:
        """Run a guide's commands; what it goes on from comes first."""
        if guide in self.folders:
            return
        before = guides.goes_on_after(guide)
        if before:
            self.follow(before)
        folder = self.folders[before] if before else self.root / guide.removesuffix(".md")
        folder.mkdir(exist_ok=True)
        guides.write_files(guide, folder)
        for block in guides.blocks(guide):
            if block.language == "bash" and block.argument("skip") is None and block.argument("cluster") is None:
                run(block, folder)
        self.folders[guide] = folder


def run(block: Block, folder: Path) -> None:
    """Run a block as a user with `phasesweep` on the PATH, and check how it ends."""
    unset = {"PHASESWEEP_RESULTS", "MLFLOW_TRACKING_URI", "RAY_ADDRESS"}
    own = {key: value for key, value in environment(folder).items() if key not in unset}
    binaries = Path(sys.executable).parent
    with two_cores(), obeying_ctrl_c():
        process = subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", block.text],
            cwd=folder,
            env={**own, "PATH": f"{binaries}{os.pathsep}{own['PATH']}", "VIRTUAL_ENV": str(binaries.parent)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
    address = block.argument("serves")
    has_answered = False
    try:
        if address is not None:
            wait_for(lambda: answers(address) or process.poll() is not None, address)
            has_answered = process.poll() is None
            if has_answered:
                os.killpg(process.pid, signal.SIGINT)
        output, _ = process.communicate()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    expected = EXIT_INTERRUPTED if has_answered else int(block.argument("exit") or 0)
    assert process.returncode == expected, f"{block.place}:\n{block.text}\n{output}"
    assert has_answered or address is None, f"{block.place}: nothing answered at {address}:\n{output}"
    assert "Traceback" not in output, f"{block.place}:\n{output}"


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    """Return somebody who has read nothing yet."""
    return Reader(tmp_path_factory.mktemp("guides"))


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.parametrize("guide", WITH_COMMANDS)
def test_following_it_works(guide: str, reader: Reader) -> None:
    reader.follow(guide)


def run_what_is_quick(block: Block, folder: Path, call: Call, skipped: set[str]) -> int:
    """Run a block without the lines that have a verb of `skipped`; return how many commands ran.

    Ours run in this process, which has imported everything already; the rest is the shell's.
    """
    expected = int(block.argument("exit") or 0)
    if not list(commands(block.text)):
        run(block, folder)
        return 1
    num_run = 0
    for line in block.text.replace("\\\n", " ").splitlines():
        ours = list(commands(line))
        if any(arguments[0] in skipped for arguments in ours):
            continue
        for arguments in ours:
            ended = call(*arguments)
            assert ended.code == expected, f"{block.place}: {line}\n{ended.out}{ended.err}"
            num_run += 1
        if not ours:
            run(replace(block, text=line, test=""), folder)
    return num_run


@pytest.mark.ray
@pytest.mark.parametrize("guide", WITH_COMMANDS)
def test_its_quick_commands_work(
    guide: str,
    finished: FinishedSweep,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In the folder of a finished sweep, for the guide that runs that sweep and those that go on from it."""
    runnable = [
        block
        for block in guides.blocks(guide)
        if block.language == "bash" and block.argument("skip") is None and block.argument("cluster") is None
    ]
    if not runnable:
        assert guide == "on_a_cluster.md"  # its commands run in test_jobs.py
        return
    before = guides.goes_on_after(guide)
    assert before in {None, FIRST_SWEEP}, "a sweep that no test of the normal ones runs"
    has_sweep = FIRST_SWEEP in {guide, before}
    folder = tmp_path / "here"
    if has_sweep:
        finished.copy_to(folder)
    else:
        folder.mkdir()
    guides.write_files(guide, folder)
    skipped = STARTING if has_sweep else STARTING | READING
    call = caller(folder, monkeypatch, capsys)
    with unmeasured():
        assert sum(run_what_is_quick(block, folder, call, skipped) for block in runnable)
