"""Reads how far a campaign is, and what its gates say, from the journals of its studies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from analysis.records.statuses import FAILURES
from analysis.verdicts.verdict import Verdict
from sweeps.campaigns.campaign import Campaign, StudyRun, claims_of
from sweeps.campaigns.rules import holds, outcome_of
from sweeps.campaigns.schema import ALL_GATES, GateOutcome, Rule
from sweeps.campaigns.state import CampaignState, GateState, PhaseState, Progress, RuleState, StudyState
from sweeps.cli.evidence.judged import verdicts_of
from sweeps.store.folder import ResultsFolder, results_root
from sweeps.studies.resolve import load_study


@dataclass
class Reader:
    """Reads the state of a campaign; each study's verdicts are judged once."""

    campaign: Campaign
    scale: str
    _verdicts: dict[StudyRun, dict[str, Verdict]] = field(default_factory=dict)

    def state(self, phases: Iterable[str] | None = None) -> CampaignState:
        """Return the state of some phases, by default of all."""
        chosen = list(self.campaign.phases if phases is None else phases)
        found = [self.phase(name) for name in chosen]
        rules = [(name, rule) for name in chosen for rule in self.campaign.phases[name].decision]
        return CampaignState(
            campaign=self.campaign.name,
            title=self.campaign.file.title,
            scale=self.scale,
            phases=found,
            decision=[self._rule(phase, rule) for phase, rule in rules],
        )

    def phase(self, name: str) -> PhaseState:
        """Return the state of a phase."""
        phase = self.campaign.phases[name]
        studies = [self._study(run) for run in self.campaign.studies(name, self.scale)]
        return PhaseState(
            phase=name,
            title=phase.title,
            kind=phase.kind,
            after=phase.after,
            progress=_progress(studies),
            studies=studies,
            gates=[self.gate(name, gate) for gate in phase.gates],
        )

    def gate(self, phase: str, gate: str) -> GateState:
        """Return what the claim of a phase's gate has come to."""
        claim = gate.partition(":")[2]
        run = self.campaign.run_behind(phase, gate, self.scale)
        found = self._verdicts_of(run).get(claim)
        if found is None:
            why = "the journal was written before the study declared it"
            return GateState(gate, claims_of(run.name)[claim], "not judged", why, None, None, None, 0, False)
        outcome, why = _outcome(found)
        values = (found.effect, found.ci_low, found.ci_high, found.n, found.is_settled)
        return GateState(gate, found.statement, outcome, why, *values)

    def _verdicts_of(self, run: StudyRun) -> Mapping[str, Verdict]:
        if run not in self._verdicts:
            found = verdicts_of(run.name, self.scale, run.sets)
            self._verdicts[run] = {verdict.id: verdict for verdict in found}
        return self._verdicts[run]

    def _rule(self, phase: str, rule: Rule) -> RuleState:
        """Return whether a rule holds."""
        asked = [
            (outcome, wanted) for named, wanted in rule.when.items() for outcome in self._outcomes(phase, named)
        ]
        return RuleState(when=dict(rule.when), then=rule.then, holds=holds(asked))

    def _outcomes(self, phase: str, named: str) -> list[GateOutcome]:
        """Return the outcomes of a claim in all phases that it is a gate of, or of all gates; of a claim that is no
        gate, the one that a phase sees."""
        gates = [(name, gate) for name, each in self.campaign.phases.items() for gate in each.gates]
        asked = [(name, gate) for name, gate in gates if named in (gate, ALL_GATES)] or [(phase, named)]
        return [self.gate(name, gate).outcome for name, gate in asked]

    def _study(self, run: StudyRun) -> StudyState:
        study = load_study(run.name, self.scale, run.sets)
        journal = ResultsFolder.find(results_root(), study.name, study.scale, study.overrides).state()
        known = {} if journal.sweep is None else {arm.arm: arm.config_id for arm in journal.sweep.arms}
        keys = {(known.get(arm.name, arm.name), seed) for arm in study.arms for seed in study.seeds}
        ended = [journal.replicates[key] for key in keys if journal.has_ended(key)]
        return StudyState(
            study=study.name,
            sets=list(run.sets),
            num_replicates=len(keys),
            num_ended=len(ended),
            num_failed=sum(replicate.status in FAILURES for replicate in ended),
        )


def _progress(studies: list[StudyState]) -> Progress:
    if not studies:
        return "when run"
    if all(study.num_missing == 0 for study in studies):
        return "done"
    return "begun" if any(study.num_ended for study in studies) else "not begun"


def _outcome(verdict: Verdict) -> tuple[GateOutcome, str]:
    """Return the outcome of a gate, and why it is none."""
    because = ", ".join(reason for reason in verdict.because if reason not in ("scale", verdict.verdict))
    outcome = outcome_of(verdict)
    if outcome != "not judged":
        return outcome, because
    why = [f"{verdict.verdict}: {because}" if because else str(verdict.verdict), verdict.note]
    return "not judged", "; ".join(filter(None, why))
