"""Prints a campaign: what would run, how far it is, what its gates and rules say."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console

from sweeps.campaigns.campaign import Campaign
from sweeps.campaigns.state import REPORTS, CampaignState, GateState, PhaseState, RuleState
from sweeps.cli.campaign.reader import Reader
from sweeps.console import Output, format_duration, proposed, text_table
from sweeps.fields import check_scale

_HOLDS = {True: "holds", False: "does not hold", None: "open"}


def status(output: Output, campaign: Campaign, scale: str) -> None:
    """Print how far each phase is."""
    state = Reader(campaign, check_scale(scale)).state()
    output.show(state, lambda out: _print_status(out, campaign, state))


def results(output: Output, campaign: Campaign, scale: str) -> None:
    """Print the gates of each phase, and what follows from them."""
    state = Reader(campaign, check_scale(scale)).state()
    output.show(state, lambda out: print_results(out, state))


def plan(output: Output, campaign: Campaign, scale: str) -> None:
    """Print what every phase would run and how long it takes; starts nothing."""
    state = Reader(campaign, check_scale(scale)).state()
    if output.emit is not None:
        output.emit(state)
        return
    out = output.console
    _print_title(out, state)
    table = text_table("phase", "study", "replicates", "to run", "forecast", "after", right=[2, 3, 4])
    total = 0.0
    planned: set[tuple[str, ...]] = set()
    for phase in state.phases:
        after = ", ".join(phase.after)
        if not phase.studies:
            table.add_row(phase.phase, f"({phase.kind})", "", "", "", after)
        for study, run in zip(phase.studies, campaign.studies(phase.phase, scale), strict=True):
            key = (run.study, *run.sets)
            seconds = _forecast(run.name, state.scale, run.sets) if study.num_missing else 0.0
            total += 0.0 if key in planned else seconds
            planned.add(key)
            cells = (study.study, str(study.num_replicates), str(study.num_missing), format_duration(seconds))
            table.add_row(phase.phase, *cells, after)
            after = ""
    out.print(table)
    out.print(
        f"\nforecast {format_duration(total)} for all of it; a study that two phases run, runs once", markup=False
    )
    for line in _gate_lines(state.phases):
        out.print(line, markup=False)
    next_step = proposed("run", campaign.given, "--scale", state.scale, "--through", state.phases[-1].phase)
    out.print(f"\nnothing was started; next: {next_step}", markup=False)


def _forecast(study: str, scale: str, sets: Iterable[str]) -> float:
    from sweeps.plan.selection import RUN
    from sweeps.run.driver import prepare, what_to_run

    return what_to_run(prepare(study, scale, sets), RUN).forecast_seconds


def _print_status(out: Console, campaign: Campaign, state: CampaignState) -> None:
    _print_title(out, state)
    table = text_table("phase", "title", "state", "replicates", "gates", right=[3])
    for phase in state.phases:
        ended = sum(study.num_ended for study in phase.studies)
        count = f"{ended} of {sum(study.num_replicates for study in phase.studies)}" if phase.studies else ""
        blocked = [] if phase.kind in REPORTS else state.blocking(campaign, phase.phase)
        progress = f"waits for {', '.join(blocked)}" if blocked and phase.progress != "done" else phase.progress
        gates = ", ".join(f"{gate.gate.partition(':')[2]} {gate.outcome}" for gate in phase.gates)
        table.add_row(phase.phase, phase.title, progress, count, gates)
    out.print(table)


def print_results(out: Console, state: CampaignState) -> None:
    """Print the gates and the decision."""
    _print_title(out, state)
    for phase in state.phases:
        if phase.gates:
            out.print(f"{phase.phase}: {phase.title}", style="bold", markup=False)
            out.print(gates_table(phase.gates))
            for gate in phase.gates:
                out.print(f"  {gate.gate}: {gate.statement}{_reason(gate)}", markup=False)
            out.print()
    if state.decision:
        out.print("decision", style="bold")
        for rule in state.decision:
            out.print(f"  {_HOLDS[rule.holds]}: {_condition(rule)} → {rule.then}", markup=False)


def gates_table(gates: Iterable[GateState]) -> object:
    """Return a table of gates."""
    table = text_table("  gate", "outcome", "effect", "interval", "n", right=[2, 4])
    for gate in gates:
        effect = "–" if gate.effect is None else f"{gate.effect:+.4g}"
        interval = (
            "–" if gate.ci_low is None or gate.ci_high is None else f"[{gate.ci_low:+.4g}, {gate.ci_high:+.4g}]"
        )
        indication = "" if gate.is_settled or gate.outcome == "not judged" else " (an indication)"
        table.add_row(f"  {gate.gate}", f"{gate.outcome}{indication}", effect, interval, str(gate.n))
    return table


def _reason(gate: GateState) -> str:
    return f" ({gate.why})" if gate.why else ""


def _condition(rule: RuleState) -> str:
    return " and ".join(f"{gate} {outcome}" for gate, outcome in rule.when.items())


def _gate_lines(phases: Iterable[PhaseState]) -> Iterable[str]:
    for phase in phases:
        for gate in phase.gates:
            yield f"gate of {phase.phase}, {gate.gate}: {gate.statement}"


def _print_title(out: Console, state: CampaignState) -> None:
    out.print(f"{state.campaign}@{state.scale}: {state.title}\n", style="bold", markup=False)
