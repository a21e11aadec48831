"""What `ablate` finds, on journals whose truth is written into them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.records.journal import JournalState, read_journal
from analysis.report.ablations import ablation_markdown, effects_forest, notes, table_of
from analysis.results.ablations import EffectRow, deciding_test
from analysis.statistics.block_model import fit_blocks
from analysis.statistics.inference import holm
from search_spaces.designs import ablation
from tests.support.sweeps.journals import journal_events, write_journal

Truth = Callable[[frozenset[str]], float]


def state_of(
    folder: Path,
    truth: Truth,
    components: Sequence[str] = "abc",
    *,
    design: Any = "full_factorial",
    noise: float = 0.001,
    seeds: int = 4,
    statuses: Mapping[tuple[str, int], str | None] | None = None,
    resolution: int | None = None,
) -> JournalState:
    """Return a journal of an ablation: the arm of `ab` is called `ab`, a placebo `sham`."""
    points = ablation(design, components, resolution=resolution)
    arms = {"".join(present) or "none": present for present in points}
    whole = "".join(components)
    means = {name: truth(frozenset(present)) for name, present in arms.items()}
    means = {"base": 9.0, **means, whole: truth(frozenset(components)), "sham": truth(frozenset(components)) + 1.0}
    described = {
        "around": whole,
        "design": design,
        "resolution": resolution,
        "components": list(components),
        "arms": {name: list(present) for name, present in arms.items()},
        "placebos": ["sham"],
    }
    events = journal_events(
        means, seeds=range(seeds), seed_spread=0.05, noise=noise, statuses=statuses, ablation=described
    )
    path = folder / "journal.jsonl"
    write_journal(path, events)
    return read_journal(path)


def additive(present: frozenset[str]) -> float:
    """`a` takes half a bit away, `b` a quarter, `c` nothing."""
    return 3.0 - 0.5 * ("a" in present) - 0.25 * ("b" in present)


def need_each_other(present: frozenset[str]) -> float:
    """`a` and `b` take half a bit away together, and nothing alone."""
    return 3.0 - 0.5 * ({"a", "b"} <= present)


def values(rows: Sequence[EffectRow]) -> dict[str, float]:
    return {"".join(row.components): row.effect for row in rows if row.effect is not None}


def test_effects_of_components_that_add_up(tmp_path: Path) -> None:
    table = table_of(state_of(tmp_path, additive))
    assert values(table.effects) == pytest.approx({"a": -0.5, "b": -0.25, "c": 0.0}, abs=0.002)
    assert values(table.interactions) == pytest.approx(dict.fromkeys(("ab", "ac", "bc"), 0.0), abs=0.003)
    assert values(table.placebos) == pytest.approx({"sham": -1.0}, abs=0.002)
    assert [row.reading for row in table.effects] == ["better", "better", "not separable at this n"]
    assert table.placebos[0].reading == "better"
    assert (table.n_arms, table.n_values, table.n_missing) == (8, 32, 0)
    assert table.residual_df == 32 - 6 - 4
    for row in table.effects:
        assert row.ci_low is not None and row.ci_high is not None and row.effect is not None
        assert row.ci_low < row.effect < row.ci_high


@pytest.mark.parametrize(
    ("design", "effects", "interaction"),
    [
        ("full_factorial", {"a": -0.25, "b": -0.25}, -0.5),
        ("leave_one_out", {"a": -0.5, "b": -0.5}, None),
        ("base_plus_one", {"a": 0.0, "b": 0.0}, None),
        ("pairs", {"a": -0.5, "b": -0.5}, -0.5),
        ("fractional", {"a": -0.25, "b": -0.25}, -0.5),
    ],
)
def test_designs_say_what_they_can_of_components_that_need_each_other(
    tmp_path: Path, design: str, effects: dict[str, float], interaction: float | None
) -> None:
    """Leaving one out shows the whole for each of the two, adding one nothing: only pairs show why."""
    table = table_of(
        state_of(tmp_path, need_each_other, design=design, resolution=5 if design == "fractional" else None)
    )
    found = values(table.effects)
    assert {name: found[name] for name in effects} == pytest.approx(effects, abs=0.003)
    assert values(table.interactions).get("ab") == (None if interaction is None else pytest.approx(-0.5, abs=0.005))
    assert any("shows no interactions" in note for note in notes(table)) == (interaction is None)


def test_where_seeds_differ_in_an_effect_it_is_tested_over_them(tmp_path: Path) -> None:
    """Seeds 0 and 1 gain by `a`, seeds 2 and 3 lose as much: nothing is better, however many arms say so."""
    state = state_of(tmp_path, additive, noise=0.0001)
    for (arm, seed), replicate in state.replicates.items():
        if seed > 1 and "a" in arm.removesuffix("-id") and len(arm) <= len("abc-id"):
            metrics = replicate.reports[-1].metrics
            metrics["val/bits_per_char"] += 0.99
    table = table_of(state)
    assert [(row.test, row.reading) for row in table.effects] == [
        ("over seeds", "not separable at this n"),
        ("one model", "not separable at this n"),  # the error of the model is now that of `a`
        ("one model", "not separable at this n"),
    ]
    assert any(note.startswith("a") and "seeds differ" in note for note in notes(table))


def test_aliases_of_a_fraction_are_said(tmp_path: Path) -> None:
    """Of five components in 16 arms the fifth is the product of the others: its pairs are triples of them."""
    table = table_of(state_of(tmp_path, additive, "abcde", design="fractional", resolution=5))
    assert table.n_arms == 16 and len(table.interactions) == 10
    assert all(not row.aliases for row in table.effects)
    by_name = {"".join(row.components): row.aliases for row in table.interactions}
    assert by_name["ab"] == ("c × d × e",)
    coarse = table_of(state_of(tmp_path, additive, "abc", design="fractional", resolution=3))
    assert coarse.n_arms == 4 and not coarse.interactions
    assert {"".join(row.components): row.aliases for row in coarse.effects} == {
        "a": ("b × c",),
        "b": ("a × c",),
        "c": ("a × b",),
    }
    assert "c cannot be told from a × b" in notes(coarse)


def test_with_a_failure_nothing_is_concluded_from_the_survivors(tmp_path: Path) -> None:
    table = table_of(state_of(tmp_path, additive, statuses={("ab", 1): "diverged"}))
    assert (table.n_values, table.n_missing) == (31, 1)
    assert {row.reading for row in (*table.effects, *table.interactions)} == {"failures"}
    assert values(table.effects) == pytest.approx({"a": -0.5, "b": -0.25, "c": 0.0}, abs=0.003)
    assert table.placebos[0].reading == "better", "the whole and its placebo have all their replicates"


def test_shapley_shares_sum_to_the_whole_and_halve_what_needs_two(tmp_path: Path) -> None:
    table = table_of(state_of(tmp_path, need_each_other))
    assert {row.component: row.share for row in table.shapley} == pytest.approx(
        {"a": 0.5, "b": 0.5, "c": 0.0}, abs=0.02
    )
    assert math.fsum(row.share for row in table.shapley) == pytest.approx(1.0)
    assert not table_of(state_of(tmp_path, additive, design="pairs")).shapley


def test_relative_changes_of_a_perplexity(tmp_path: Path) -> None:
    """Half a bit a character less is a perplexity lower by 1 − 2^−.5."""
    table = table_of(state_of(tmp_path, additive), "val/perplexity")
    assert table.effect_kind == "relative"
    assert values(table.effects)["a"] == pytest.approx(2**-0.5 - 1, abs=0.002)
    assert not table.shapley


def test_holm_is_over_the_rows_of_a_kind(tmp_path: Path) -> None:
    table = table_of(state_of(tmp_path, additive, noise=0.3))
    for rows in (table.effects, table.interactions, table.placebos):
        smallest = min(rows, key=lambda row: row.p or 1.0)
        assert smallest.p is not None and smallest.p_adjusted == pytest.approx(min(1.0, len(rows) * smallest.p))


def test_markdown_and_figure(tmp_path: Path) -> None:
    state = state_of(tmp_path, additive)
    text = ablation_markdown(state)
    assert "| `a` | −0.5" in text and "| `abc − sham` |" in text and "| `a × b` |" in text
    figure, data = effects_forest(table_of(state), tmp_path / "effects.svg")
    assert figure.stat().st_size > 1000
    lines = data.read_text(encoding="utf-8").splitlines()
    assert len(lines) == 8 and lines[1].startswith("a,-0.")


def test_every_subset_is_an_arm_of_the_factorial() -> None:
    made = ablation("full_factorial", "abc")
    assert set(made) == {c for n in range(4) for c in itertools.combinations("abc", n)}
    assert ablation("fractional", "abcd")[0] == ("a", "b", "c", "d"), "a fraction holds the whole"
    assert [len(ablation("fractional", range(k))) for k in (5, 6, 7, 8)] == [16, 32, 16, 16]  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_factorial_finds_what_a_contrast_a_seed_misses() -> None:
    """16 arms and 5 seeds, effects of 1, .5, 0 and 0 seed SDs, pairing .2; a contrast a seed finds .72 and .25."""
    rng = np.random.default_rng(2)
    points = np.array(list(itertools.product([-0.5, 0.5], repeat=4)))
    pairs = [points[:, a] * points[:, b] for a, b in itertools.combinations(range(4), 2)]
    design, blocks = np.repeat(np.column_stack([points, *pairs]), 5, axis=0), [*range(5)] * 16
    found, num = np.zeros(10), 1000
    for _ in range(num):
        shared, noise = rng.normal(size=5) * math.sqrt(0.2), rng.normal(size=(16, 5)) * math.sqrt(0.8)
        values = (points @ [1.0, 0.5, 0.0, 0.0])[:, None] + shared + noise
        tests = map(deciding_test, fit_blocks(design, values.reshape(-1), blocks).effects)
        p = [test.p or 0.0 for test in tests if test]
        found += np.array([*holm(p[:4]), *holm(p[4:])]) < 0.05
    shares = found / num
    assert shares[0] > 0.95 and 0.42 < shares[1] < 0.6
    assert (shares[2:] < 0.045).all()
