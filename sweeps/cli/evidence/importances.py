"""The importances of the fields of a search, for the page of a study."""

from __future__ import annotations

import json

from analysis.results.importance import ImportanceTable
from sweeps.cli.evidence.judged import Judged
from sweeps.errors import UserError
from sweeps.search.importance import ImportanceError, importance_of
from sweeps.studies.resolve import load_study


def importances_of(judged: Judged) -> ImportanceTable | str:
    """Return the importances of a study's searches, or why there are none; empty for a study that does not search.

    A journal has the points, not the space, so the study is read again. What fANOVA cannot weigh, fields that have
    an effect only sometimes, PED-ANOVA can.
    """
    info = judged.sweep.search
    if info is None:
        return ""
    try:
        sets = [f"{field}={json.dumps(value)}" for field, value in judged.overrides.items()]
        study = load_study(judged.given, judged.sweep.scale, sets)
    except UserError as error:
        return f"the study cannot be read any more: {error}"
    if study.search is None:
        return "the study does not search any more"
    spaces = {one.arm: one.space for one in study.search.arms}
    if missing := [one.arm for one in info.arms if one.arm not in spaces]:
        return f"the study does not search {', '.join(missing)} any more"
    is_conditional = any(space.conditions for space in spaces.values())
    try:
        return importance_of(judged.state, info, spaces, evaluator="ped_anova" if is_conditional else "fanova")
    except ImportanceError as error:
        return str(error)
