"""What has to run again because its weights are gone, and in which order arms are planned."""

from __future__ import annotations

import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from cluster.inventory import Inventory
from sweeps.errors import UserError
from sweeps.plan.builder import build_plan
from sweeps.plan.checks import checked
from sweeps.plan.dependencies import Dependency
from sweeps.plan.selection import without_weights
from sweeps.plan.units import PlannedReplicate
from sweeps.run.assignments import weight_source_of
from sweeps.store.folder import ResultsFolder
from sweeps.studies.resolve import load_study
from tests.support.sweeps.journals import config_id, replicate_events, sweep_event, write_journal
from tests.support.sweeps.studies import write_study
from trainables.code_hash import code_hash
from trainables.worker.replicate_folder import ReplicateFolder

FIRST, LAST = (config_id("baseline"), 0), (config_id("treatment"), 0)


def plan() -> Any:
    """Return a plan whose second replicate starts with the weights of the first."""
    need = Dependency(role="resume", config_id=FIRST[0])
    first = SimpleNamespace(config_id=FIRST[0], depends_on=lambda seed: [])
    last = SimpleNamespace(config_id=LAST[0], depends_on=lambda seed: [need.key(seed)])
    replicates = [PlannedReplicate(first, 0), PlannedReplicate(last, 0)]  # type: ignore[arg-type]
    return SimpleNamespace(replicates=replicates, keys=[FIRST, LAST])


@pytest.fixture
def folder(tmp_path: Path) -> ResultsFolder:
    """Return a results folder in which the first has finished and left its weights."""
    made = ResultsFolder(tmp_path)
    write_journal(
        made.journal / "one.jsonl",
        [sweep_event(("baseline", "treatment"), seeds=[0]), *replicate_events("baseline", 0, 2.5)],
    )
    weights = ReplicateFolder(made.replicate(*FIRST)).weights
    weights.parent.mkdir(parents=True)
    weights.touch()
    return made


def test_what_lies_there_is_not_made_again(folder: ResultsFolder) -> None:
    assert without_weights(plan(), folder, folder.state()) == {}


def test_weights_that_are_gone_are_made_again_from_the_first_step(folder: ResultsFolder) -> None:
    ReplicateFolder(folder.replicate(*FIRST)).weights.unlink()
    (key, rerun), *others = without_weights(plan(), folder, folder.state()).items()
    assert (key, others) == (FIRST, [])
    assert rerun.from_scratch
    assert "its weights, which others start with, are gone" in rerun.detail


def test_nothing_runs_again_for_nobody(folder: ResultsFolder) -> None:
    write_journal(
        folder.journal / "two.jsonl",
        [sweep_event(("baseline", "treatment"), seeds=[0]), *replicate_events("treatment", 0, 2.4)],
    )
    ReplicateFolder(folder.replicate(*FIRST)).weights.unlink()
    assert without_weights(plan(), folder, folder.state()) == {}


def test_who_runs_again_waits_too(folder: ResultsFolder) -> None:
    write_journal(
        folder.journal / "two.jsonl",
        [sweep_event(("baseline", "treatment"), seeds=[0]), *replicate_events("treatment", 0, None, status="oom")],
    )
    ReplicateFolder(folder.replicate(*FIRST)).weights.unlink()
    assert without_weights(plan(), folder, folder.state()) == {}
    assert without_weights(plan(), folder, folder.state(), {LAST}).keys() == {FIRST}


def test_weights_of_other_code_are_made_again(folder: ResultsFolder) -> None:
    state = folder.state()
    state.replicates[FIRST].numerics["code"] = code_hash()
    assert without_weights(plan(), folder, state) == {}
    state.replicates[FIRST].numerics["code"] = "0123456789ab"
    (rerun,) = without_weights(plan(), folder, state).values()
    assert "learnt by other code, 0123456789ab" in rerun.detail


def test_a_need_names_what_it_is_and_where_it_lies(folder: ResultsFolder, tmp_path: Path) -> None:
    shared = Dependency(role="backbone", config_id=FIRST[0], seed=3)
    own = Dependency(role="resume", config_id=FIRST[0])
    file = Dependency(role="resume", file=tmp_path / "weights.pt", sha256="sha256:0")
    assert [need.key(7) for need in (shared, own, file)] == [(FIRST[0], 3), (FIRST[0], 7), None]
    assert [need.identity for need in (shared, own, file)] == [f"{FIRST[0]}/seed=3", FIRST[0], "sha256:0"]
    assert weight_source_of(own, 7, folder).identity == f"{FIRST[0]}/seed=7"
    assert weight_source_of(own, 7, folder).path.endswith(f"{FIRST[0]}/seed=7/weights.pt")
    assert weight_source_of(file, 7, folder).path == str(tmp_path / "weights.pt")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("text", "it is empty or torn"),
        ("archive", "it is an archive that torch.save did not write"),
        ("pickle", "holds no weights"),
    ],
)
def test_a_file_that_holds_no_weights_is_refused_by_the_plan(name: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    if name == "text":
        path.write_text("notes", encoding="utf-8")
    elif name == "archive":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("notes.txt", "notes")
    else:
        torch.save([1, 2], path)
    study = load_study(str(write_study(tmp_path)), overrides=[f"arms.transformer.resume_from.source={path}"])
    machine = Inventory(cpus=4, memory_mib=8000)
    with pytest.raises(UserError) as error:
        build_plan(checked(study, machine, None), machine, None)
    said = str(error.value)
    assert said.startswith(f"--set arms.transformer.resume_from.source={path} (arm 'transformer'): {path} "), said
    assert reason in said and "name a weights.pt" in said
