"""Several processes compute what one computes: the loop under a real process group (gloo), without Ray."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import distributed as dist
from torch import multiprocessing

from tests.support.models.configs import KURAMOTO, small_assignment, small_config
from tests.unit.trainables.training.test_loop import NOISY, untimed
from trainables.batch import Batch
from trainables.config.trial import TrialConfig
from trainables.training.loop import Report, Trainer
from trainables.training.numerics import Numerics
from trainables.training.parallel.ranks import SOLO, Ranks
from trainables.worker.attempt import Attempt

CUT = 7
"""Step at which a run is cut and continued; reports are at 5, 10, 15 and 20."""

PLAIN = small_config(budget={"steps": 20})
NOISE = small_config(architecture=NOISY, budget={"steps": 20})
PROBED = small_config(architecture=KURAMOTO, budget={"steps": 20, "probe_at": "reports"})
SAMPLED = {"samples": {"num_samples": 2, "prompt_tokens": 4, "num_tokens": 8, "temperature": 0.0}}
"""A task that generates, from the model's state."""
TURNING = {
    how: small_config(
        architecture={"name": "tpi", "variant": name, "dropout": 0.0}, task=SAMPLED, budget={"steps": 20}
    )
    for how, name in (("replicated", "v6_query_offset"), ("fsdp", "v1_simple"))
}
CHOOSING = small_config(optimizer={"learning_rate": 0.02}, budget={"steps": 20, "score_at": "best", "patience": 1})
"""Its best report is neither its first nor its last."""


@dataclass
class Run:
    """What a run ends with."""

    reports: list[Report]
    parameters: dict[str, torch.Tensor]


def trainer(config: TrialConfig, ranks: Ranks = SOLO, **numerics: Any) -> Trainer:
    return Trainer(config, 3, config.task.build(None), Numerics(workers=ranks.size, **numerics), ranks)


def finish(running: Trainer) -> Run:
    """Train to the end."""
    reports = untimed(list(running.reports()))
    parameters, _ = running._held.state(running.optimizer, keep=True)
    return Run(reports, copy.deepcopy(parameters))


def cut(config: TrialConfig, path: Path, ranks: Ranks = SOLO, **numerics: Any) -> None:
    """Train for CUT steps and save."""
    running = trainer(config, ranks, **numerics)
    for _ in range(CUT):
        running._train_one_step()
        if running.step == config.budget.report_every:
            running._report()
    running.save(path)


def resume(config: TrialConfig, path: Path, ranks: Ranks = SOLO, **numerics: Any) -> Run:
    """Continue from what `cut` saved, to the end."""
    running = trainer(config, ranks, **numerics)
    ranks.gather(0)  # the file is there once all ranks have saved
    running.load(path)
    return finish(running)


def explode_on_the_last_rank(ranks: Ranks) -> Run:
    """Train; the last rank's part of one batch has an infinite loss."""
    running = trainer(PLAIN, ranks)
    original = running._backward

    def explodes(batch: Batch, weight: float) -> torch.Tensor:
        is_bad = ranks.rank == ranks.size - 1 and running.step == CUT
        return original(batch, weight) + (float("inf") if is_bad else 0.0)

    running._backward = explodes  # type: ignore[method-assign]
    return finish(running)


def replicated(folder: Path, ranks: Ranks) -> dict[str, Any]:
    """Run everything that two workers with a model each are asked for."""
    cut(PLAIN, folder / "two.pt", ranks)
    attempts = Attempt(small_assignment(folder, workers=ranks.size, config=PLAIN.model_dump(mode="json")), ranks)
    return {
        "plain": finish(trainer(PLAIN, ranks)),
        "again": finish(trainer(PLAIN, ranks)),
        "continued": resume(PLAIN, folder / "two.pt", ranks),
        "continued from one": resume(PLAIN, folder / "one.pt", ranks),
        "noise": finish(trainer(NOISE, ranks)),
        "noise in micro-batches": finish(trainer(NOISE, ranks, micro_batch_size=1)),
        "wild": explode_on_the_last_rank(ranks),
        "events": list(attempts.events()),
    }


def sharded(folder: Path, ranks: Ranks) -> dict[str, Any]:
    """Run everything that two workers with half a model each are asked for."""
    how: dict[str, Any] = {"sharding": "fsdp"}
    cut(PROBED, folder / "two.pt", ranks, **how)
    running = trainer(PROBED, ranks, **how)
    local = sum(p.to_local().numel() for p in running.model.parameters())  # type: ignore[attr-defined]
    return {
        "plain": finish(running),
        "again": finish(trainer(PROBED, ranks, **how)),
        "in micro-batches": finish(trainer(PROBED, ranks, micro_batch_size=1, **how)),
        "continued": resume(PROBED, folder / "two.pt", ranks, **how),
        "continued from one": resume(PROBED, folder / "one.pt", ranks, **how),
        "share": local / running.num_parameters,
    }


def continued(folder: Path, ranks: Ranks) -> dict[str, Any]:
    """Cut and continue."""
    cut(PLAIN, folder / "cut.pt", ranks)
    return {"plain": finish(trainer(PLAIN, ranks)), "continued": resume(PLAIN, folder / "cut.pt", ranks)}


def computed_twice(folder: Path, ranks: Ranks) -> dict[str, Any]:
    """Train a noisy model in both ways, with its blocks kept for the backward pass and computed again."""
    anew = small_config(architecture={**NOISY, "checkpoint_blocks": True}, budget={"steps": 20})
    return {
        f"{sharding} {name}": finish(trainer(config, ranks, sharding=sharding))
        for sharding in ("replicated", "fsdp")
        for name, config in (("kept", NOISE), ("again", anew))
    }


def chosen(folder: Path, ranks: Ranks) -> dict[str, Any]:
    """Score the best of the reports, cut and continued, in both ways to hold the model."""
    found = {}
    for how in ("replicated", "fsdp"):
        cut(CHOOSING, folder / f"{how}.pt", ranks, sharding=how)
        found[how] = finish(trainer(CHOOSING, ranks, sharding=how))
        found[f"{how} continued"] = resume(CHOOSING, folder / f"{how}.pt", ranks, sharding=how)
    return found


def turning(folder: Path, ranks: Ranks) -> dict[str, Any]:
    """Train models whose layers scan over phases, each in a way to hold it."""
    return {how: finish(trainer(config, ranks, sharding=how)) for how, config in TURNING.items()}


Scenario = Callable[[Path, Ranks], dict[str, Any]]


def _process(rank: int, size: int, scenario: Scenario, folder: Path) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=size)
    try:
        torch.save(scenario(folder, Ranks.joined()), folder / f"rank{rank}.pt")
    finally:
        dist.destroy_process_group()


def on_workers(size: int, scenario: Scenario, folder: Path) -> list[dict[str, Any]]:
    """Run a scenario in `size` processes; return what each of them returned."""
    multiprocessing.set_forkserver_preload([__name__])  # all processes of all scenarios start after one import
    multiprocessing.start_processes(_process, (size, scenario, folder), nprocs=size, start_method="forkserver")
    return [torch.load(folder / f"rank{rank}.pt", weights_only=False) for rank in range(size)]


def assert_equal(run: Run, other: Run) -> None:
    assert run.reports == other.reports
    for name, parameter in run.parameters.items():
        assert torch.equal(parameter, other.parameters[name]), name


def assert_close(run: Run, other: Run, *, tolerance: float = 1e-5) -> None:
    assert [r.step for r in run.reports] == [r.step for r in other.reports]
    for report, counterpart in zip(run.reports, other.reports, strict=True):
        assert report.metrics == pytest.approx(counterpart.metrics, rel=tolerance, abs=tolerance)
    for name, parameter in run.parameters.items():
        assert torch.allclose(parameter, other.parameters[name], rtol=0, atol=tolerance), name


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """Two workers that hold the whole model each."""
    folder = tmp_path_factory.mktemp("replicated")
    cut(PLAIN, folder / "one.pt")
    return folder, on_workers(2, replicated, folder)


def test_two_workers_compute_what_one_does(two: Any) -> None:
    _, (first, _) = two
    assert_close(first["plain"], finish(trainer(PLAIN)))


def test_two_workers_are_one_worker_in_two_micro_batches_noise_included(two: Any) -> None:
    """Bit for bit: halves are exact in binary, so the mean over two ranks rounds as the sum of two halves."""
    _, (first, _) = two
    assert_equal(first["noise"], finish(trainer(NOISE, micro_batch_size=3)))
    assert_close(first["noise in micro-batches"], finish(trainer(NOISE, micro_batch_size=1)))
    assert first["noise"].reports != first["noise in micro-batches"].reports


def test_equal_numerics_give_equal_bits_on_every_rank_and_every_time(two: Any) -> None:
    _, (first, second) = two
    assert_equal(first["plain"], first["again"])
    assert_equal(first["plain"], second["plain"])


def test_a_continuation_is_bit_exact_and_the_number_of_workers_may_change(two: Any) -> None:
    folder, (first, _) = two
    rest = Run([r for r in first["plain"].reports if r.step > CUT], first["plain"].parameters)
    assert_equal(first["continued"], rest)
    assert_close(first["continued from one"], rest)
    assert_close(resume(PLAIN, folder / "two.pt"), rest)


def test_divergence_of_one_rank_ends_all_of_them_at_the_same_report(two: Any) -> None:
    _, ranks = two
    assert ranks[0]["wild"].reports == ranks[1]["wild"].reports
    last = ranks[0]["wild"].reports[-1]
    assert (last.step, last.outcome, last.reason) == (10, "diverged", "training loss became inf by step 10")


def test_all_ranks_yield_the_events_of_one_and_the_first_writes_the_folder(two: Any) -> None:
    folder, ranks = two
    own = {"pid", "seconds"}
    first, second = ([{k: v for k, v in e.items() if k not in own} for e in rank["events"]] for rank in ranks)
    assert [event.get("outcome") for event in first] == [None, None, None, None, "finished"]
    assert first == second
    assert (first[0]["numerics"]["workers"], first[0]["numerics"]["sharding"]) == (2, "replicated")
    assert len((folder / "seed=0" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()) == 4
    log = (folder / "seed=0" / "log.txt").read_text(encoding="utf-8")
    assert log.count(" started at step 0") == 2
    assert log.count(" rank 1: ") == 2


@pytest.fixture(scope="module")
def halves(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """Two workers that hold half of the model each."""
    folder = tmp_path_factory.mktemp("sharded")
    cut(PROBED, folder / "one.pt")
    return folder, on_workers(2, sharded, folder)


@pytest.mark.slow  # dividing the models takes 20 s
def test_two_halves_of_a_model_compute_what_the_whole_does(halves: Any) -> None:
    folder, (first, second) = halves
    whole = finish(trainer(PROBED))
    assert any(name.startswith("probe/") for name in first["plain"].reports[-1].metrics)
    assert first["share"] == pytest.approx(0.5, abs=0.05)
    assert_close(first["plain"], whole)
    assert_close(first["in micro-batches"], whole)
    assert_equal(first["plain"], first["again"])
    assert_equal(first["plain"], second["plain"])
    rest = Run([r for r in first["plain"].reports if r.step > CUT], first["plain"].parameters)
    assert_equal(first["continued"], rest)
    assert_close(first["continued from one"], rest)
    assert_close(resume(PROBED, folder / "two.pt"), rest)


@pytest.mark.slow
def test_blocks_that_are_computed_anew_change_nothing_on_two_workers(tmp_path: Path) -> None:
    """Noise included: the second forward pass of a block draws what the first one drew."""
    for found in on_workers(2, computed_twice, tmp_path):
        for sharding in ("replicated", "fsdp"):
            assert_equal(found[f"{sharding} again"], found[f"{sharding} kept"])
        assert_close(found["fsdp again"], found["replicated again"])


@pytest.mark.slow
def test_two_workers_scan_over_phases_as_one_does(tmp_path: Path) -> None:
    alone = {how: finish(trainer(config)) for how, config in TURNING.items()}
    assert "probe/tpi_offset_gradient_ratio" in alone["replicated"].reports[-1].metrics
    assert "val/sample_unigram_kl" in alone["fsdp"].reports[-1].metrics
    for found in on_workers(2, turning, tmp_path):
        for how, run in found.items():
            assert_close(run, alone[how], tolerance=1e-3)


@pytest.mark.slow
def test_two_workers_choose_the_weights_that_one_does(tmp_path: Path) -> None:
    alone = finish(trainer(CHOOSING))
    step = alone.reports[-1].metrics["train/scored_step"]
    assert CUT < step < 20
    first, second = on_workers(2, chosen, tmp_path)
    for how in ("replicated", "fsdp"):
        assert_close(first[how], alone, tolerance=1e-3)
        assert_equal(first[how], second[how])
        rest = Run([r for r in first[how].reports if r.step > CUT], first[how].parameters)
        assert_equal(first[f"{how} continued"], rest)
        assert_close(resume(CHOOSING, tmp_path / f"{how}.pt"), rest, tolerance=1e-3)


@pytest.mark.slow  # three processes on two cores
def test_with_three_workers_too_a_continuation_is_bit_exact(tmp_path: Path) -> None:
    """Sums of three depend on their order: it must not change from the first step to the later ones."""
    first = on_workers(3, continued, tmp_path)[0]
    rest = Run([r for r in first["plain"].reports if r.step > CUT], first["plain"].parameters)
    assert_equal(first["continued"], rest)
    assert_close(first["plain"], finish(trainer(PLAIN)))


def test_a_batch_that_cannot_be_shared_and_a_wrong_count_are_refused() -> None:
    with pytest.raises(ValueError, match="6 sequences cannot be divided among 4 workers"):
        trainer(PLAIN, Ranks(0, 4))
    with pytest.raises(ValueError, match="numerics say 1 workers, but there are 2"):
        Trainer(PLAIN, 0, PLAIN.task.build(None), Numerics(), Ranks(0, 2))
