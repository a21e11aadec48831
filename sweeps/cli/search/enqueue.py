"""The verb `enqueue`: a point of one's own for a search that runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from search_spaces.dimensions import freeze
from search_spaces.space import InvalidPointError
from sweeps.cli.stored_sweep import StoredSweep, load_results
from sweeps.console import Output
from sweeps.errors import UserError, nearest
from sweeps.fields import flatten
from sweeps.plan.search.corners import config_at, in_words
from sweeps.store.enqueued import enqueue as write
from sweeps.studies.catalogue import StudyArguments
from sweeps.studies.resolve import load_study
from sweeps.studies.search import ArmSpace
from sweeps.studies.study import Study
from sweeps.studies.yaml_file import parse_scalar

if TYPE_CHECKING:
    from sweeps.cli.schemas.searching import EnqueueJson


def enqueue(output: Output, study: StudyArguments, *, arm: str | None, settings: Sequence[str]) -> None:
    """Add a point to a running search; it is proposed next, while the budget lasts.

    Raises:
        UserError: If there is no such search, it is over, or the point is none of its space.
    """
    stored, resolved = load_results(*study), load_study(*study)
    space = _space(stored, resolved, arm)
    config = next(one.config for one in resolved.arms if one.name == space.arm)
    own = {name: value for name, value in flatten(config.model_dump(mode="json")).items() if name in space.space}
    point = {name: freeze(value) for name, value in {**own, **_given(settings, space)}.items()}
    if reasons := space.space.explain(point):
        raise UserError(f"--try: not a point of the space of arm '{space.arm}': {reasons[0]}")
    point = space.space.canonical(point)
    try:
        config_at(config, point)
    except InvalidPointError as error:
        raise UserError(f"--try: no configuration of arm '{space.arm}': {error}") from error
    path = write(stored.folder.path, space.arm, point)
    if output.emit:
        printed: EnqueueJson = {
            "study": resolved.name,
            "scale": resolved.scale,
            "arm": space.arm,
            "point": point,
            "path": str(path.resolve()),
        }
        output.emit(printed)
    output.say(f"{space.arm}: {in_words(point)} is proposed next, while the budget lasts; see: best")


def _space(stored: StoredSweep, study: Study, arm: str | None) -> ArmSpace:
    info = stored.sweep.search
    if study.search is None or info is None:
        raise UserError(f"{stored.experiment} does not search, so nothing can be enqueued; see space:")
    if info.population:
        raise UserError(
            f"{stored.experiment} trains a population, which takes no members but its own children; nothing was "
            "enqueued; points to begin with stand under search.start_with"
        )
    names = [one.arm for one in study.search.arms]
    if arm is None and len(names) > 1:
        raise UserError(f"say which arm the point is for: --arm {' or --arm '.join(names)}")
    if arm is not None and arm not in names:
        raise UserError(f"--arm {arm}: no searched arm of this name; {nearest(arm, names)}")
    chosen = arm or names[0]
    over = {one.arm for one in info.arms if one.search in stored.state.searches.winners}
    if chosen in over:
        raise UserError(
            f"the search of arm '{chosen}' is over, and its winner stays; --set search.seed=1 begins another, "
            "which takes points under search.start_with"
        )
    return next(one for one in study.search.arms if one.arm == chosen)


def _given(settings: Sequence[str], space: ArmSpace) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for text in settings:
        name, equals, value = text.partition("=")
        if not equals:
            raise UserError(f"--try {text}: write FIELD=VALUE")
        if name not in space.space:
            raise UserError(f"--try {name}: does not vary in arm '{space.arm}'; {nearest(name, space.space)}")
        found[name] = parse_scalar(value, f"--try {name}")
    return found
