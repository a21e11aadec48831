"""What a plan says of GPUs: how many of each kind, and what limits the trials on them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.models.sizes import unmeasured
from tests.support.sweeps.studies import write_study
from tests.support.sweeps.verbs import caller


@pytest.fixture(autouse=True)
def without_sizes() -> Iterator[None]:
    with unmeasured():
        yield


def lines_of(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], gpus: str
) -> list[str]:
    write_study(folder)
    said = caller(folder, monkeypatch, capsys)("plan", "tiny.yaml", "--gpus", gpus)
    assert said.code == 0, said.err
    return [line.partition("; ")[2] for line in said.out.splitlines() if " run at a time on " in line]


def test_gpus_are_counted_kind_by_kind_and_cores_named_where_they_are_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    large, small = lines_of(tmp_path, monkeypatch, capsys, "4x94.5GiB,2x24GiB")
    assert large == "256 run at a time on 4 x 94.5 GiB, as many as there are cores for"
    assert small.endswith(" run at a time on 2 x 24 GiB")


def test_arms_that_are_one_configuration_are_named_with_what_has_no_effect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing in TPI has heads, so that their number need not divide the width either."""
    path = write_study(tmp_path)
    kuramoto = "  kuramoto: {architecture: {name: kuramoto, phase_layers: [0], num_oscillators: 4, num_steps: 1}}\n"
    arms = {
        "plain": "name: tpi",
        "three_heads": "name: tpi, num_heads: 3",
        "slow": "name: tpi, decay_init_window: 9.0",
        "fading": "name: tpi, decay: learned",
    }
    written = "".join(f"  {name}: {{architecture: {{{fields}}}}}\n" for name, fields in arms.items())
    text = path.read_text(encoding="utf-8")
    assert kuramoto in text
    path.write_text(text.replace(kuramoto, written), encoding="utf-8")
    said = caller(tmp_path, monkeypatch, capsys)("plan", "tiny.yaml")
    assert said.code == 0, said.err
    expected = (
        "one configuration, trained once: plain, three_heads, slow; "
        "they differ in architecture.num_heads, architecture.decay_init_window, "
        "which makes no difference between them"
    )
    assert [line for line in said.out.splitlines() if line.startswith("one configuration")] == [expected]
    assert "5 arms (3 distinct configurations) x 2 seeds = 6 replicates" in said.out


def test_a_search_is_planned_and_simulated_before_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    call = caller(tmp_path, monkeypatch, capsys)
    plan = call("plan", "quickstart_search", "--scale", "smoke", "--json").json("plan")
    assert plan["search"]["rungs"][0] == {"steps": 4, "seeds": 1, "expected": 6}
    assert (plan["num_replicates"], plan["search"]["confirm_seeds"]) == (2, [2, 3])
    said = call("plan", "quickstart_search", "--scale", "smoke").out
    assert (
        "search of kuramoto: tpe over optimizer.learning_rate, architecture.coupling; at most 6 candidates" in said
    )
    found = call(
        "simulate",
        "quickstart_search",
        "--set",
        "search.method=sobol",
        "--searches",
        "3",
        "--world",
        "null",
        "--json",
    ).json("simulate")
    assert [row["searches"] for row in found["rows"]] == [3] * len(found["rows"])
    assert all(row["claims"] is not None for row in found["rows"])
