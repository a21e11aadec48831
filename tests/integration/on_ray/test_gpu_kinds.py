"""Several kinds of GPUs in one cluster: Ray sends each trial to the kind that its share was made for."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import ray
from ray import tune

from cluster.inventory import ACCELERATOR_PREFIX, GpuGroup, cluster_inventory
from cluster.placement.size_classes import pack
from cluster.placement.slots import Slots
from sweeps.run.engine import TUNE_ENVIRONMENT
from tests.support.machine.ray_cluster import ray_cluster
from trainables.config.resources import ResourceConfig

pytestmark = [pytest.mark.ray, pytest.mark.slow]

KINDS = {"LARGE": (2, 94_000), "SMALL": (2, 24_000)}


class Where(tune.Trainable):
    """A trial that tells on which node it ran, and with which GPU."""

    def setup(self, config: dict[str, Any]) -> None:
        pass

    def step(self) -> dict[str, Any]:
        return {"node": ray.get_runtime_context().get_node_id(), "gpus": ray.get_gpu_ids(), "done": True}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        pass


def test_each_trial_runs_on_the_kind_that_it_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**TUNE_ENVIRONMENT, "CUDA_VISIBLE_DEVICES": "0,1"}.items():
        monkeypatch.setenv(name, value)
    with ray_cluster() as cluster:
        for kind, (count, _) in KINDS.items():
            cluster.add_node(num_cpus=4, num_gpus=count, resources={f"{ACCELERATOR_PREFIX}{kind}": 1})
        ray.init(address=cluster.address, log_to_driver=False)
        nodes = [node for node in ray.nodes() if node["Resources"].get("GPU")]
        kind_of = {
            node["NodeID"]: next(k for k in KINDS if f"{ACCELERATOR_PREFIX}{k}" in node["Resources"])
            for node in nodes
        }
        inventory = cluster_inventory(
            (node["Resources"], [GpuGroup(kind="as found", memory_mib=memory, free_mib=memory, count=count)])
            for node in nodes
            for count, memory in [KINDS[kind_of[node["NodeID"]]]]
        )
        needs = {f"big {i}": 40_000.0 for i in range(4)} | {f"little {i}": 7_000.0 for i in range(6)}
        packing = pack(ResourceConfig(gpus_per_trial="by_memory"), needs, inventory)
        slots = Slots(packing, look_ahead=1)
        asked = {name: slots.acquire(name, packing.index_of[name]) for name in needs}
        results = tune.Tuner(
            tune.with_resources(Where, lambda config: tune.PlacementGroupFactory([config["resources"]])),
            param_space={"resources": tune.grid_search([request.actor_resources for request in asked.values()])},
            run_config=tune.RunConfig(storage_path=str(tmp_path), verbose=0),
        ).fit()
        assert not results.errors
        ran = Counter(kind_of[result.metrics["node"]] for result in results if result.metrics)
        assert ran == Counter(request.gpu_kind for request in asked.values())
        assert set(ran) == set(KINDS), "both kinds were used"
        assert all(len(result.metrics["gpus"]) == 1 for result in results if result.metrics)
