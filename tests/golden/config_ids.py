"""The configuration ids of every study of the library: equal ids are equal results."""

from __future__ import annotations

import json
from pathlib import Path

from sweeps.fields import SCALES
from sweeps.studies.catalogue import library
from sweeps.studies.resolve import load_study
from sweeps.studies.study import Arm
from trainables.config.trial import config_id

PATH = Path(__file__).with_name("config_ids.json")


Ids = dict[str, dict[str, str | None]]


def ids_of(study: str) -> Ids:
    """Return {scale: {arm: configuration id}}; the data are left out, so that none need be there."""
    return {scale: {arm.name: _id(arm) for arm in load_study(study, scale).arms} for scale in SCALES}


def _id(arm: Arm) -> str | None:
    """Return the id; None for an arm whose id needs pretrained weights that are not on this machine."""
    try:
        return config_id(arm.config, data_hash="")
    except ValueError:
        return None


def golden() -> dict[str, Ids]:
    """Return the golden file: {study: its ids}."""
    found: dict[str, Ids] = json.loads(PATH.read_text(encoding="utf-8"))
    return found


def write() -> None:
    """Write the golden file."""
    found = {study: ids_of(study) for study in library()}
    PATH.write_text(json.dumps(found, indent=0, ensure_ascii=False) + "\n", encoding="utf-8")
