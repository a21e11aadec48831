"""Figures: complete data beside them, equal bytes for equal input, every arm and seed in them."""

from __future__ import annotations

import csv
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from analysis.records.description import JournalError
from analysis.records.journal import JournalState, merge
from analysis.report.curves import curves_figure, learning_curves
from analysis.report.figures import arms, arms_figure, forest
from analysis.report.plotting import LINE_CHARACTERS, row_canvas
from analysis.results.arms import summarise
from analysis.results.curves import curves_of
from tests.support.sweeps.journals import METRIC, PHASE_A, journal_events, replicate_events, sweep_event

STATE = merge(journal_events(statuses={("coupling_2", 1): "diverged", ("repulsive", 2): None}))
TABLE = summarise(STATE)
SUBSET = "val_subset/bits_per_char"


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def glyphs(path: Path) -> list[str]:
    """Return the texts of an SVG: matplotlib writes each as a comment before its paths."""
    parser = ET.XMLParser(target=ET.TreeBuilder(insert_comments=True))
    root = ET.parse(path, parser).getroot()
    return [(node.text or "").strip() for node in root.iter() if node.tag is ET.Comment]


def test_forest_shows_every_arm_and_every_paired_difference(tmp_path: Path) -> None:
    figure, data = forest(TABLE, tmp_path / "a-forest.svg")
    records = read_csv(data)
    assert data == tmp_path / "a-forest.csv"
    assert len(records) == 5 * 5 + 2 * 4
    assert {record["arm"] for record in records} == PHASE_A.keys() - {"baseline"}
    row = TABLE.rows[1]
    assert row.delta is not None
    assert float(records[0]["delta"]) == pytest.approx(row.delta, rel=1e-5)
    assert float(records[0]["seed_difference"]) == pytest.approx(row.differences[0], rel=1e-5)
    texts = glyphs(figure)
    assert {TABLE.title, "← better", "worse →", *(PHASE_A.keys() - {"baseline"})} <= set(texts)
    assert any("† n = 4 of 5" in text for text in texts)


def test_arms_draw_near_references_and_name_far_ones(tmp_path: Path) -> None:
    figure, data = arms(TABLE, tmp_path / "arms.svg")
    assert len(read_csv(data)) == 8 * 5 - 2
    texts = glyphs(figure)
    assert "5-gram" in texts
    assert "outside this range: 3-gram 2.956, chance 6.022" in texts
    assert set(PHASE_A) <= set(texts)


def test_an_arm_without_survivors_keeps_its_place(tmp_path: Path) -> None:
    table = summarise(merge(journal_events(statuses={("coupling_2", s): "diverged" for s in range(5)})))
    for draw in (forest, arms):
        figure, data = draw(table, tmp_path / "x.svg")
        assert "coupling_2" in glyphs(figure)
        lost = [record for record in read_csv(data) if record["arm"] == "coupling_2"]
        assert [record["seed"] for record in lost] == [""]


def test_learning_curves_show_every_report_and_average_finished_seeds_only(tmp_path: Path) -> None:
    """The whole split is scored at the last step only: the curve is that of the subset, and says so."""
    figure, data = learning_curves(STATE, None, tmp_path / "curves.svg")
    records = read_csv(data)
    assert len(records) == 38 * 6 + 2 * 3
    assert {r["seed"] for r in records if r["arm"] == "coupling_2" and r["in_mean"] == "False"} == {"1"}
    last = [r for r in records if r["arm"] == "baseline" and r["step"] == "500"]
    subset = summarise(STATE, SUBSET).rows[0]
    assert float(last[0]["mean"]) == pytest.approx(subset.mean or 0, rel=1e-5)
    assert float(last[0]["ci_high"]) == pytest.approx(subset.ci_high or 0, rel=1e-5)
    texts = glyphs(figure)
    assert set(PHASE_A) <= set(texts)
    assert "bits/character" in texts and any(text.startswith(f"{SUBSET}: mean") for text in texts)
    assert any(text.startswith("val_subset: a part of val;") for text in texts)


def test_curves_of_a_task_without_a_subset_show_the_primary_metric(tmp_path: Path) -> None:
    events = journal_events()
    for event in events:
        scores = event.get("metrics", {}) if event["event"] == "report" else {}
        scores |= {
            name.replace("val_subset/", "val/"): scores.pop(name) for name in list(scores) if "subset" in name
        }
    figure, data = learning_curves(merge(events), None, tmp_path / "curves.svg")
    assert len(read_csv(data)) == 8 * 5 * 6
    assert any(text.startswith(f"{METRIC}: mean") for text in glyphs(figure))
    assert not any("subset" in text for text in glyphs(figure))


def test_equal_input_gives_equal_bytes_whatever_the_user_s_settings(tmp_path: Path) -> None:
    first = [*forest(TABLE, tmp_path / "1" / "f.svg"), *learning_curves(STATE, None, tmp_path / "1" / "c.svg")]
    with mpl.rc_context({"font.size": 20, "svg.hashsalt": "mine", "axes.grid": True}):
        second = [*forest(TABLE, tmp_path / "2" / "f.svg"), *learning_curves(STATE, None, tmp_path / "2" / "c.svg")]
        assert mpl.rcParams["font.size"] == 20
    assert [file.read_bytes() for file in first] == [file.read_bytes() for file in second]


def test_a_readme_s_width(tmp_path: Path) -> None:
    figure, _ = forest(TABLE, tmp_path / "f.svg")
    assert ET.parse(figure).getroot().get("width") == "576pt"  # 8 inches
    assert forest(TABLE, tmp_path / "f.png")[0].read_bytes().startswith(b"\x89PNG")


def test_nothing_to_draw_is_an_error(tmp_path: Path) -> None:
    empty = merge([sweep_event()])
    with pytest.raises(ValueError, match="no difference to a baseline"):
        forest(summarise(empty), tmp_path / "f.svg")
    with pytest.raises(ValueError, match="no finished replicate"):
        arms(summarise(empty), tmp_path / "f.svg")
    with pytest.raises(ValueError, match="two steps or more"):
        learning_curves(empty, None, tmp_path / "f.svg")
    single = merge([sweep_event(), *replicate_events("baseline", 0, 2.5, steps=(10,))])
    with pytest.raises(ValueError, match="two steps or more"):
        learning_curves(single, None, tmp_path / "f.svg")
    with pytest.raises(ValueError, match=f"no arm of .* reports {METRIC} at two steps"):
        learning_curves(STATE, METRIC, tmp_path / "f.svg")  # as asked for, though the loop scores it once
    with pytest.raises(JournalError, match="no `sweep` line"):
        learning_curves(JournalState(), None, tmp_path / "f.svg")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("direction", ["maximise", "none"])
def test_one_equal_seed_an_arm_can_be_drawn(tmp_path: Path, direction: str) -> None:
    values = {("baseline", 0): 0.0, ("treatment", 0): 0.0}
    table = summarise(
        merge(journal_events({"baseline": 0, "treatment": 0}, seeds=[0], values=values, direction=direction))
    )
    assert forest(table, tmp_path / "f.svg")[0].is_file()
    assert arms(table, tmp_path / "a.svg")[0].is_file()


def test_an_arm_that_was_only_scored_has_no_panel_and_is_named() -> None:
    (arm, *_), events = PHASE_A, journal_events(seeds=range(3))
    (one,) = (each["config_id"] for each in events[0]["arms"] if each["arm"] == arm)
    scored_once = [
        event
        for event in events
        if not (event["event"] == "report" and event["config_id"] == one and event["step"] < 500)
    ]
    figure = curves_figure(curves_of(merge(scored_once), None))
    titles = {axes.get_title(loc="left") for axes in figure.axes if axes.get_visible()}
    assert titles == set(PHASE_A) - {arm}
    assert f"not over training: {arm}" in figure.texts[1].get_text()
    assert ("dashed" in figure.texts[1].get_text()) == (arm != "baseline")


@pytest.mark.parametrize(("value", "bottom"), [(0.0, (-0.02, 0.0)), (-1.0, (-1.2, -1.0)), (2.0, (1.8, 2.0))])
def test_the_axis_of_what_is_never_negative_ends_at_0(value: float, bottom: tuple[float, float]) -> None:
    events = journal_events(seeds=range(3))
    for event in events:
        if event["event"] == "report":
            event["metrics"] = dict.fromkeys(event["metrics"], value)
    figure = curves_figure(curves_of(merge(events), None))
    low, _ = figure.axes[0].get_ylim()
    assert bottom[0] <= low < bottom[1]


def test_a_long_title_fits_the_figure() -> None:
    figure = curves_figure(curves_of(STATE, None), "word " * 24)
    title, renderer = figure.texts[0], FigureCanvasAgg(figure).get_renderer()
    assert title.get_window_extent(renderer).x1 <= figure.bbox.x1
    short = curves_figure(curves_of(STATE, None), "word " * 12)
    assert short.texts[0].get_fontsize() == 12


def test_two_seeds_have_no_band() -> None:
    """Their interval is so wide that its band would fill the panel."""
    few = curves_figure(curves_of(merge(journal_events(seeds=range(2))), None))
    assert not any(axes.collections for axes in few.axes)
    assert "no band of fewer than 3 seeds" in few.texts[1].get_text()
    enough = curves_figure(curves_of(merge(journal_events(seeds=range(3))), None))
    assert all(axes.collections for axes in enough.axes if axes.get_visible())


def test_all_references_that_are_far_away_are_named_within_the_figure() -> None:
    far = {f"reference {n:02d}": 9.0 + n for n in range(12)}
    table = replace(summarise(merge(journal_events())), references=far)
    figure = arms_figure(table)
    (outside,) = (text for text in figure.texts if text.get_text().startswith("outside this range"))
    lines = outside.get_text().split("\n")
    assert len(lines) > 2 and max(map(len, lines)) <= LINE_CHARACTERS
    assert all(name in " ".join(lines) for name in far)
    label = figure.axes[0].xaxis.label
    FigureCanvasAgg(figure).draw()
    assert outside.get_window_extent().y1 <= label.get_window_extent().y0, "it is written over the axis's label"


def test_long_names_of_arms_stand_on_two_lines() -> None:
    name = "resonant_no_phases_no_memory_no_block_no_infonce"
    figure, axes = row_canvas([name, "short"], side_text_inches=2.0)
    FigureCanvasAgg(figure).draw()
    assert all(label.get_window_extent().x0 >= 0 for label in axes.get_yticklabels())
