"""The verb `plan`: arms, budget, the effects that the study can detect."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from analysis.records.journal import JournalState
from analysis.records.path import PATH_SEEDS
from analysis.records.statuses import RESULTS
from cluster.inventory import Inventory
from cluster.placement.request import Request, is_limited_by_cores
from sweeps.cli.stored_sweep import find_results
from sweeps.console import Output, format_duration, text_table
from sweeps.errors import first_few
from sweeps.plan import search_forecast
from sweeps.plan.plan import Plan, previous_hash
from sweeps.plan.units import PlannedArm
from sweeps.run.driver import Prepared, prepare
from sweeps.store.folder import ResultsFolder
from sweeps.store.usage import DiskForecast, forecast
from sweeps.studies.catalogue import StudyArguments
from trainables.registry import Plugin

if TYPE_CHECKING:
    from sweeps.plan.search.candidates import SearchPlan


def arms_table(plan: Plan) -> Table:
    """Return the arms with their sizes; changes that all arms of the grid share are left to `budget`."""
    table = text_table("arm", "role", "config_id", "parameters", "memory", "changes", right=[3, 4])
    shared = _shared_changes(plan)
    for planned in plan.units:
        arm = planned.arm
        left_out = shared if plan.study.grid and arm.name in plan.study.grid.arms else {}
        changes = {key: value for key, value in arm.changes.items() if key not in left_out}
        memory = f"{planned.need_mib:.0f} MiB"
        table.add_row(
            arm.name, arm.role, planned.config_id, f"{planned.num_parameters:,}", memory, _settings(changes)
        )
    return table


def _shared_changes(plan: Plan) -> dict[str, Any]:
    """Return what every arm of the grid changes alike."""
    grid = plan.study.grid
    arms = [planned.arm for planned in plan.arms if grid and planned.arm.name in grid.arms]
    first = arms[0].changes if len(arms) > 1 else {}
    return {
        key: value
        for key, value in first.items()
        if all(key in arm.changes and arm.changes[key] == value for arm in arms)
    }


def _settings(changes: dict[str, Any]) -> str:
    return ", ".join(f"{key.rpartition('.')[2]}={value}" for key, value in changes.items())


def budget(plan: Plan, state: JournalState, machine: Inventory) -> str:
    """Return configurations, seeds, requests and costs, one per line.

    Args:
        plan: The plan.
        state: The study's journal.
        machine: The resources for trials.
    """
    replicates = plan.replicates
    seconds, basis = plan.forecast_seconds(state)
    cost = plan.core_seconds(state)
    if plan.search is not None:
        left = search_forecast.forecast_search(plan, state)
        seconds, cost = seconds + left.seconds, cost + left.core_seconds
    configurations = len({planned.config_id for planned in plan.arms})
    distinct = "" if configurations == len(plan.arms) else f" ({configurations} distinct configurations)"
    shared = _settings(_shared_changes(plan))
    lines = [f"grid: {plan.study.grid.describe()}, each with {shared}"] if plan.study.grid else []
    lines += _violations(plan.arms)
    lines += _repetitions(plan.arms)
    lines += [_plugin(plan, plugin, state) for plugin in plan.study.plugins]
    first = f", after {len(plan.prerequisites)} trained for them to start with" if plan.prerequisites else ""
    each = f", {cost / len(replicates):,.0f} a replicate" if replicates and plan.search is None else ""
    num_compared = len(replicates) - len(plan.prerequisites)
    arms = [planned for planned in plan.arms if planned.seeds(plan.study)]
    seeds = plan.study.compared_seeds
    lines += _search(plan, state)
    lines += _ablation(plan)
    lines += [
        f"{len(arms)} arms{distinct} x {len(seeds)} seeds = {num_compared} replicates{first}",
        *_size_classes(plan, machine),
        *_corrections(plan),
        f"forecast {format_duration(seconds)} ({basis}), {cost:,.0f} core-seconds{each}",
        smallest_effect(plan),
    ]
    return "\n".join(lines)


def _search(plan: Plan, state: JournalState) -> list[str]:
    """Return what a search varies, its rungs and its seeds, one per line; nothing without a search."""
    if plan.search is None:
        return []
    info = plan.search.info
    most = f"at most {info.configurations} candidates, " if info.configurations else ""
    lines = [
        f"search of {one.arm}: {info.method} over {', '.join(one.fields)}; {most}{info.replicates:g} replicates; "
        f"chosen by {info.metric}{_told(plan.search, one.arm)}"
        f"{' (over)' if one.search in state.searches.winners else ''}"
        for one in info.arms
    ]
    rungs = zip(info.rungs, search_forecast.expected(info).scored, strict=True)
    climbs = [f"{n} to step {rung.steps} with {_count(rung.seeds, 'seed')}" for rung, n in rungs if n]
    lines.append(f"rungs, candidates expected: {'; '.join(climbs)}")
    left = search_forecast.forecast_search(plan, state)
    finalists = max(one.finalists for one in info.arms)
    winners = "winners" if finalists == 1 else f"{finalists} finalists of each search"
    at_most = "at most" if info.looks else "about"
    lines.append(
        f"the search and its winners add {at_most} {_count(left.num_starts, 'start')}, {left.replicates:.1f} whole "
        f"replicates, {format_duration(left.seconds)}; {winners} and all other arms are compared on fresh seeds, "
        f"{', '.join(map(str, info.confirm_seeds))}"
    )
    looks = ", ".join(f"{n} at {alpha:g}" for n, alpha in zip(info.looks, info.alphas, strict=True))
    if info.path:
        lines.append(
            f"path from the own settings of {info.path} to its winner: each field that is left is tried with "
            f"{PATH_SEEDS} seeds of the search, the best is next; the whole path runs on the fresh seeds"
        )
    settled = (
        "settled" if state.searches.is_settled(info) else f"next after {len(state.searches.fresh_seeds(info))}"
    )
    return (
        [
            *lines,
            f"looks at fresh seeds: {looks}; more start only if winners cannot be told from the baseline yet "
            f"({settled})",
        ]
        if info.looks
        else lines
    )


def _told(search: SearchPlan, arm: str) -> str:
    told = search.told.get(arm, ())
    return f"; told {_count(len(told), 'candidate')} of earlier searches" if told else ""


def _ablation(plan: Plan) -> list[str]:
    """Return what an ablation compares, in one line; nothing without one."""
    info = plan.study.ablation
    if info is None:
        return []
    fraction = "" if info.resolution is None else f" of resolution {info.resolution}"
    placebos = f", and {_count(len(info.placebos), 'placebo')}" if info.placebos else ""
    whose = {
        "declared": info.around,
        "winner": f"the winner of {info.around}",
        "each": f"{info.around}, each arm tuned with the same budget",
    }[info.tuning]
    return [
        f"ablation of {whose}: {info.design.replace('_', ' ')}{fraction} over {', '.join(info.components)}; "
        f"{_count(len(info.arms), 'arm')}{placebos}; `ablate` analyses all of them by one model"
    ]


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _size_classes(plan: Plan, machine: Inventory) -> list[str]:
    """Return the requests of trials and how many run at once, by size class and kind of GPU."""
    lines = []
    for size_class in plan.packing.classes:
        number = list(plan.packing.index_of.values()).count(size_class.index)
        who = "each asks" if len(plan.packing.classes) == 1 else f"{number} of the configurations ask"
        for request, slots in zip(size_class.requests, size_class.slots, strict=True):
            workers = f"{request.workers} workers of " if request.workers > 1 else ""
            gpu = f", {request.gpu:g} GPU" if request.gpu else ""
            driver = f", and {request.driver_mib} MiB to drive them" if request.workers > 1 else ""
            limit = ", as many as there are cores for" if is_limited_by_cores(request, machine) else ""
            lines.append(
                f"{who} for {workers}{request.cpu:g} CPU{gpu}, {request.memory_mib} MiB{driver}; "
                f"{slots} run at a time on {_place(request, machine)}{limit}"
            )
    if len(plan.packing.classes) > 1:
        lines.append(f"rounding to these sizes wastes {plan.packing.waste:.0%} of the memory that is asked for")
    return lines


def _place(request: Request, machine: Inventory) -> str:
    """Return where trials run: on the CPU, or on which GPUs and how many of them."""
    if not request.gpu:
        return "cpu"
    kinds: dict[str, int] = {}
    for gpu in machine.gpus:
        if request.gpu_kind in {None, gpu.kind}:
            kinds[gpu.kind] = kinds.get(gpu.kind, 0) + gpu.count
    return " and ".join(f"{count} x {kind}" for kind, count in kinds.items())


def _corrections(plan: Plan) -> list[str]:
    """Return how measured peaks have corrected the estimates."""
    factors = {p.config.architecture.name: p.correction for p in plan.arms if p.correction != 1.0}
    return [
        f"memory of {name}: {factor:.2f} times what is estimated beyond the process, as measured before"
        for name, factor in sorted(factors.items())
    ]


def _violations(arms: Iterable[PlannedArm]) -> list[str]:
    """Return the arms that are known to break a contract, so that their scores mislead."""
    found: dict[str, list[str]] = {}
    for planned in arms:
        for contract in sorted(planned.config.architecture.violates):
            found.setdefault(contract, []).append(planned.arm.name)
    lines = []
    for contract, names in found.items():
        lines.append(f"violate {contract.replace('_', ' ')} by design: {len(names)} arms ({first_few(names)})")
    return lines


def _repetitions(arms: Iterable[PlannedArm]) -> list[str]:
    """Return the arms that share a configuration: the fields in which they differ have no effect there."""
    groups: dict[str, list[PlannedArm]] = {}
    for planned in arms:
        groups.setdefault(planned.config_id, []).append(planned)
    lines = []
    for group in groups.values():
        if len(group) == 1:
            continue
        changes = [planned.arm.changes for planned in group]
        keys = {key: None for own in changes for key in own}
        differing = [key for key in keys if len({repr(own.get(key, "as the base")) for own in changes}) > 1]
        line = f"one configuration, trained once: {first_few([planned.arm.name for planned in group])}"
        if differing:
            line += f"; they differ in {', '.join(differing)}, which makes no difference between them"
        lines.append(line)
    return lines


def _plugin(plan: Plan, plugin: Plugin, state: JournalState) -> str:
    """Return the arms that use a plugin, and whether it was edited since they last ran."""
    arms = ", ".join(p.arm.name for p in plan.arms if plugin in p.config.plugins.values())
    previous = previous_hash(plugin, state)
    edited = f"; it has changed since the last run (sha256 {previous[:12]}): they run again" if previous else ""
    return f"plugin {plugin}, in the arms {arms}{edited}"


def smallest_effect(plan: Plan) -> str:
    """Return the smallest difference to the baseline that the comparisons can detect."""
    effect = plan.smallest_detectable_effect_sd
    if effect is None:
        return "one seed: no interval and no comparison is attainable; give at least 2 seeds"
    n, level = plan.most_seeds
    return (
        f"smallest effect that {n} paired seeds detect: {effect:.2f} standard deviations "
        f"of the paired differences (power .8, level {f'{level:.2g}'.removeprefix('0')}, before Holm's adjustment)"
    )


def claims_table(plan: Plan) -> Table:
    """Return the effect that each claim's test can detect; sd is the standard deviation over seeds."""
    table = text_table("claim", "kind", "settled at", f"with {len(plan.study.compared_seeds)} seeds")
    for claim, found in plan.detectable_effects:
        table.add_row(claim.id, claim.kind.replace("_", " "), claim.settled_at, found.text)
    return table


def plan(output: Output, study: StudyArguments, gpus: str | None = None) -> None:
    """Show the plan, for the resources at hand or for the GPUs that `gpus` describes."""
    find_results(*study).check_writable()  # `run` would refuse it, and estimates take longer
    prepared = prepare(*study, gpus=gpus)
    state = prepared.state
    found = {**prepared.plan.to_json(state), "search": search_forecast.to_json(prepared.plan, state)}
    output.show(found, lambda out: _print_plan(out, prepared, state, gpus))


def _print_plan(out: Console, prepared: Prepared, state: JournalState, gpus: str | None) -> None:
    out.print(f"{prepared.experiment}: {prepared.study.title}", style="bold", markup=False)
    out.print(arms_table(prepared.plan))
    out.print(f"\n{budget(prepared.plan, state, prepared.machine)}", markup=False)
    out.print(str(forecast_of_plan(prepared.plan, prepared.folder, state)), markup=False)
    if prepared.folder.notice:
        out.print(prepared.folder.notice, markup=False)
    if prepared.study.claims:
        out.print()
        out.print(claims_table(prepared.plan))
    next_step = (
        f"next: {prepared.command('run')}" if gpus is None else f"this was planned for {gpus}, not for what is here"
    )
    out.print(f"\nnothing was started; {next_step}", markup=False)


def forecast_of_plan(plan: Plan, folder: ResultsFolder, state: JournalState) -> DiskForecast:
    """Forecast the disk space that the rest of a plan takes."""
    done = {key for key, replicate in state.replicates.items() if replicate.status in RESULTS}
    missing = [replicate.arm for replicate in plan.replicates if replicate.key not in done]
    budgets = [planned.config.budget for planned in missing]
    return forecast(
        (planned.num_parameters for planned in missing),
        num_reports=sum(-(-budget.steps // budget.report_every) for budget in budgets),
        concurrency=plan.concurrency,
        folder=folder.path,
    )
