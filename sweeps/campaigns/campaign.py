"""Reads campaigns; checks that phases, studies and claims that they name exist."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from pydantic import ValidationError

from sweeps.campaigns.schema import ALL_GATES, CampaignFile, Phase, PhaseStudy
from sweeps.errors import UserError, nearest
from sweeps.fields import DEFAULT_SCALE, check_scale
from sweeps.studies.catalogue import StudyHead, find
from sweeps.studies.validation import explain_first
from sweeps.studies.yaml_file import YamlSource


@dataclass(frozen=True)
class StudyRun:
    """A study as a phase runs it."""

    name: str
    """As the user would type it: a name of the library, or a path."""
    study: str
    """Its name."""
    sets: tuple[str, ...]
    """Overrides, as `key=value`."""


@dataclass(frozen=True)
class Campaign:
    """A campaign that has been read and checked."""

    given: str
    """As the user named it: a name of the library, or a path."""
    path: Path
    file: CampaignFile

    @property
    def name(self) -> str:
        """Its name."""
        return self.file.campaign

    @property
    def phases(self) -> dict[str, Phase]:
        """The phases, in the order in which they run."""
        return self.file.phases

    @property
    def gates(self) -> list[str]:
        """Every gate, once."""
        return list(dict.fromkeys(gate for phase in self.phases.values() for gate in phase.gates))

    def through(self, last: str | None) -> list[str]:
        """Return the phases up to and including `last`; None: all.

        Raises:
            UserError: If there is no such phase.
        """
        names = list(self.phases)
        if last is None:
            return names
        if last not in names:
            raise UserError(f"--through {last}: campaign '{self.name}' has no such phase; {nearest(last, names)}")
        return names[: names.index(last) + 1]

    def before(self, phase: str) -> list[str]:
        """Return the phases that a phase comes after, directly or through others, in order."""
        needed = set(self.phases[phase].after)
        for name in reversed(list(self.phases)):
            if name in needed:
                needed |= set(self.phases[name].after)
        return [name for name in self.phases if name in needed]

    def studies(self, phase: str, scale: str) -> list[StudyRun]:
        """Return the studies of a phase, as it runs them at a scale."""
        return [self.run_of(study, scale) for study in self.phases[phase].studies]

    def run_behind(self, phase: str, gate: str, scale: str) -> StudyRun:
        """Return the study of a phase's gate, as that phase runs it, else as the last one before does."""
        study = gate.partition(":")[0]
        upto = reversed(self.through(phase))
        return next(run for name in upto for run in self.studies(name, scale) if run.study == study)

    def run_of(self, listed: PhaseStudy, scale: str) -> StudyRun:
        """Return a listed study as it is run at a scale."""
        own = self.path.parent / listed.study
        name = str(own) if own.suffix in {".yaml", ".yml"} else listed.study
        settings = {**listed.set, **listed.at.get(check_scale(scale), {})}
        settings |= {} if listed.seeds is None else {"seeds": listed.seeds}
        sets = tuple(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in settings.items())
        return StudyRun(name, _head(name).name, sets)


def read_campaign(path: Path, given: str = "") -> Campaign:
    """Read a campaign.

    Args:
        path: Its file.
        given: As the user named it; the path unless given.

    Raises:
        UserError: On any mistake in the file.
    """
    source = YamlSource.read(path)
    data = source.data if isinstance(source.data, dict) else {}
    try:
        campaign = Campaign(given or str(path), path, CampaignFile.model_validate(data))
    except ValidationError as error:
        raise UserError(explain_first(error, CampaignFile, source.where, data=data)) from error
    _check_order(campaign, source)
    _check_gates(campaign, source)
    return campaign


def _check_order(campaign: Campaign, source: YamlSource) -> None:
    above: list[str] = []
    for name, phase in campaign.phases.items():
        for index, other in enumerate(phase.after):
            if other not in above:
                where = source.where(("phases", name, "after", index))
                known = nearest(other, above) if above else "it is the first"
                raise UserError(
                    f"{where}: phase '{name}' comes after '{other}', which is no phase above it; {known}"
                )
        above.append(name)


def _check_gates(campaign: Campaign, source: YamlSource) -> None:
    """Refuse gates and rules about claims that do not exist, or whose study has not run by then."""
    run: dict[str, None] = {}
    for name, phase in campaign.phases.items():
        for index, listed in enumerate(phase.studies):
            try:
                run[campaign.run_of(listed, DEFAULT_SCALE).study] = None
            except UserError as error:
                raise UserError(f"{source.where(('phases', name, 'studies', index))}: {error}") from error
        for index, gate in enumerate(phase.gates):
            where = source.where(("phases", name, "gates", index))
            _check_claim(campaign, name, gate, f"{where}: gate '{gate}'", list(run))
        for index, rule in enumerate(phase.decision):
            for claim in (claim for claim in rule.when if claim != ALL_GATES):
                where = source.where(("phases", name, "decision", index, "when", claim))
                _check_claim(campaign, name, claim, f"{where}: '{claim}'", list(run))


def _check_claim(campaign: Campaign, phase: str, named: str, where: str, run: list[str]) -> None:
    study, _, claim = named.partition(":")
    if study not in run:
        raise UserError(f"{where}: no phase up to this one runs study '{study}'; {nearest(study, run)}")
    known = claims_of(campaign.run_behind(phase, named, DEFAULT_SCALE).name)
    if claim not in known:
        hint = nearest(claim, list(known)) if known else "it declares none"
        raise UserError(f"{where}: the study has no claim '{claim}'; {hint}")


def claims_of(study: str) -> dict[str, str]:
    """Return the statement of each claim that a study declares, by id."""
    declared = _head(study).section("claims")
    return {claim: str(fields.get("statement", "")) for claim, fields in declared.items()}


def _head(study: str) -> StudyHead:
    """Return a study file as written; each version of a file is read once, because that takes a while."""
    path = find(study)
    return _read_once(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=64)
def _read_once(path: Path, changed_at_ns: int) -> StudyHead:
    return StudyHead.read(path)
