"""What a plan says below its table: the budget, and what it can settle."""

from __future__ import annotations

from rich.table import Table

from analysis.records import JournalState
from sweeps.output import text_table
from sweeps.plan import Plan
from sweeps.plugins import previous_hash
from sweeps.progress import format_duration
from trainables.plugins import Plugin


def budget(plan: Plan, state: JournalState) -> str:
    """Return configurations, seeds, requests and costs, one a line."""
    request, replicates = plan.request, plan.replicates
    seconds, basis = plan.forecast_seconds(state)
    cost = plan.core_seconds(state)
    configurations = len({planned.config_id for planned in plan.arms})
    distinct = "" if configurations == len(plan.arms) else f" ({configurations} distinct configurations)"
    gpu = f", {request.gpu:g} GPU" if request.gpu else ""
    lines = [f"grid: {plan.study.grid.describe()}"] if plan.study.grid else []
    lines += [_plugin(plan, plugin, state) for plugin in plan.study.plugins]
    lines += [
        f"{len(plan.arms)} arms{distinct} x {len(plan.study.seeds)} seeds = {len(replicates)} replicates",
        f"each asks for {request.cpu:g} CPU{gpu}, {request.memory_mib} MiB; "
        f"{plan.concurrency} run at a time on {plan.device}",
        f"forecast {format_duration(seconds)} ({basis}), {cost:,.0f} core-seconds, "
        f"{cost / len(replicates):,.0f} a replicate",
        smallest_effect(plan),
    ]
    return "\n".join(lines)


def _plugin(plan: Plan, plugin: Plugin, state: JournalState) -> str:
    """Return which arms a plugin is in, and whether it was edited since they ran last."""
    arms = ", ".join(p.arm.name for p in plan.arms if plugin in p.config.plugins.values())
    previous = previous_hash(plugin, state)
    edited = f"; it has changed since the last run (sha256 {previous[:12]}): they run anew" if previous else ""
    return f"plugin {plugin}, in the arms {arms}{edited}"


def smallest_effect(plan: Plan) -> str:
    """Return what the comparisons with the baseline can find."""
    effect = plan.smallest_detectable_effect_sd
    if effect is None:
        return "one seed: no interval and no comparison is attainable; give at least 2 seeds"
    return (
        f"smallest effect that {len(plan.study.seeds)} paired seeds detect: {effect:.2f} standard deviations "
        "of the paired differences (power .8, level .05, before Holm's adjustment)"
    )


def claims_table(plan: Plan) -> Table:
    """Return what these seeds can find of each claim; sd is the standard deviation over seeds."""
    table = text_table("claim", "kind", "settled at", f"with {len(plan.study.seeds)} seeds")
    for claim, found in plan.attainable:
        table.add_row(claim.id, claim.kind.replace("_", " "), claim.settled_at, found.text)
    return table
