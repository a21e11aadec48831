"""Mistakes in how a verb is called, and verbs called where they have nothing to work on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.golden.mistake import Mistake
from tests.golden.study_mistakes import MARKER
from tests.support.sweeps.journals import journal_events, write_journal

LONG = 300 * "a"

PLUGIN = '''\
from typing import Literal

from trainables.architectures.gpt import BackboneConfig
from trainables.registry import register_architecture


@register_architecture("NAME", version=1)
class MyConfig(BackboneConfig):
    """Mine."""

    name: Literal["NAME"] = "NAME"
'''


def of(*arguments: str) -> Mistake:
    """Return the mistake of typing this, where nothing has run yet."""
    return Mistake(arguments=arguments)


def after_a_run(*arguments: str) -> Mistake:
    """Return the mistake of typing this where `tiny` has run at the laptop scale."""

    def prepare(folder: Path) -> None:
        results = folder / "results" / "tiny" / "laptop"
        events = journal_events({"transformer": 2.5, "kuramoto": 2.4}, seeds=range(2), study="tiny")
        write_journal(results / "journal" / "a.jsonl", events)
        (results / "study.yaml").write_text(f"{MARKER}arms: {{}}\n", encoding="utf-8")

    return Mistake(arguments=arguments, prepare=prepare)


def a_run_and_a_stranger(folder: Path) -> None:
    prepare = after_a_run().prepare
    assert prepare is not None
    prepare(folder)
    write_journal(folder / "stranger.jsonl", journal_events({"stranger": 2.0}, seeds=range(1)))


def with_file(name: str, text: str, *arguments: str) -> Mistake:
    """Return the mistake of typing this beside a file of the user's own."""

    def prepare(folder: Path) -> None:
        (folder / name).write_text(text, encoding="utf-8")

    return Mistake(arguments=arguments, prepare=prepare)


def with_plugin(text: str, verb: Callable[[str], tuple[str, ...]]) -> Mistake:
    """Return the mistake of naming the plugin `mine.py` with this text."""
    return with_file("mine.py", text, *verb("mine.py"))


def used(path: str) -> tuple[str, ...]:
    return ("plan", "tiny.yaml", "--plugin", path)


def checked(path: str) -> tuple[str, ...]:
    return ("check", path)


def submits(*arguments: str, **environment: str) -> Mistake:
    return Mistake(arguments=("submit", "tiny.yaml", *arguments), environment=environment)


CALLS = {
    "unknown verb": of("runn", "tiny.yaml"),
    "unknown option": of("run", "tiny.yaml", "--seeds", "3"),
    "no study": of("run"),
    "two studies": of("run", "tiny.yaml", "quickstart"),
    "no hours": of("run", "tiny.yaml", "--max-hours", "0"),
    "hours as a word": of("run", "tiny.yaml", "--max-hours", "two"),
    "no trials": of("resume", "tiny.yaml", "--max-trials", "0"),
    "resume of what": of("resume", "tiny.yaml", "--fail"),
    "unknown schema": of("schema", "plans"),
    "estimate an unknown arm": of("estimate", "tiny.yaml", "--arm", "kuramotto"),
    "unknown space": of("spaces", "kuramotto"),
    "claims of an unknown study": of("claims", "kuramoto_phase"),
    "ui on no port": of("ui", "--port", "0"),
    "diagnose an unknown encoding": of("diagnose", "--encoding", "22_7"),
    "diagnose one position": of("diagnose", "--positions", "1"),
    "diagnose an odd width": of("diagnose", "--width", "7"),
    "diagnose into a file": with_file("here", "", "diagnose", "--encoding", "pi", "--to", "here"),
    "diagnose into unknown figures": of("diagnose", "--figures", "svgz"),
    "diagnose the seed of an encoding": of("diagnose", "--seed", "1"),
    "diagnose the encoding of a study": of("diagnose", "tiny.yaml", "--encoding", "pi"),
    "diagnose an unknown arm": of("diagnose", "tiny.yaml:kuramotto"),
    "diagnose an unknown study": of("diagnose", "quickstrt:kuramoto_K1"),
    "diagnose sequences longer than the text": of("diagnose", "tiny.yaml:kuramoto", "--length", "999999"),
}

RESULTS = {
    "results that do not exist": of("results", "tiny.yaml"),
    "results of an unknown metric": after_a_run("results", "tiny.yaml", "--metric", "val/perplexty"),
    "logs of nothing": of("logs", "tiny.yaml"),
    "logs of an unknown arm": after_a_run("logs", "tiny.yaml", "kuramotto"),
    "arm of logs as an option": after_a_run("logs", "tiny.yaml", "--arm"),
    "plan of results where no folder can be": Mistake(environment={"PHASESWEEP_RESULTS": "/proc/nowhere"}),
    "logs of an unknown seed": after_a_run("logs", "tiny.yaml", "kuramoto", "--seed", "7"),
    "logs that follow and end": after_a_run("logs", "tiny.yaml", "--follow", "--json"),
    "gc that keeps what": after_a_run("gc", "tiny.yaml", "--keep", "newest"),
    "gc of nothing": of("gc", "tiny.yaml"),
    "sync of nothing": of("sync", "tiny.yaml"),
    "stop of an unknown study": of("stop", "quickstrt"),
    "compare nothing": of("compare", "quickstart", "tiny.yaml"),
    "compare a list": with_file("list.yaml", "- study: tiny\n", "compare", "list.yaml", "quickstart"),
    "export into a file": after_a_run("export", "tiny.yaml", "--to", "tiny.yaml/rows.csv"),
    "curves into a file": after_a_run("curves", "tiny.yaml", "--to", "tiny.yaml/curves.svg"),
    "report into a file": after_a_run("report", "tiny.yaml", "--to", "tiny.yaml/page.html"),
    "compare an unknown study": after_a_run("compare", "tiny", "tny"),
    "compare at an unknown scale": after_a_run("compare", "tiny@smoke:kuramoto", ":transformer"),
    "compare with an unknown arm": after_a_run("compare", "tiny:kuramoto", ":transfomer"),
    "compare an arm with itself": after_a_run("compare", "tiny:kuramoto", ":kuramoto"),
    "compare a sweep with itself": after_a_run("compare", "tiny", "tiny"),
    "compare an arm with a sweep": after_a_run("compare", "tiny:kuramoto", "tiny"),
    "compare with no first sweep": after_a_run("compare", ":kuramoto", "tiny"),
    "compare a missing journal": after_a_run("compare", "tiny", "nowhere.jsonl"),
    "compare by an unknown metric": after_a_run(
        "compare", "tiny:kuramoto", ":transformer", "--metric", "val/perplexty"
    ),
    "compare what has no arm in common": Mistake(
        arguments=("compare", "tiny", "stranger.jsonl"), prepare=a_run_and_a_stranger
    ),
    "curves at a step between reports": after_a_run("curves", "tiny.yaml", "--at", "1"),
    "curves at no step": after_a_run("curves", "tiny.yaml", "--at", "last"),
    "curves into a table": after_a_run("curves", "tiny.yaml", "--to", "curves.csv"),
    "curves of a probe at the end": after_a_run("curves", "tiny.yaml", "--metric", "probe/leak"),
    "export without a file": after_a_run("export", "tiny.yaml"),
    "export to a spreadsheet": after_a_run("export", "tiny.yaml", "--to", "table.xlsx"),
    "export of what": after_a_run("export", "tiny.yaml", "--to", "table.csv", "--what", "replicate"),
    "export over a file": with_file("table.csv", "mine", "export", "tiny.yaml", "--to", "table.csv"),
    "export of nothing": of("export", "tiny.yaml", "--to", "table.csv"),
}

TRIP = """\
format_version: 1
campaign: trip
title: One study
phases:
  one:
    title: The only phase
    studies: [{study: tiny.yaml}]
"""


def with_campaign(wrong: str, instead: str) -> Mistake:
    """Return the mistake of writing `instead` where `wrong` belongs in a campaign."""
    return with_file("trip.yaml", TRIP.replace(wrong, instead), "plan", "trip.yaml")


CAMPAIGNS = {
    "campaign through an unknown phase": of("run", "pi_spiral", "--through", "phase11"),
    "campaign with an override": of("run", "pi_spiral", "--set", "seeds=2"),
    "campaign at an unknown scale": of("status", "pi_spiral", "--scale", "laptops"),
    "results of a campaign by a metric": of("results", "pi_spiral", "--metric", "val/loss"),
    "study through a phase": of("run", "tiny.yaml", "--through", "phase2"),
    "campaign with a misspelt key": with_campaign("studies:", "study:"),
    "campaign of a study that is not there": with_campaign("tiny.yaml", "tny.yaml"),
    "campaign with a gate of no claim": with_campaign("}]", '}]\n    gates: ["tiny:K7"]'),
    "campaign with a phase after none": with_campaign("title: The", "after: [zero]\n    title: The"),
}

SCAFFOLDS = {
    **{
        f"{words[0]} of a file whose name is too long": of(*words)
        for words in (
            ("new", "mine", "--to", f"{LONG}.yaml"),
            ("plan", f"{LONG}.yaml"),
            ("check", f"{LONG}.py"),
            ("export", "quickstart", "--to", f"{LONG}.csv"),
            ("lint", f"{LONG}.md"),
        )
    },
    "new with a blank": of("new", "My study"),
    "new in the library": of("new", "quickstart"),
    "new over a study": of("new", "tiny"),
    "new that is no YAML": of("new", "mine", "--to", "mine.txt"),
    "new of an unknown architecture": of("new", "mine", "--architecture", "kuramotto"),
    "new of an unknown task": of("new", "mine", "--task", "langage"),
    "new from an unknown study": of("new", "mine", "--from", "quickstrt"),
    "new from a study with another task": of("new", "mine", "--from", "quickstart", "--task", "language"),
}

JOBS = {
    "submit with a relative HF_HOME": submits(HF_HOME="hub", PHASESWEEP_RESULTS="/shared/results"),
    "submit with results at home": submits(PHASESWEEP_RESULTS="~/results"),
    "submit to no cluster": submits(),
    "submit with results nowhere": submits(PHASESWEEP_RESULTS=""),
    "submit with relative results": submits(PHASESWEEP_RESULTS="results"),
    "submit with relative data": submits(PHASESWEEP_DATA="corpora", RAY_ADDRESS="http://head:8265"),
    "submit to the wrong port": submits("--address", "ray://head:10001"),
    "submit to whatever is here": submits("--address", "auto"),
    "submit to a port of Ray": submits(RAY_ADDRESS="head:6379"),
    "submit with a relative database": submits(
        MLFLOW_TRACKING_URI="sqlite:///mlflow.db", RAY_ADDRESS="http://head:8265"
    ),
    "submit with a folder of runs": submits(MLFLOW_TRACKING_URI="./mlruns", RAY_ADDRESS="http://head:8265"),
    "submit for no time": submits("--max-hours", "-1", "--address", "http://head:8265"),
    "submit with a missing plugin": submits("--plugin", "mine.py", "--address", "http://head:8265"),
}

PLUGINS = {
    "plugin that is not there": of(*used("mine.py")),
    "plugin that is a folder": Mistake(arguments=used("mine"), prepare=lambda folder: (folder / "mine").mkdir()),
    "plugin that is no Python file": of(*used("tiny.yaml")),
    "plugin that cannot be read": with_plugin("mine = = 1\n", used),
    "plugin that fails": with_plugin("import os\n\nos.nothing\n", used),
    "plugin that registers nothing": with_plugin("answer = 42\n", used),
    "plugin with a name of the library": with_plugin(PLUGIN.replace("NAME", "kuramoto"), used),
    "plugin that imports its neighbour": with_plugin("from . import layers\n", used),
    "check of what is not there": of(*checked("mine.py")),
    "check of no package": of(*checked("phasesweep_mine")),
    "check of what has no small configuration": with_plugin(
        PLUGIN.replace("NAME", "mine") + "    decay: float\n", checked
    ),
    "check of an unknown name": with_plugin(
        PLUGIN.replace("NAME", "mine"), lambda path: (*checked(path), "--names", "mien")
    ),
}

MISTAKES: dict[str, Mistake] = {**CALLS, **RESULTS, **CAMPAIGNS, **SCAFFOLDS, **JOBS, **PLUGINS}
