"""The plan of a study: what will run, what it needs, how long it takes. Building it starts nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.claims.claim import Claim
from analysis.claims.power import DetectableEffect, detectable_effect
from analysis.records.description import SweepInfo
from analysis.records.journal import JournalState
from analysis.records.replicates import Key
from analysis.statistics.inference import smallest_detectable_effect
from analysis.statistics.looks import LEVEL
from cluster.placement.request import Request
from cluster.placement.size_classes import Packing, SizeClass
from sweeps.fields import flatten
from sweeps.plan.units import PlannedArm, PlannedReplicate
from sweeps.studies.study import Study
from trainables.registry import Plugin
from trainables.units import MIB

if TYPE_CHECKING:
    from sweeps.plan.search.candidates import SearchPlan

ASSUMED_FLOPS_PER_CORE = 2e10
"""Float32 throughput of one core assumed before anything was measured; forecasts say when they use it."""
ASSUMED_FLOPS_PER_GPU = 2e13
ASSUMED_OVERHEAD_SECONDS = 1.0
"""Time to build, score and probe a small model."""
BYTES_OF_FLOAT32 = 4
SECONDS_TO_START_WORKERS = 20.0
"""From the start of a trial of several workers to its first step, as measured on two cores; nothing of it is
reused by the next trial."""


@dataclass(frozen=True)
class Plan:
    """What a study consists of, whether or not it has run."""

    study: Study
    arms: tuple[PlannedArm, ...]
    prerequisites: tuple[PlannedArm, ...]
    """Configurations that are trained because arms start with their weights, once each."""
    packing: Packing
    """The size class of each `config_id`."""
    sizes: Packing
    """The same, preceded by larger classes for trials that run out of memory."""
    device: str
    sweep: SweepInfo
    """The description of the study, without the scores of simple models."""
    data_dir: Path | None
    search: SearchPlan | None = None
    """The search for the settings of some arms, which adds configurations while it runs."""
    chosen: frozenset[Key] | None = None
    """The replicates to run; None: all. What is described stays the whole study."""
    references: Callable[[], dict[str, dict[str, float]]] = dict
    """Computes the scores of simple models on the baseline's task, as {model: {metric: value}}."""

    def described(self) -> SweepInfo:
        """Return the whole description, as it begins a journal; computing the references takes a moment."""
        return replace(self.sweep, references=self.references())

    @property
    def request(self) -> Request:
        """The request of the largest trials; all trials request the same cores and workers."""
        return self.packing.classes[0].requests[0]

    @property
    def concurrency(self) -> int:
        """The most trials that run at once: as many as fit of the smallest."""
        return max(size_class.concurrency for size_class in self.packing.classes)

    @cached_property
    def replicates(self) -> tuple[PlannedReplicate, ...]:
        """Everything to run, in this order: prerequisites; then size classes from the largest, within each seed by
        seed, the baseline first. Arms that compute the same appear once.

        Large trials come first because small ones fit into the gaps that they leave. Seed by seed, a sweep that is
        cut short still holds paired replicates.
        """
        unique: dict[str, PlannedArm] = {}
        for planned in sorted(self.arms, key=lambda planned: planned.arm.role != "baseline"):
            if planned.seeds(self.study):  # without any, a search decides what of it runs
                unique.setdefault(planned.config_id, planned)
        by_class: dict[int, list[PlannedArm]] = {size_class.index: [] for size_class in self.packing.classes}
        for planned in unique.values():
            by_class[self.size_class(planned).index].append(planned)
        before = [PlannedReplicate(each, seed) for each in self.prerequisites for seed in each.seeds(self.study)]
        known = {replicate.key for replicate in before}
        compared = [
            PlannedReplicate(planned, seed)
            for size_class in self.packing.classes
            for seed in self.study.compared_seeds
            for planned in by_class[size_class.index]
        ]
        everything = (*before, *(replicate for replicate in compared if replicate.key not in known))
        return tuple(one for one in everything if self.chosen is None or one.key in self.chosen)

    @property
    def units(self) -> tuple[PlannedArm, ...]:
        """Everything that is trained: the prerequisites, then the arms."""
        return (*self.prerequisites, *self.arms)

    @cached_property
    def kept(self) -> frozenset[Key]:
        """The replicates whose weights others start with."""
        return frozenset(key for replicate in self.replicates for key in replicate.depends_on)

    def size_class(self, planned: PlannedArm) -> SizeClass:
        """Return the class of an arm."""
        return self.packing.class_of(planned.sized_as or planned.config_id)

    def unit(self, config_id: str) -> PlannedArm:
        """Return what is trained as a configuration: a prerequisite, an arm, or one that the search has proposed.

        Raises:
            KeyError: If there is none.
        """
        if config_id in self._by_id:
            return self._by_id[config_id]
        if self.search is None:
            raise KeyError(config_id)
        return self.search.born[config_id]

    @cached_property
    def _by_id(self) -> dict[str, PlannedArm]:
        return {planned.config_id: planned for planned in reversed(self.units)}

    @cached_property
    def keys(self) -> tuple[Key, ...]:
        """(config_id, seed) of every replicate."""
        return tuple(replicate.key for replicate in self.replicates)

    def forecast_seconds(
        self, state: JournalState | None = None, keys: Iterable[Key] | None = None
    ) -> tuple[float, str]:
        """Return the forecast wall time and its basis.

        A configuration that has not run yet is extrapolated by its size from those that have.

        Args:
            state: What has been measured.
            keys: What will run; None: the whole study.
        """
        each, num_measured = self.seconds_each(state or JournalState())
        runs = Counter(config_id for config_id, _ in (self.keys if keys is None else keys))
        total = sum(n * each[one] / self.packing.class_of(one).concurrency for one, n in runs.items())
        return total, f"{num_measured} of {len(each)} configurations measured"

    def seconds_each(self, state: JournalState) -> tuple[dict[str, float], int]:
        """Return the forecast wall time of one replicate of each configuration, and how many were measured."""
        measured = self._measured_seconds(state)
        assumed = {planned.config_id: self._assumed_seconds(planned) for planned in self.units}
        pace = sum(measured.values()) / sum(assumed[one] for one in measured) if measured else 1.0
        starting = SECONDS_TO_START_WORKERS if self.request.workers > 1 else 0.0
        each = {one: measured.get(one, pace * seconds) + starting for one, seconds in assumed.items()}
        return each, len(measured)

    def _measured_seconds(self, state: JournalState) -> dict[str, float]:
        """Return the mean wall time of the finished replicates of each configuration of the plan."""
        found: dict[str, list[float]] = {planned.config_id: [] for planned in self.units}
        for replicate in state.replicates.values():
            if replicate.status == "finished" and replicate.seconds and replicate.config_id in found:
                found[replicate.config_id].append(replicate.seconds)
        return {config_id: sum(seen) / len(seen) for config_id, seen in found.items() if seen}

    def core_seconds(self, state: JournalState | None = None) -> float:
        """Return the forecast cost of the whole study: busy cores times seconds."""
        each, _ = self.seconds_each(state or JournalState())
        cores = self.request.cpu * self.request.workers
        return cores * sum(each[config_id] for config_id, _ in self.keys)

    @property
    def detectable_effects(self) -> list[tuple[Claim, DetectableEffect]]:
        """The effect that each claim's test can detect with these seeds."""
        n, _ = self.most_seeds
        exact = {metric.name for metric in self.sweep.all_metrics if metric.exact}
        return [(claim, detectable_effect(claim, n, is_exact=claim.metric in exact)) for claim in self.study.claims]

    @property
    def smallest_detectable_effect_sd(self) -> float | None:
        """Smallest paired difference these seeds detect, in its standard deviations; None below 2 seeds."""
        n, level = self.most_seeds
        return smallest_detectable_effect(n, alpha=level) if n >= 2 else None

    @property
    def most_seeds(self) -> tuple[int, float]:
        """The most seeds that arms are compared on, and the level of that comparison: that of the last look."""
        search = self.study.search
        if search is None or not search.confirm.looks:
            return len(self.study.compared_seeds), LEVEL
        return len(search.confirm_seeds), search.confirm.levels[-1]

    def _assumed_seconds(self, planned: PlannedArm) -> float:
        """Return the seconds of one replicate, of a guessed throughput.

        Operations: 6 per trained weight and token, 4 per frozen one, 2 per weight and scored token.
        """
        budget = planned.config.budget
        all_weights = planned.memory.parameters_mib * MIB / BYTES_OF_FLOAT32
        frozen = max(0.0, all_weights - planned.num_parameters)
        a_token = 6.0 * planned.num_parameters + 4.0 * frozen
        operations = a_token * budget.steps * budget.batch_size * planned.context_length
        operations += 2.0 * (planned.num_parameters + frozen) * planned.scored_tokens
        request = self.size_class(planned).requests[0]
        throughput = ASSUMED_FLOPS_PER_GPU * request.gpu or ASSUMED_FLOPS_PER_CORE * request.cpu
        return ASSUMED_OVERHEAD_SECONDS + operations / (throughput * request.workers)

    def to_json(self, state: JournalState | None = None) -> dict[str, Any]:
        """Return the plan as `plan --json` prints it; schema in `sweeps/cli/schemas/plan.json`."""
        seconds, basis = self.forecast_seconds(state)
        return {
            "study": self.study.name,
            "scale": self.study.scale,
            "device": self.device,
            "prerequisites": [self._describe(planned) for planned in self.prerequisites],
            "configurations": [self._describe(planned) for planned in self.arms],
            "grid": self.study.grid.to_json() if self.study.grid else None,
            "plugins": [
                {**plugin.describe(), "previous_sha256": previous_hash(plugin, state or JournalState())}
                for plugin in self.study.plugins
            ],
            "num_trials": len(self.replicates),
            "num_replicates": len(self.replicates),
            "concurrency": self.concurrency,
            "size_classes": [self._describe_class(size_class) for size_class in self.packing.classes],
            "waste": round(self.packing.waste, 4),
            "forecast_seconds": round(seconds, 1),
            "forecast_core_seconds": round(self.core_seconds(state), 1),
            "forecast_basis": basis,
            "smallest_detectable_effect_sd": self.smallest_detectable_effect_sd,
            "claims": [
                {"id": claim.id, "kind": claim.kind, "settled_at": claim.settled_at, **asdict(found)}
                for claim, found in self.detectable_effects
            ],
        }

    def _describe(self, planned: PlannedArm) -> dict[str, Any]:
        return {
            "config_id": planned.config_id,
            "arm": planned.arm.name,
            "parameters": flatten(planned.arm.config.model_dump(mode="json")),
            "num_parameters": planned.num_parameters,
            "seeds": list(planned.seeds(self.study)),
            "starts_with": {need.role: need.identity for need in planned.dependencies},
            "memory": planned.memory.as_dict(),
            "correction": round(planned.correction, 4),
            "size_class": self.size_class(planned).index,
            "request": _asked(self.size_class(planned).requests[0]),
        }

    def _describe_class(self, size_class: SizeClass) -> dict[str, Any]:
        places = zip(size_class.requests, size_class.slots, strict=True)
        return {
            "size_class": size_class.index,
            "memory_mib": size_class.memory_mib,
            "num_configurations": list(self.packing.index_of.values()).count(size_class.index),
            "concurrency": size_class.concurrency,
            "places": [{"card": request.gpu_kind, "gpu": request.gpu, "concurrency": n} for request, n in places],
        }


def _asked(request: Request) -> dict[str, Any]:
    return {"workers": request.workers, "cpu": request.cpu, "gpu": request.gpu, "memory_mib": request.memory_mib}


def previous_hash(plugin: Plugin, state: JournalState) -> str | None:
    """Return the hash of a plugin in the newest sweep; None if the plugin has not changed since."""
    known = state.sweep.provenance.get("plugins", []) if state.sweep else []
    found = [one["sha256"] for one in known if (one["kind"], one["name"]) == (plugin.kind, plugin.name)]
    return next((sha256 for sha256 in found if sha256 != plugin.sha256), None)
