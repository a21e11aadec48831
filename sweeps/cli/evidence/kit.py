"""The verb `kit`: everything that is needed to check a study's results, in one folder that verifies itself."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from analysis.records.compact import compact_journal
from analysis.report.pages.study import study_page
from analysis.report.provenance import ran
from analysis.results.export import csv_bytes, rows_of
from sweeps.cli.evidence.crate import METADATA, Run, crate
from sweeps.cli.evidence.expected import EXPECTED, Expected, nominate
from sweeps.cli.evidence.judged import Judged, judged_folder
from sweeps.cli.evidence.report import source_of
from sweeps.cli.stored_sweep import find_results, no_results
from sweeps.console import Output, format_duration, proposed
from sweeps.errors import UserError, writing
from sweeps.store.folder import RESOLVED_STUDY, ResultsFolder
from sweeps.store.provenance import ROOT, local_changes, packages
from sweeps.studies.catalogue import StudyArguments, find
from sweeps.studies.plugins import paths as plugin_paths
from sweeps.studies.resolve import load_study

if TYPE_CHECKING:
    from sweeps.cli.schemas.types import KitJson

SOURCE = "study/study.yaml"
"""The study as its author wrote it."""
PLUGINS = "plugins"
"""Folder of the files of `--plugin`; those that the study names lie beside it."""
JOURNAL = "journal.jsonl"
CODE = "code.json"

MEANINGS = {
    SOURCE: "the study as it was written; what runs",
    RESOLVED_STUDY: "the study with every field resolved, and its claims",
    JOURNAL: "the compact journal: every start, end and failure, the last report of each replicate exactly",
    "journal-whole.jsonl.gz": "the journal with every report",
    "replicates.csv": "a row a replicate, failed ones too: seed, status, cost, settings, last metrics, numerics",
    "verdicts.json": "what the results say of each claim, with the hashes of claim and journal",
    "report.html": "the report",
    EXPECTED: "the replicate that `kit verify` runs again, with its last report",
    "data.json": "hash of the data of each arm; the data are fetched or drawn when the study runs",
    CODE: "commit, hash of the code that computes, versions",
    "code.diff": "what the checkout changed against the commit when the kit was made",
    "packages.txt": "every installed package with its version",
    "constraints.txt": "the tested set of packages",
    "run.sh": "runs the whole study again",
    "LICENSE": "licence of phasesweep",
    "CITATION.cff": "how to cite phasesweep",
}


def kit(output: Output, study: StudyArguments, to: Path | None) -> None:
    """Write the kit of a study's results, and say how it is verified."""
    folder = find_results(*study)
    judged = judged_folder(folder, study.name)
    if judged is None:
        raise no_results(folder, *study)
    expected = nominate(judged.state, judged.sweep)
    if expected is None:
        raise UserError(f"kit {study.name}: no replicate has finished, so there is nothing to verify")
    source = _source_of(study, folder)
    target = to or folder.path / "kit"
    if target.exists() and not (target / METADATA).is_file():
        raise UserError(f"--to {target}: is there already, and is no kit; give another name")
    with writing(f"--to {target}"):
        if target.exists():
            shutil.rmtree(target)
        target.mkdir(parents=True)
        for name, content in _contents(judged, folder, study, expected, source):
            (target / name).parent.mkdir(exist_ok=True)
            (target / name).write_bytes(content)
        described = crate(target, MEANINGS, _run_of(judged))
        (target / METADATA).write_text(json.dumps(described, indent=1, ensure_ascii=False) + "\n", "utf-8")
    _say(output, target, expected)


def _source_of(study: StudyArguments, folder: ResultsFolder) -> dict[str, bytes]:
    """Return the study's file and the plugins that it uses, if they still give the configurations that were run."""
    path = find(study.name)
    now = load_study(study.name, study.scale, study.sets)
    then = folder.resolved_study()
    if yaml.safe_load(yaml.safe_dump(now.resolved()["arms"])) != then.get("arms"):
        raise UserError(
            f"kit {study.name}: {path} has changed since it was run, so a kit of it would not run what these "
            f"results are of; run it again: {proposed('run', study.name, '--scale', study.scale)}"
        )
    given = {plugin.name: plugin.read_bytes() for plugin in plugin_paths()}
    own = {name: text.encode() for name, text in now.plugin_texts.items() if name not in given}
    return {
        SOURCE: path.read_bytes(),
        **{f"study/{name}": content for name, content in own.items()},
        **{f"{PLUGINS}/{name}": content for name, content in given.items()},
    }


def _contents(
    judged: Judged, folder: ResultsFolder, study: StudyArguments, expected: Expected, source: dict[str, bytes]
) -> Iterator[tuple[str, bytes]]:
    journal = compact_journal(folder.path)
    yield from source.items()
    yield RESOLVED_STUDY, (folder.path / RESOLVED_STUDY).read_bytes()
    yield JOURNAL, journal.encode()
    yield "journal-whole.jsonl.gz", gzip.compress(b"".join(f.read_bytes() for f in judged.files), mtime=0)
    yield "replicates.csv", csv_bytes(rows_of("replicates", judged.state, judged.sweep, judged.fields))
    yield "verdicts.json", _json([asdict(verdict) for verdict in judged.verdicts])
    yield "report.html", study_page(source_of(judged, journal)).encode()
    yield EXPECTED, _json(expected.to_json())
    yield "data.json", _json({arm.arm: arm.data_hash for arm in judged.sweep.units})
    yield CODE, _json(_code(judged, expected))
    changes = local_changes()
    if changes:
        yield "code.diff", changes.encode()
    yield "packages.txt", "".join(f"{line}\n" for line in packages()).encode()
    for name in ("constraints.txt", "LICENSE", "CITATION.cff"):
        if (ROOT / name).is_file():
            yield name, (ROOT / name).read_bytes()
    yield "run.sh", _script(study).encode()


def _code(judged: Judged, expected: Expected) -> dict[str, Any]:
    provenance = judged.sweep.provenance
    numerics = (replicate.numerics for replicate in ran(judged.state, judged.sweep))
    kinds = {json.dumps(each, sort_keys=True, default=str) for each in numerics if each}
    return {
        "git_commit": provenance.get("git_commit"),
        "git_dirty": provenance.get("git_dirty"),
        "code": expected.numerics.get("code"),
        "versions": provenance.get("versions", {}),
        "python": provenance.get("python"),
        "numerics": [json.loads(kind) for kind in sorted(kinds)],
    }


def _script(study: StudyArguments) -> str:
    sets = " ".join(f"--set '{text}'" for text in study.sets)
    plugins = " ".join(f'--plugin "$here/{PLUGINS}/{plugin.name}"' for plugin in plugin_paths())
    options = " ".join(part for part in (f"--scale {study.scale}", sets, plugins) if part)
    return (
        "#!/bin/sh\n"
        "# Runs the whole study again, into ./results or PHASESWEEP_RESULTS.\n"
        "set -eu\n"
        'here=$(cd "$(dirname "$0")" && pwd)\n'
        f'phasesweep run "$here/{SOURCE}" {options} "$@"\n'
    )


def _run_of(judged: Judged) -> Run:
    replicates = ran(judged.state, judged.sweep)
    started = [r.started_at for r in replicates if r.started_at is not None]
    ended = [r.ended_at for r in replicates if r.ended_at is not None]
    provenance = judged.sweep.provenance
    return Run(
        name=f"{judged.sweep.study} @ {judged.sweep.scale}",
        version=provenance.get("versions", {}).get("phasesweep", metadata.version("phasesweep")),
        commit=provenance.get("git_commit"),
        started_at=min(started),
        ended_at=max(ended),
        study=SOURCE,
        journal=JOURNAL,
        code=CODE,
    )


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()


def _say(output: Output, target: Path, expected: Expected) -> None:
    files = sorted(path for path in target.rglob("*") if path.is_file())
    if output.emit:
        written: KitJson = {
            "path": str(target.resolve()),
            "study": expected.study,
            "scale": expected.scale,
            "files": [path.relative_to(target).as_posix() for path in files],
            "bytes": sum(path.stat().st_size for path in files),
            "replicate": f"{expected.arm}@{expected.seed}",
        }
        output.emit(written)
    size = sum(path.stat().st_size for path in files) / 1000
    output.say(f"wrote {target.resolve()} ({len(files)} files, {size:.0f} kB)")
    took = f"{expected.arm} seed {expected.seed}, which took {format_duration(expected.seconds)}"
    output.say(f"verify it, by running {took}: {proposed('kit', 'verify', str(target))}")
