"""Compact journals of searches: what was compared is kept, whatever else is left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.records import compact
from analysis.records.journal import read_journal
from analysis.results.candidates import candidates_of
from tests.support.sweeps.journals import write_journal
from tests.support.sweeps.search_journal import search_events, trained


def test_scores_at_rungs_survive_the_thinning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compact, "_REPORTS_KEPT", (1,))
    events = search_events()
    long = trained("b" * 12, 0, 20, {5: 2.1, 10: 1.9, 20: 1.7, 30: 1.6, 40: 1.5}, "finished")
    events = [e for e in events if (e.get("config_id"), e.get("seed")) != ("b" * 12, 0)] + long
    write_journal(tmp_path / "journal" / "a.jsonl", sorted(events, key=lambda event: event["time"]))
    (tmp_path / "small.jsonl").write_text(compact.compact_journal(tmp_path))
    small, whole = (
        [[score and score.mean for score in row.scores] for row in candidates_of(read_journal(path))[0].rows]
        for path in (tmp_path / "small.jsonl", tmp_path / "journal" / "a.jsonl")
    )
    assert small == whole
    assert sum('"report"' in line for line in (tmp_path / "small.jsonl").read_text().splitlines()) < len(events)
