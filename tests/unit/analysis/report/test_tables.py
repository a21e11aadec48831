"""Tables as text and Markdown: the same cells, legible, nothing hidden."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from analysis.records.journal import merge
from analysis.report.tables import (
    PROBE_NOTE,
    SMOKE_NOTE,
    TEXT_WIDTH,
    contrasts_for_display,
    format_number,
    notes_for_display,
    render_markdown,
    render_text,
    rows_for_display,
    title_for_display,
)
from analysis.results.arms import summarise
from tests.support.sweeps.journals import journal_events, sweep_event

VALUES = {("baseline", 0): 2.40, ("baseline", 1): 2.50, ("baseline", 2): 2.60}
VALUES |= {("treatment", 0): 2.30, ("treatment", 1): 2.39, ("treatment", 2): 2.51}
SMALL = {"arms": {"baseline": 2.5, "treatment": 2.4}, "seeds": range(3), "values": VALUES}
CONTRAST = {"arm": "treatment", "against": "baseline", "meaning": "what treating is worth"}
FAILED = {("coupling_2", 1): "diverged", ("coupling_2", 2): "oom", ("repulsive", 0): None}


def test_cells_by_hand() -> None:
    headers, rows = rows_for_display(summarise(merge(journal_events(**SMALL))))
    assert headers == ["arm", "mean", "95 % interval", "n", "Δ to the baseline", "reading"]
    assert rows == [
        ["baseline", "2.500", "[2.252, 2.748]", "3", "–", "baseline"],
        ["treatment", "2.400", "[2.138, 2.662]", "3", "−0.1000 [−0.1248, −0.0752]", "better"],
    ]


def test_failures_and_missing_seeds_are_marked_in_every_rendering() -> None:
    table = summarise(merge(journal_events(statuses=FAILED)))
    _, rows = rows_for_display(table)
    cells = {row[0]: row for row in rows}
    assert cells["coupling_2"][1].endswith("†")
    assert (cells["coupling_2"][3], cells["coupling_2"][5]) == ("3/5", "failures")
    assert (cells["repulsive"][3], cells["repulsive"][5]) == ("4/5", "incomplete")
    for text in (re.sub(r"\s+", " ", render_text(table)), render_markdown(table)):
        assert "† coupling_2: 2 of 5 failed (1 diverged, 1 oom); the mean is over survivors" in text
        assert "repulsive: 1 of 5 seeds not finished yet" in text


def test_an_arm_without_a_survivor_has_a_row() -> None:
    statuses = {("coupling_2", seed): "diverged" for seed in range(5)}
    table = summarise(merge(journal_events(statuses=statuses)))
    _, rows = rows_for_display(table)
    assert ["coupling_2", "–", "–", "0/5", "–", "failures"] in rows
    assert "coupling_2: 5 of 5 failed (5 diverged)" in notes_for_display(table)


@pytest.mark.parametrize("metric", ["val/bits_per_char", "val/perplexity", "probe/order_positions"])
@pytest.mark.parametrize("suffix", ["", "_with_a_name_that_is_much_longer_than_a_terminal_has_room_for"])
def test_text_fits_the_terminal(metric: str, suffix: str) -> None:
    arms = {"baseline": 2.5, f"treatment{suffix}": 2.4, f"other{suffix}": 112.0}
    contrasts = [{"arm": f"treatment{suffix}", "against": f"other{suffix}", "meaning": "a very long one " * 9}]
    external = [{"name": "nanoGPT", "metric": metric, "values": [1.9, 2.0], "source": "README"}]
    text = render_text(summarise(merge(journal_events(arms, contrasts=contrasts, external=external)), metric))
    assert max(map(len, text.splitlines())) <= TEXT_WIDTH
    assert text.count("…") == (3 if suffix else 0)


def test_a_table_of_scale_smoke_says_that_it_means_nothing() -> None:
    table = summarise(merge(journal_events()))
    assert table.scale == "laptop" and SMOKE_NOTE not in notes_for_display(table)
    assert notes_for_display(replace(table, scale="smoke"))[0] == SMOKE_NOTE


def test_text_columns_are_aligned() -> None:
    lines = render_text(summarise(merge(journal_events()))).splitlines()[2:12]
    starts = [match.start() for match in re.finditer(r"─+", lines[1])]
    assert len(starts) == 6
    for line in lines:
        assert all(line[start - 2 : start] in {"  ", ""} for start in starts[1:])


def test_text_and_markdown_show_the_shared_cells() -> None:
    table = summarise(merge(journal_events(statuses=FAILED)))
    _, rows = rows_for_display(table)
    markdown = render_markdown(table).splitlines()
    shown = [[cell.strip().strip("`") for cell in line.split("|")[1:-1]] for line in markdown[4 : 4 + len(rows)]]
    assert shown == rows
    text = render_text(table)
    assert all(cell in text for row in rows for cell in row)


@pytest.mark.parametrize("metric", [None, "val/perplexity"])
def test_planned_contrasts_are_a_second_table_in_every_rendering(metric: str | None) -> None:
    table = summarise(merge(journal_events(**SMALL, contrasts=[CONTRAST])), metric)
    headers, rows = contrasts_for_display(table)
    delta = "−6.70 % [−8.29, −5.08]" if metric else "−0.1000 [−0.1248, −0.0752]"
    assert headers == ["contrast", "Δ", "pairs", "reading"]
    assert rows == [["treatment − baseline", delta, "3", "better"]]
    text, markdown = render_text(table), render_markdown(table)
    for rendered in (text, markdown):
        assert "planned contrasts, paired by seed, Holm-adjusted over 1 contrast" in rendered
        assert "treatment − baseline: what treating is worth" in rendered
    assert f"treatment − baseline  {delta}      3  better" in text
    assert f"| `treatment − baseline` | {delta} | 3 | better |" in markdown
    without = summarise(merge(journal_events(**SMALL)), metric)
    assert contrasts_for_display(without)[1] == []
    assert "planned contrast" not in render_text(without) + render_markdown(without)


def test_failures_in_a_contrast_are_told_beside_its_meaning() -> None:
    planned = [{**CONTRAST, "arm": "kuramoto_32", "against": "coupling_2"}]
    table = summarise(merge(journal_events(statuses=FAILED, contrasts=planned)))
    assert contrasts_for_display(table)[1][0][2:] == ["3", "failures"]
    note = (
        "kuramoto_32 − coupling_2: what treating is worth (coupling_2: 2 of 5 failed (1 diverged, 1 oom); the mean"
    )
    assert any(line.startswith(note) for line in notes_for_display(table))


def test_what_others_measured_is_one_line_of_the_notes() -> None:
    theirs = {"name": "nanoGPT", "metric": "val/bits_per_char", "values": [2.4, 2.5, 2.7], "source": "its README"}
    notes = notes_for_display(summarise(merge(journal_events(**SMALL, external=[theirs]))))
    assert notes[1] == (
        "external: nanoGPT, 3 seeds: 2.5333 (sd 0.1528); ours − theirs −0.0333 [−0.3454, +0.2788], "
        "equal within ± 0.2688 (two one-sided Welch tests at .05)"
    )
    notes = notes_for_display(summarise(merge([sweep_event(external=[theirs])])))
    assert "external: nanoGPT, 3 seeds: 2.53333 (sd 0.15275); ours: 5 of 5 seeds not finished yet" in notes
    relative = notes_for_display(
        summarise(
            merge(journal_events(**SMALL, external=[{**theirs, "metric": "val/perplexity"}])), "val/perplexity"
        )
    )
    assert " %" in relative[1]
    assert "ours − theirs +1" in relative[1]


def test_references_chance_and_method_stand_below() -> None:
    notes = notes_for_display(summarise(merge(journal_events())))
    assert notes[0] == "references: 3-gram 2.956 · 5-gram 2.408 · chance 6.022"
    assert "paired by seed" in notes[1]
    assert "Holm-adjusted p < 0.05 over 7 comparisons" in notes[1]


def test_the_interval_of_a_probe_is_said_to_have_no_bounds() -> None:
    table = summarise(merge(journal_events()))
    assert PROBE_NOTE not in notes_for_display(table)
    assert PROBE_NOTE in notes_for_display(replace(table, metric="probe/order_positions"))


def test_relative_changes_are_in_per_cent_and_said_so() -> None:
    table = summarise(merge(journal_events(**SMALL)), "val/perplexity")
    _, rows = rows_for_display(table)
    assert rows[1][4] == "−6.70 % [−8.29, −5.08]"
    assert any("geometric" in note for note in notes_for_display(table))


def test_ignored_replicates_are_counted() -> None:
    events = [*journal_events(), sweep_event(["baseline"], sweep_id="z", time=2e9)]
    assert any(note.startswith("35 replicates") for note in notes_for_display(summarise(merge(events))))


def test_title_says_what_the_numbers_are() -> None:
    title = title_for_display(summarise(merge(journal_events())))
    assert title == "kuramoto_phase_a @ laptop · val/bits_per_char, bits/character, lower is better"


def test_confidence_is_in_the_header() -> None:
    headers, _ = rows_for_display(summarise(merge(journal_events()), confidence=0.9))
    assert headers[2] == "90 % interval"


@pytest.mark.parametrize(
    ("value", "signed", "text"),
    [
        (-0.00001, True, "0.000"),
        (-1.5, False, "−1.500"),
        (1.5, True, "+1.500"),
        (0.0, True, "0.000"),
        (-2.5e33, True, "−2.50e+33"),
        (999_999.0, False, "999999.000"),
    ],
)
def test_numbers_have_true_minus_signs_and_no_negative_zero(value: float, signed: bool, text: str) -> None:
    assert format_number(value, 3, signed=signed) == text
