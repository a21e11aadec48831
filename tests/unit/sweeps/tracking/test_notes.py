from __future__ import annotations

from analysis.claims.claim import Claim
from analysis.records.journal import merge
from analysis.report.tables import render_markdown
from analysis.results.arms import summarise
from sweeps.tracking.notes import MAX_EXPERIMENT_CHARACTERS, experiment
from tests.support.sweeps.journals import METRIC, journal_events, sweep_event

CLAIM = {
    "statement": "coupling helps",
    "source": "a paper",
    "kind": "superiority",
    "metric": METRIC,
    "arm": "kuramoto_32",
    "against": "baseline",
    "settled_at": "laptop",
}


def test_an_experiment_shows_the_table_of_results_and_its_claims() -> None:
    contrast = {"arm": "kuramoto_32", "against": "coupling_0", "meaning": "what coupling is worth"}
    claim = Claim.from_mapping(CLAIM, claim_id="C1")
    state = merge(journal_events(contrasts=[contrast], claims=[claim.to_json()]))
    text = experiment(state)
    assert text.endswith(render_markdown(summarise(state)))
    assert "\n- C1: coupling helps\n" in text
    plain = experiment(merge(journal_events()))
    assert "contrast" not in plain and "Claims" not in plain


def test_the_description_of_a_large_grid_fits_into_mlflow() -> None:
    state = merge([sweep_event([f"K1_N32_attractive_noncausal_{i:03d}" for i in range(400)])])
    text = experiment(state)
    assert MAX_EXPERIMENT_CHARACTERS - 200 < len(text) <= MAX_EXPERIMENT_CHARACTERS
    *_, last_row, _, more = text.splitlines()
    assert last_row.startswith("| `K1") and last_row.endswith("|") and "results" in more
