"""Compact journals and the blocks of the documentation made from them."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from analysis.records.compact import compact_journal
from analysis.records.description import JournalError
from analysis.records.journal import read_journal
from analysis.records.replicates import Replicate
from analysis.report import publish
from analysis.report.probes import probes_markdown
from analysis.report.publish import RENDERERS, PublishError, main, rebuild
from analysis.report.tables import render_text
from analysis.results.arms import summarise
from tests.support.sweeps.journals import (
    EPOCH,
    PHASE_A,
    journal_events,
    replicate_events,
    sweep_event,
    write_journal,
)

README = """# Title

<!-- a comment of the author's -->
<!-- table: phase_a -->
stale
<!-- /table -->
Text between stays.
<!-- figure: phase_a -->
<!-- /figure -->
<!-- provenance: phase_a -->
<!-- /provenance -->

```
<!-- table: NAME -->
<!-- /table -->
```
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder that two drivers wrote, one died and the other went on, and a repository that shows it."""
    folder = tmp_path_factory.mktemp("written")
    events = journal_events(statuses={("coupling_2", 1): "diverged"})
    write_journal(folder / "results" / "journal" / "b.jsonl", [{**e, "sweep_id": "b"} for e in events])
    first = [sweep_event(sweep_id="a", time=EPOCH - 500)]
    first += replicate_events("baseline", 0, 2.9, status=None, sweep_id="a", start=EPOCH - 400)
    first.append({"time": EPOCH - 300, "sweep_id": "a", "event": "interrupted"})
    write_journal(folder / "results" / "journal" / "a.jsonl", first)
    root = folder / "repository"
    assert main(["compact", str(folder / "results"), str(root / "docs" / "results" / "phase_a.jsonl")]) == 0
    (root / "README.md").write_text(README)
    (root / "docs" / "study.md").write_text("<!-- curves: phase_a -->\n<!-- /curves -->\n")
    return folder


@pytest.fixture(scope="module")
def built(written: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository after its blocks have been rebuilt."""
    root = shutil.copytree(written / "repository", tmp_path_factory.mktemp("built") / "repository")
    rebuild(root)
    return root


@pytest.fixture
def results(written: Path, tmp_path: Path) -> Path:
    return shutil.copytree(written / "results", tmp_path / "results")


@pytest.fixture
def repository(written: Path, tmp_path: Path) -> Path:
    return shutil.copytree(written / "repository", tmp_path / "repository")


@pytest.fixture
def rebuilt(built: Path, tmp_path: Path) -> Path:
    return shutil.copytree(built, tmp_path / "rebuilt")


@pytest.fixture
def undrawn(repository: Path) -> Path:
    """The repository without the page that has curves: drawing takes most of a rebuilding."""
    (repository / "docs" / "study.md").unlink()
    return repository


def test_compact_summarises_exactly_as_the_whole(results: Path, tmp_path: Path) -> None:
    compact = tmp_path / "compact.jsonl"
    compact.write_text(compact_journal(results))
    whole, again = read_journal(results / "journal"), read_journal(compact)
    assert summarise(again) == summarise(whole)
    assert again.replicates.keys() == whole.replicates.keys()
    replicate = again.replicates["baseline-id", 0]
    assert replicate.starts == 2
    assert replicate.numerics["threads"] == 1
    assert again.sweep is not None
    assert again.sweep.provenance["compact"]["drivers"] == 2


def test_compact_thins_only_as_far_as_needed_and_says_so(tmp_path: Path) -> None:
    steps = range(0, 2000, 10)
    events = [sweep_event(["baseline"], seeds=range(3))]
    for seed in range(3):
        events += replicate_events("baseline", seed, 2.5, steps=steps)
    write_journal(tmp_path / "journal" / "a.jsonl", events)
    sizes = []
    for maximum_bytes in (1_000_000, 30_000, 6_000):
        text = compact_journal(tmp_path, maximum_bytes=maximum_bytes)
        path = tmp_path / "compact.jsonl"
        path.write_text(text)
        state = read_journal(path)
        reports = state.replicates["baseline-id", 0].reports
        assert len(text.encode()) <= maximum_bytes
        assert reports[-1].step == 1990
        assert reports[-1].metrics == events[-2]["metrics"] | reports[-1].metrics
        assert len(reports) == 1 or reports[0].step == 0
        assert state.sweep is not None
        note = state.sweep.provenance["compact"]
        assert (note["reports"], note["reports_kept"]) == (600, 3 * len(reports))
        assert state.sweep.provenance["git_commit"] == "0123456789abcdef"
        sizes.append(len(reports))
    assert sizes[0] == 100 > sizes[1] > sizes[2] >= 1


def test_compact_rounds_curves_but_no_last_report(results: Path, tmp_path: Path) -> None:
    path = tmp_path / "compact.jsonl"
    path.write_text(compact_journal(results))
    whole, again = (read_journal(p).replicates["coupling_0-id", 2].reports for p in (results / "journal", path))
    assert again[-1] == whole[-1]
    on_the_way = "val_subset/bits_per_char"
    assert again[1].metrics[on_the_way] != whole[1].metrics[on_the_way]
    assert again[1].metrics[on_the_way] == pytest.approx(whole[1].metrics[on_the_way], rel=1e-5)


def test_compact_keeps_the_curves_whatever_object_the_state_holds_them_in(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = compact_journal(results)
    add_report = Replicate.add_report
    monkeypatch.setattr(
        Replicate,
        "add_report",
        lambda self, point: add_report(self, replace(point, metrics=dict(point.metrics))),
    )
    assert compact_journal(results) == whole
    assert sum('"report"' in line for line in whole.splitlines()) > 50


def test_compact_refuses_what_it_cannot_do(tmp_path: Path, results: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no journal in"):
        compact_journal(tmp_path / "nowhere")
    with pytest.raises(JournalError, match="more than 100 bytes"):
        compact_journal(results, maximum_bytes=100)
    write_journal(tmp_path / "other" / "a.jsonl", replicate_events("baseline", 0, 2.5))
    with pytest.raises(JournalError, match="no journal has a `sweep` line"):
        compact_journal(tmp_path / "other")


def test_blocks_are_rebuilt_once_and_then_stay(repository: Path) -> None:
    assert main(["readme", "--check", "--root", str(repository)]) == 1
    assert (repository / "README.md").read_text() == README  # --check writes nothing
    assert not (repository / "docs" / "figures").exists()
    changed = {path.relative_to(repository).as_posix() for path in rebuild(repository)}
    figures = {
        f"docs/figures/phase_a-{kind}.{suffix}" for kind in ("forest", "curves") for suffix in ("svg", "csv")
    }
    assert changed == {"README.md", "docs/study.md", *figures}
    assert rebuild(repository) == []
    assert main(["readme", "--check", "--root", str(repository)]) == 0


def test_blocks_hold_what_the_journal_says(rebuilt: Path) -> None:
    text = (rebuilt / "README.md").read_text()
    assert "stale" not in text
    assert "Text between stays." in text
    assert "| `coupling_2` | 2.7" in text
    assert "† coupling_2: 1 of 5 failed (1 diverged)" in text
    assert "](docs/figures/phase_a-forest.svg)" in text
    assert "8 configurations × 5 seeds (1 diverged, 39 finished)" in text
    assert "2390 core-seconds · torch 2.13.0 · ray 2.60.0 · 2026-05-28 · commit 0123456789ab" in text
    assert text.endswith("```\n<!-- table: NAME -->\n<!-- /table -->\n```\n")
    assert "](figures/phase_a-curves.svg)" in (rebuilt / "docs" / "study.md").read_text()


@pytest.mark.parametrize(
    "stale", ["README.md", "docs/figures/phase_a-forest.svg", "docs/figures/phase_a-curves.csv"]
)
def test_check_finds_whatever_is_out_of_date(rebuilt: Path, stale: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = rebuilt / stale
    path.write_text(path.read_text().replace("coupling", "coupled").replace("2.", "3."))
    assert main(["readme", "--check", "--root", str(rebuilt)]) == 1
    assert capsys.readouterr().out == f"would change {path}\n"


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ("<!-- table: nothing -->\n<!-- /table -->\n", r"README.md:1: no docs/results/nothing.jsonl; make it with"),
        ("<!-- table: phase_a -->\n", r"README.md: <!-- table: phase_a --> is never closed"),
        ("<!-- table: phase_a -->\n<!-- /figure -->\n", r"README.md:2: expected <!-- /table --> before"),
        ("\n<!-- /table -->\n", r"README.md:2: <!-- /table --> closes nothing"),
        ("<!-- table -->\n", r"README.md:1: <!-- table --> needs a name"),
        ("<!-- tabel: phase_a -->\n", r"README.md:1: unknown block 'tabel'; known: table, contrasts"),
    ],
)
def test_malformed_pages_are_refused_with_their_line(undrawn: Path, page: str, message: str) -> None:
    (undrawn / "README.md").write_text(page)
    with pytest.raises(PublishError, match=message):
        rebuild(undrawn)
    assert main(["readme", "--root", str(undrawn)]) == 2
    assert (undrawn / "README.md").read_text() == page


def test_results_that_cannot_be_shown_are_refused_with_their_line(
    undrawn: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_journal(undrawn / "docs" / "results" / "empty.jsonl", [sweep_event()])
    (undrawn / "README.md").write_text("<!-- figure: empty -->\n<!-- /figure -->\n")
    assert main(["readme", "--root", str(undrawn)]) == 2
    assert "README.md:1: study 'kuramoto_phase_a' has no difference" in capsys.readouterr().err


def test_cost_without_threads_is_said_to_be_wall_time(undrawn: Path) -> None:
    events = journal_events()
    for event in events:
        event.get("numerics", {}).pop("threads", None)
    write_journal(undrawn / "docs" / "results" / "phase_a.jsonl", events)
    (undrawn / "README.md").write_text("<!-- provenance: phase_a -->\n<!-- /provenance -->\n")
    rebuild(undrawn)
    assert "2420 seconds of wall time, threads not recorded" in (undrawn / "README.md").read_text()


def test_an_unclean_commit_is_said_to_be_one(undrawn: Path) -> None:
    events = journal_events()
    events[0]["provenance"]["git_dirty"] = True
    write_journal(undrawn / "docs" / "results" / "phase_a.jsonl", events)
    (undrawn / "README.md").write_text("<!-- provenance: phase_a -->\n<!-- /provenance -->\n")
    rebuild(undrawn)
    assert "commit 0123456789ab with local changes\n" in (undrawn / "README.md").read_text()


@pytest.mark.parametrize("other", [{"threads": 2}, {"cpu": "AMD EPYC"}])
def test_unequal_numerics_are_counted(other: dict[str, Any], undrawn: Path) -> None:
    events = journal_events()
    for event in events:
        if "numerics" in event:
            event["numerics"] = {"cpu": "Intel Xeon", **event["numerics"]}
    events[1]["numerics"] |= other
    write_journal(undrawn / "docs" / "results" / "phase_a.jsonl", events)
    (undrawn / "README.md").write_text("<!-- provenance: phase_a -->\n<!-- /provenance -->\n")
    rebuild(undrawn)
    assert "2 kinds of numerics" in (undrawn / "README.md").read_text()


def test_curves_are_called_what_they_draw(rebuilt: Path) -> None:
    page = (rebuilt / "docs" / "study.md").read_text()
    assert "![val_subset/bits_per_char over training](figures/phase_a-curves.svg)" in page


def test_a_table_by_step_may_be_of_another_metric(undrawn: Path) -> None:
    (undrawn / "README.md").write_text("<!-- steps: phase_a[val_subset/perplexity] -->\n<!-- /steps -->\n")
    rebuild(undrawn)
    page = (undrawn / "README.md").read_text()
    assert "| step 0 | step 100 | step 200 | step 400 | step 500 |" in page
    assert "val_subset/perplexity (perplexity): " in page


def test_terminal_blocks_show_the_table_as_the_command_prints_it(undrawn: Path) -> None:
    (undrawn / "README.md").write_text("<!-- terminal: phase_a -->\n<!-- /terminal -->\n")
    rebuild(undrawn)
    table = render_text(summarise(read_journal(undrawn / "docs" / "results" / "phase_a.jsonl")))
    expected = f"<!-- terminal: phase_a -->\n\n```text\n{table}```\n\n<!-- /terminal -->\n"
    assert (undrawn / "README.md").read_text() == expected
    assert main(["readme", "--check", "--root", str(undrawn)]) == 0


def test_probe_blocks_show_every_arm(undrawn: Path) -> None:
    (undrawn / "README.md").write_text("<!-- probes: phase_a -->\n<!-- /probes -->\n")
    rebuild(undrawn)
    text = (undrawn / "README.md").read_text()
    assert probes_markdown(read_journal(undrawn / "docs" / "results" / "phase_a.jsonl")) in text
    assert all(f"| `{arm}` |" in text for arm in PHASE_A)


def test_two_studies_stand_beside_each_other(undrawn: Path) -> None:
    mended = [sweep_event(["baseline", "coupling_2", "only_here"], study="mended")]
    mended += replicate_events("baseline", 0, 2.5) + replicate_events("baseline", 1, 2.6)
    mended += replicate_events("coupling_2", 0, 2.3) + replicate_events("coupling_2", 1, 2.42)
    write_journal(undrawn / "docs" / "results" / "mended.jsonl", mended)
    page = "<!-- beside: phase_a + mended -->\n<!-- /beside -->\n"
    (undrawn / "README.md").write_text(page)
    rebuild(undrawn)
    lines = (undrawn / "README.md").read_text().splitlines()
    header = "| arm | `kuramoto_phase_a` | Δ | reading | `mended` | Δ | reading |"
    rows = {cells[1].strip(" `"): cells[2:-1] for cells in (line.split("|") for line in lines) if len(cells) == 9}
    assert header in lines
    assert list(rows) == ["arm", "---", *PHASE_A, "only_here"]
    published = summarise(read_journal(undrawn / "docs" / "results" / "phase_a.jsonl"))
    coupling_2 = next(row for row in published.rows if row.arm == "coupling_2")
    assert f"{coupling_2.delta:+.4f}" in rows["coupling_2"][1]
    assert rows["coupling_2"][3].startswith(" 2.360 [")
    assert "−0.1900 [" in rows["coupling_2"][4]
    assert rows["kuramoto_32"][3:] == [" – ", " – ", " – "]
    assert rows["only_here"][:3] == [" – ", " – ", " – "]


def test_a_block_can_show_another_metric(undrawn: Path) -> None:
    page = undrawn / "docs" / "guides" / "study.md"
    page.parent.mkdir()
    page.write_text("<!-- table: phase_a[val/nats_per_token] -->\n<!-- /table -->\n<!-- file: my.yaml -->\n")
    rebuild(undrawn)
    assert "phase_a @ laptop · val/nats_per_token, nats/token" in page.read_text()
    page.write_text("<!-- table: phase_a[val/nats] -->\n<!-- /table -->\n")
    with pytest.raises(PublishError, match=r"study\.md:1: .*no metric 'val/nats'"):
        rebuild(undrawn)


def test_contrasts_stand_alone(undrawn: Path) -> None:
    contrast = {"arm": "coupling_2", "against": "coupling_0", "meaning": "what coupling is worth"}
    events = [sweep_event(["baseline", "coupling_2", "coupling_0"], contrasts=[contrast])]
    for seed, shift in enumerate((0.0, 0.01, 0.03)):
        events += replicate_events("baseline", seed, 2.5)
        events += replicate_events("coupling_2", seed, 2.7 + shift) + replicate_events("coupling_0", seed, 2.5)
    write_journal(undrawn / "docs" / "results" / "planned.jsonl", events)
    (undrawn / "README.md").write_text("<!-- contrasts: planned -->\n<!-- /contrasts -->\n")
    rebuild(undrawn)
    text = (undrawn / "README.md").read_text()
    assert "| `coupling_2 − coupling_0` | +0.2133 [" in text
    assert "- coupling_2 − coupling_0: what coupling is worth" in text
    assert "baseline" not in text


def test_contrasts_that_nobody_planned_are_refused(undrawn: Path) -> None:
    (undrawn / "README.md").write_text("<!-- contrasts: phase_a -->\n<!-- /contrasts -->\n")
    with pytest.raises(PublishError, match=r"README.md:1: study 'kuramoto_phase_a' plans no contrasts"):
        rebuild(undrawn)


def test_studies_of_other_metrics_are_not_put_beside_each_other(undrawn: Path) -> None:
    write_journal(undrawn / "docs" / "results" / "other.jsonl", [sweep_event(primary_metric="train/loss")])
    (undrawn / "README.md").write_text("<!-- beside: phase_a + other -->\n<!-- /beside -->\n")
    with pytest.raises(PublishError, match=r"README.md:1: studies beside each other need one metric"):
        rebuild(undrawn)


def test_blocks_of_one_journal_refuse_two(undrawn: Path) -> None:
    (undrawn / "README.md").write_text("<!-- table: phase_a + phase_a -->\n<!-- /table -->\n")
    with pytest.raises(PublishError, match=r"README.md:1: this block shows one journal, got phase_a, phase_a"):
        rebuild(undrawn)


def test_every_kind_of_block_is_documented() -> None:
    documented = re.findall(r"^    ([a-z]+) {2,}\S", publish.__doc__ or "", re.MULTILINE)
    assert documented == list(RENDERERS)


def test_a_new_kind_of_block_is_one_entry(undrawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RENDERERS, "study", lambda blocks: f"{blocks[0].name} is {blocks[0].table().study}\n")
    (undrawn / "README.md").write_text("<!-- study: phase_a -->\n<!-- /study -->\n")
    rebuild(undrawn)
    assert "phase_a is kuramoto_phase_a" in (undrawn / "README.md").read_text()


def test_compact_of_a_missing_folder_exits_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compact", str(tmp_path / "none"), str(tmp_path / "x.jsonl")]) == 2
    assert "error: no journal in" in capsys.readouterr().err
