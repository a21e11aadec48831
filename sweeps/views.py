"""The verbs that look: each prints text, or JSON when given an emitter."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable
from importlib import resources
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

from analysis.records import JournalState
from sweeps.errors import EXIT_DONE, EXIT_FAILURES, UserError, nearest
from sweeps.journal import ClaimBook
from sweeps.missing import is_missing
from sweeps.plan import Plan
from sweeps.resolve import load_study
from sweeps.results_folder import ResultsFolder, results_root
from sweeps.run import prepare
from sweeps.study import SCALES, Study, StudyFile, library
from sweeps.yaml_source import YamlSource

Emit = Callable[[Any], None]


def _table(*headers: str, right: Iterable[int] = ()) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for index, header in enumerate(headers):
        table.add_column(header, justify="right" if index in set(right) else "left", overflow="fold")
    return table


def studies(out: Console, emit: Emit | None) -> None:
    """List the library."""
    rows: list[dict[str, Any]] = []
    for name, path in library().items():
        file = StudyFile.model_validate(YamlSource.read(path).data)
        rows.append({"study": name, "title": file.title, "scales": list(file.scales), "num_arms": len(file.arms)})
    if emit:
        emit(rows)
        return
    table = _table("study", "arms", "title", right=[1])
    for row in rows:
        table.add_row(row["study"], str(row["num_arms"]), row["title"])
    out.print(table)
    out.print(f"\nEvery study has the scales {', '.join(SCALES)}. Next: phasesweep plan STUDY", markup=False)


def families(out: Console, emit: Emit | None) -> None:
    """List architectures and tasks with their fields."""
    from trainables.registry import ARCHITECTURES, TASKS

    listing = {
        registry.kind: {
            name: {
                "version": registry.version(name),
                "meaning": (registry.get(name).__doc__ or "").strip().splitlines()[0],
                "fields": registry.get(name).model_json_schema()["properties"],
            }
            for name in registry.names()
        }
        for registry in (ARCHITECTURES, TASKS)
    }
    if emit:
        emit(listing)
        return
    for kind, entries in listing.items():
        for name, entry in entries.items():
            out.print(f"{kind} {name}: {entry['meaning']}", markup=False, style="bold")
            table = _table("  field", "default", "meaning")
            for field, spec in entry["fields"].items():
                default = "required" if "default" not in spec else str(spec["default"])
                table.add_row(f"  {field}", default, " ".join(spec.get("description", "").split()))
            out.print(table)
            out.print()


def show(out: Console, emit: Emit | None, name: str, scale: str, sets: Iterable[str]) -> None:
    """Show a study, resolved."""
    study = load_study(name, scale, sets)
    if emit:
        emit(study.resolved())
        return
    out.print(study.title, style="bold", markup=False)
    if study.description:
        out.print(study.description, markup=False)
    out.print(yaml.safe_dump(study.resolved(), sort_keys=False, allow_unicode=True), markup=False, end="")


def schema(emit: Emit, of: str) -> None:
    """Print a JSON Schema."""
    if of == "study":
        emit({"$schema": "https://json-schema.org/draft/2020-12/schema", **StudyFile.model_json_schema()})
        return
    folder = resources.files("sweeps") / "schemas"
    known = sorted(item.name.removesuffix(".json") for item in folder.iterdir() if item.name.endswith(".json"))
    if of not in known:
        raise UserError(f"no schema '{of}'; {nearest(of, ['study', *known])}")
    import json

    emit(json.loads((folder / f"{of}.json").read_text(encoding="utf-8")))


def plan(out: Console, emit: Emit | None, name: str, scale: str, sets: Iterable[str]) -> None:
    """Show the plan."""
    from sweeps.progress import format_duration

    prepared = prepare(name, scale, sets)
    described = prepared.plan.to_json(prepared.folder.state())
    if emit:
        emit(described)
        return
    table = _table("arm", "config_id", "parameters", "memory", "changes", right=[2, 3])
    for planned in prepared.plan.arms:
        changes = ", ".join(f"{key.split('.')[-1]}={value}" for key, value in planned.arm.changes.items())
        memory = f"{planned.memory.total_mib:.0f} MiB"
        table.add_row(planned.arm.name, planned.config_id, f"{planned.num_parameters:,}", memory, changes)
    request = prepared.plan.request
    seconds, basis = prepared.plan.forecast_seconds(prepared.folder.state())
    gpu = f", {request.gpu:g} GPU" if request.gpu else ""
    out.print(f"{prepared.experiment}: {prepared.study.title}", style="bold", markup=False)
    out.print(table)
    out.print(
        f"\n{len(prepared.plan.arms)} arms x {len(prepared.study.seeds)} seeds = {described['num_replicates']} "
        f"replicates\neach asks for {request.cpu:g} CPU{gpu}, {request.memory_mib} MiB; "
        f"{prepared.plan.concurrency} run at a time on {prepared.plan.device}\n"
        f"forecast {format_duration(seconds)} ({basis}), "
        f"{seconds * prepared.plan.concurrency * request.cpu:,.0f} core-seconds\n"
        f"{_smallest_effect(prepared.plan)}\n"
        f"nothing was started; next: {prepared.command('run')}",
        markup=False,
    )


def _smallest_effect(plan: Plan) -> str:
    effect = plan.smallest_detectable_effect_sd
    if effect is None:
        return "one seed: no interval and no comparison is attainable; give at least 2 seeds"
    return (
        f"smallest effect that {len(plan.study.seeds)} paired seeds detect: {effect:.2f} standard deviations "
        "of the paired differences (power .8, level .05, before Holm's adjustment)"
    )


def status(out: Console, emit: Emit | None, name: str, scale: str, sets: Iterable[str]) -> None:
    """Show how far a study is, from its journal alone: neither data nor Ray is needed."""
    study = load_study(name, scale, sets)
    folder = ResultsFolder.of(results_root(), study)
    state = folder.state()
    drivers = ClaimBook.drivers(folder.claims)
    rows = _status_rows(study, state, is_running=bool(drivers))
    counts = Counter(row[2] for row in rows)
    num_missing = sum(is_missing(state.replicates.get(key)) for key in _planned_keys(study, state))
    if emit:
        emit(
            {
                "study": study.name,
                "scale": study.scale,
                "folder": str(folder.path),
                "statuses": dict(counts),
                "num_replicates": len(rows),
                "num_missing": num_missing,
                "drivers": drivers,
            }
        )
        return
    out.print(f"{study.name}@{study.folder_name} in {folder.path}", style="bold", markup=False)
    table = _table("arm", "seed", "status", "step", "seconds", "message", right=[1, 3, 4])
    for row in rows:
        table.add_row(*row)
    out.print(table)
    summary = ", ".join(f"{count} {word}" for word, count in sorted(counts.items()))
    at_work = f"at work: {', '.join(drivers)}" if drivers else "no driver is at work"
    out.print(f"\n{summary}; {num_missing} to run; {at_work}", markup=False)


def _planned_keys(study: Study, state: JournalState) -> list[tuple[str, int]]:
    """Return (config_id, seed) of every replicate; before the first run an arm's name stands for its id."""
    arms = state.sweep.arms if state.sweep else ()
    names = [arm.config_id for arm in arms] or [arm.name for arm in study.arms]
    return [(name, seed) for seed in study.seeds for name in dict.fromkeys(names)]


def _status_rows(study: Study, state: JournalState, *, is_running: bool) -> list[tuple[str, ...]]:
    arms = {arm.config_id: arm.arm for arm in reversed(state.sweep.arms)} if state.sweep else {}
    rows: list[tuple[str, ...]] = []
    for config_id, seed in _planned_keys(study, state):
        replicate = state.replicates.get((config_id, seed))
        arm = arms.get(config_id, config_id)
        if replicate is None:
            rows.append((arm, str(seed), "waiting", "–", "–", ""))
            continue
        word = replicate.status or ("running" if is_running else "unfinished")
        step = str(replicate.reports[-1].step) if replicate.reports else "–"
        seconds = f"{replicate.seconds:.1f}" if replicate.seconds is not None else "–"
        rows.append((arm, str(seed), word, step, seconds, replicate.message))
    return rows


def results(
    out: Console, emit: Emit | None, name: str, scale: str, sets: Iterable[str], metric: str | None
) -> None:
    """Print the table of arms."""
    from analysis.results import summarise
    from analysis.tables import render_text

    study = load_study(name, scale, sets)
    folder = ResultsFolder.of(results_root(), study)
    state = folder.state()
    if state.sweep is None:
        raise UserError(f"no results in {folder.path}; start with: phasesweep run {name} --scale {scale}")
    known = [info.name for info in state.sweep.all_metrics]
    if metric is not None and metric not in known:
        raise UserError(f"--metric: unknown metric '{metric}'; {nearest(metric, known)}")
    table = summarise(state, metric)
    if emit:
        emit(table.to_json())
    else:
        out.print(render_text(table), markup=False, end="")


def ui(out: Console, name: str | None, scale: str, sets: Iterable[str], port: int) -> None:
    """Serve the MLflow page until Ctrl-C."""
    from sweeps import tracking
    from sweeps import ui as server

    uri = tracking.default_tracking_uri(results_root(), os.environ.get("MLFLOW_TRACKING_URI"))
    experiment = None
    if name is not None:
        study = load_study(name, scale, sets)
        experiment = f"{study.name}@{study.folder_name}"
    server.serve(uri, experiment=experiment, port=port, say=lambda line: out.print(line, markup=False))


def doctor(out: Console, emit: Emit | None) -> int:
    """Check the environment; return the exit code."""
    from sweeps import tracking
    from sweeps.doctor import run_checks

    data_dir = os.environ.get("PHASESWEEP_DATA")
    uri = tracking.default_tracking_uri(results_root(), os.environ.get("MLFLOW_TRACKING_URI"))
    checks = run_checks(results_root=results_root(), data_dir=data_dir, tracking_uri=uri)
    failed = any(check.ok is False for check in checks)
    if emit:
        emit([{"name": c.name, "ok": c.ok, "detail": c.detail, "cure": c.cure} for c in checks])
        return EXIT_FAILURES if failed else EXIT_DONE
    table = _table("", "check", "finding")
    for check in checks:
        mark = {True: "[green]ok[/green]", False: "[red]wrong[/red]", None: "note"}[check.ok]
        cure = "" if check.ok or not check.cure else f"\ncure: {check.cure}"
        table.add_row(mark, check.name, f"{check.detail}{cure}".replace("[", "\\["))
    out.print(table)
    out.print("\nsomething is wrong; each line above says how to mend it" if failed else "\nall is well")
    return EXIT_FAILURES if failed else EXIT_DONE
