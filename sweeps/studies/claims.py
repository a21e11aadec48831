"""Reads the `claims:` of a study and checks them against its arms, fields and metrics."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from analysis.claims.claim import STEP, Claim, ClaimError
from sweeps.errors import UserError, nearest
from sweeps.fields import flatten
from sweeps.studies.yaml_file import YamlSource

if TYPE_CHECKING:
    from sweeps.studies.schema.study import StudyFile
    from sweeps.studies.study import Study
    from trainables.config.trial import TrialConfig

_NUMBERED = ("trend", "flatness")
"""Kinds whose `over` must be a number in every arm."""


def declared_claims(file: StudyFile, source: YamlSource) -> tuple[Claim, ...]:
    """Return the claims of a study as written.

    Raises:
        UserError: If a claim is incomplete, or names a scale that the study lacks.
    """
    claims = []
    for claim_id, fields in file.claims.items():
        with _located_in(source, claim_id):
            claim = Claim.from_mapping(fields, claim_id=claim_id)
            if claim.settled_at not in file.scales:
                hint = nearest(claim.settled_at, file.scales)
                raise ClaimError(claim_id, "settled_at", f"the study has no scale '{claim.settled_at}'; {hint}")
        claims.append(claim)
    return tuple(claims)


def with_arms(claims: Iterable[Claim], source: YamlSource, arms: Collection[str]) -> tuple[Claim, ...]:
    """Return the claims with patterns such as `K*_N32` replaced by the names of the arms that they match.

    Raises:
        UserError: If a claim names an arm that the study lacks.
    """
    named = []
    for claim in claims:
        with _located_in(source, claim.id):
            named.append(_with_arms(claim, arms))
    return tuple(named)


def check_fields(claims: Iterable[Claim], source: YamlSource, configs: Mapping[str, TrialConfig]) -> None:
    """Check every claim against the configurations of its arms.

    Raises:
        UserError: If a claim names a field that an arm lacks or that does not vary, or another fidelity.
    """
    for claim in claims:
        with _located_in(source, claim.id):
            _check(claim, configs)


@contextmanager
def _located_in(source: YamlSource, claim_id: str) -> Iterator[None]:
    """Add the place in the study to an error about a claim that is raised in the block."""
    try:
        yield
    except ClaimError as error:
        raise UserError(f"{source.where(('claims', claim_id, error.field))}: {error}") from error


def check_claimed_metrics(study: Study, directions: Mapping[str, str | None]) -> None:
    """Check that every metric of a claim exists, and that the metric of every comparison has a direction.

    Args:
        study: The study.
        directions: Of every metric; None if it is not known yet.

    Raises:
        UserError: If not.
    """
    for claim in study.claims:
        for name in claim.metric_names:
            if name not in directions:
                field = "metric" if name in (claim.metric or "").split(" - ") else "over"
                raise _located(study, claim, field, f"unknown metric '{name}'; {nearest(name, directions)}")
        has_side = directions.get(claim.metric or "", "none") != "none"
        if claim.kind in {"superiority", "non_inferiority", "pairwise"} and not (has_side or claim.direction):
            message = f"missing; '{claim.metric}' has no better side, so say lower or higher"
            raise _located(study, claim, "direction", message)


def _located(study: Study, claim: Claim, field: str, message: str) -> UserError:
    where = study.locate_key(("claims", claim.id, field)) or study.locate_key(("claims", claim.id))
    return UserError(f"{where}: {ClaimError(claim.id, field, message)}")


def _with_arms(claim: Claim, arms: Collection[str]) -> Claim:
    found: dict[str, Any] = {}
    for field in ("arms", "against", "controls"):
        matching = [arm for name in getattr(claim, field) for arm in _matches(claim, field, name, arms)]
        found[field] = tuple(dict.fromkeys(matching))
    if claim.arm is not None and claim.arm not in arms:
        raise ClaimError(claim.id, "arm", f"no arm '{claim.arm}'; {nearest(claim.arm, arms)}")
    return replace(claim, **found)


def _matches(claim: Claim, field: str, name: str, arms: Collection[str]) -> list[str]:
    if name in arms:
        return [name]
    matching = [arm for arm in arms if fnmatchcase(arm, name)]
    if not matching:
        raise ClaimError(claim.id, field, f"no arm '{name}'; {nearest(name, arms)}")
    return matching


def _check(claim: Claim, configs: Mapping[str, TrialConfig]) -> None:
    if claim.over is not None and claim.over != STEP and not claim.is_over_metric:
        _check_field(claim, "over", claim.over, configs, numbered=claim.kind in _NUMBERED)
    for name in claim.effect:
        _check_field(claim, "effect", name, configs, numbered=False)
    about = (*((claim.arm,) if claim.arm else ()), *claim.arms)
    for arm in about if claim.fidelity != "any" else ():
        own = getattr(configs[arm].architecture, "fidelity", claim.fidelity)
        if own != claim.fidelity:
            raise ClaimError(claim.id, "fidelity", f"arm '{arm}' is {own}, but the claim is about {claim.fidelity}")


def _check_field(
    claim: Claim, field: str, name: str, configs: Mapping[str, TrialConfig], *, numbered: bool
) -> None:
    """Check that every arm of the claim has the configuration field `name`, and that it varies."""
    values = []
    for arm in claim.arms:
        flat = flatten(configs[arm].model_dump(mode="json"))
        if name not in flat:
            raise ClaimError(claim.id, field, f"arm '{arm}' has no field '{name}'; {nearest(name, flat)}")
        values.append(flat[name])
    if numbered and not all(isinstance(value, int | float) for value in values):
        raise ClaimError(claim.id, field, f"'{name}' is no number in every arm")
    if len(set(map(repr, values))) < 2:
        raise ClaimError(claim.id, field, f"'{name}' is {values[0]!r} in every arm of the claim")
