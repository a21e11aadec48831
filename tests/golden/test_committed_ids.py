"""The results in docs/results are those of the library's studies as they are today: equal configuration ids."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sweeps.plan.dependencies import Dependency, backbone_key, backbones
from sweeps.studies.resolve import load_study
from trainables.config.initial_weights import BACKBONE
from trainables.config.trial import config_id

JOURNALS = sorted(Path("docs/results").glob("*.jsonl"))


def described(path: Path) -> dict[str, Any]:
    """Return the newest description in a journal."""
    lines = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line["event"] == "sweep"][-1]


@pytest.mark.parametrize("path", JOURNALS, ids=lambda path: path.stem)
def test_committed_results_belong_to_the_studies_of_today(path: Path) -> None:
    """Data are taken from the journal's own hashes, so that no corpus need be there."""
    sweep = described(path)
    study = load_study(sweep["study"], sweep["scale"])
    if "data_hash" not in sweep["arms"][0]:
        pytest.skip("an early journal, which does not name its data")
    recorded = {arm["arm"]: arm for arm in (*sweep["arms"], *sweep.get("prerequisites", ()))}
    trained = {}
    for key, (arm, seed) in backbones(study).items():
        identity = config_id(arm.config, recorded[arm.name]["data_hash"])
        assert identity == recorded[arm.name]["config_id"], arm.name
        trained[key] = Dependency(role=BACKBONE, config_id=identity, seed=seed)
    for arm in study.arms:
        needs = [trained[backbone_key(arm)]] if backbone_key(arm) else []
        try:
            identity = config_id(arm.config, recorded[arm.name]["data_hash"], {n.role: n.identity for n in needs})
        except ValueError as error:  # its id holds the hash of pretrained weights
            pytest.skip(str(error))
        assert identity == recorded[arm.name]["config_id"], arm.name
    assert {arm.name for arm in study.arms} | {b.arm.name for b in backbones(study).values()} == recorded.keys()
