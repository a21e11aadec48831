"""The replicates of a study as assignments, for runners that are not ours."""

from __future__ import annotations

import tempfile
from pathlib import Path

from cluster.inventory import Inventory, local_inventory
from sweeps.plan.builder import build_plan
from sweeps.plan.plan import Plan
from sweeps.studies.resolve import load_study
from trainables.worker.assignment import Assignment


def plan_of(study: str, *overrides: str, cpus: int | None = None) -> Plan:
    """Return the plan of a study at smoke scale, on this machine or on `cpus` of its cores."""
    here = local_inventory()
    offered = here if cpus is None else Inventory(cpus=cpus, memory_mib=here.memory_mib)
    return build_plan(load_study(study, "smoke", overrides), offered, None)


def assignments_of(plan: Plan) -> list[Assignment]:
    """Return one assignment for every replicate of a plan, in fresh folders."""
    root = Path(tempfile.mkdtemp(prefix="phasesweep-bench-"))
    return [
        Assignment(
            config_id=planned.config_id,
            seed=seed,
            config=planned.config.model_dump(mode="json"),
            data_hash=planned.data_hash,
            data_dir=None,
            replicate_dir=str(root / planned.config_id / f"seed={seed}"),
            device="cpu",
            threads=1,
            micro_batch_size=None,
            deterministic=True,
            report_timeout_seconds=plan.study.resources.report_timeout_seconds,
        )
        for planned, seed in ((each.arm, each.seed) for each in plan.replicates)
    ]
