"""What a plan refuses, and what it proposes instead."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cluster.inventory import Inventory, hypothetical_inventory
from sweeps.errors import UserError
from sweeps.plan.builder import build_plan
from sweeps.studies.resolve import load_study
from tests.support.sweeps.studies import write_study


def test_what_fits_nowhere_is_refused_with_a_micro_batch_that_would_fit(tmp_path: Path) -> None:
    study = load_study(str(write_study(tmp_path)), "laptop", ["budget.batch_size=131072"])
    small = Inventory(cpus=2, memory_mib=1536)
    with pytest.raises(UserError) as refused:
        build_plan(study, small, None)
    said = re.search(
        r"arm '(\w+)': needs (\d+) MiB of memory per trial, this machine has 1536 MiB free; .*"
        r"with --set resources\.micro_batch_size=(\d+) it asks for (\d+) MiB and fits",
        str(refused.value),
    )
    assert said, refused.value
    assert int(said[2]) > 1536 >= int(said[4])
    fixed = load_study(
        str(tmp_path / "tiny.yaml"), "laptop", ["budget.batch_size=131072", f"resources.micro_batch_size={said[3]}"]
    )
    assert build_plan(fixed, small, None).concurrency >= 1


def test_where_memory_is_not_the_reason_no_micro_batch_is_proposed(tmp_path: Path) -> None:
    study = load_study(str(write_study(tmp_path)), "laptop", ["resources.cpus_per_trial=4"])
    with pytest.raises(UserError) as refused:
        build_plan(study, Inventory(cpus=2, memory_mib=1536), None)
    assert "micro_batch_size" not in str(refused.value)


def test_a_plan_for_gpus_that_are_not_here_counts_their_context(tmp_path: Path) -> None:
    sets = ["resources.gpus_per_trial=by_memory", "resources.max_trials_per_gpu=3"]
    study = load_study(str(write_study(tmp_path)), "laptop", sets)
    plan = build_plan(study, hypothetical_inventory("2x24GiB,1x8GiB"), None)
    assert plan.device == "cuda"
    assert plan.arms[0].memory.context_mib == 600.0
    (only,) = plan.packing.classes
    assert dict(zip((r.gpu_kind for r in only.requests), only.slots, strict=True)) == {"24 GiB": 6, "8 GiB": 3}
    assert plan.sweep.provenance["offered_mib"] == 56 * 1024


def test_a_study_may_be_about_a_probe(tmp_path: Path) -> None:
    path = write_study(tmp_path)
    spiral = "{name: pi_spiral, encoding: {scheme: spiral}}"
    text = path.read_text(encoding="utf-8").replace(
        "{name: kuramoto, phase_layers: [0], num_oscillators: 4, num_steps: 1}", spiral
    )
    path.write_text(text.replace("seeds:", "metric: probe/spectral_flatness\nseeds:"), encoding="utf-8")
    sweep = build_plan(load_study(str(path)), Inventory(cpus=2, memory_mib=4096), None).sweep
    assert sweep.primary_metric == "probe/spectral_flatness"
    assert sweep.metric(sweep.primary_metric).exact
    assert sweep.metric(sweep.primary_metric).null == "probe/spectral_flatness_null"


CLAIM = """\
claims:
  C:
    {statement: a rate of .003 is the best, source: a test, kind: response_curve, metric: val/bits_per_byte,
     arms: [transformer, slow, fast], over: optimizer.learning_rate, bounds: [0.002, 0.004], settled_at: laptop}
scales:
"""


def test_the_journal_will_say_where_each_arm_of_a_claim_lies(tmp_path: Path) -> None:
    """The arm that is like the base, too, so that the journal alone can be judged."""
    path = write_study(tmp_path)
    arms = "  {}: {{architecture: {{name: transformer}}, optimizer: {{learning_rate: {}}}}}\n"
    text = path.read_text(encoding="utf-8").replace(
        "scales:\n", arms.format("slow", "1e-3") + arms.format("fast", "1e-2") + CLAIM
    )
    path.write_text(text, encoding="utf-8")
    sweep = build_plan(load_study(str(path)), Inventory(cpus=2, memory_mib=4096), None).sweep
    rates = {arm.arm: arm.claimed for arm in sweep.arms if arm.arm != "kuramoto"}
    assert rates == {
        "transformer": {"optimizer.learning_rate": 3e-3},
        "slow": {"optimizer.learning_rate": 1e-3},
        "fast": {"optimizer.learning_rate": 1e-2},
    }
