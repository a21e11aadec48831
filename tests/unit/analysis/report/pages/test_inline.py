"""Figures inside a page: text stays text, colours are the page's, ids begin with the figure's name."""

from __future__ import annotations

import base64
import re

import matplotlib as mpl

from analysis.records.journal import merge
from analysis.report.figures import forest_figure
from analysis.report.pages.inline import download, gzipped, inline_svg
from analysis.results.arms import summarise
from tests.support.sweeps.journals import journal_events

TABLE = summarise(merge(journal_events({"baseline": 2.5, "other": 2.4}, seeds=range(3))))


def test_two_figures_share_no_id_and_equal_ones_are_equal() -> None:
    first, second, again = (inline_svg(forest_figure(TABLE), name, "x") for name in ("a", "b", "a"))
    assert first == again
    ids = [set(re.findall(r' id="([^"]+)"', text)) for text in (first, second)]
    assert ids[0] and not ids[0] & ids[1]
    for text, own in zip((first, second), ids, strict=True):
        assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', text)) <= own


def test_text_is_text_and_colours_are_variables() -> None:
    text = inline_svg(forest_figure(TABLE), "f", 'differences "quoted"')
    assert ">other<" in text and "font-family: var(--font)" in text
    assert "var(--ink)" in text and not re.search(r"#[0-9a-f]{6}", text)
    assert text.startswith('<svg role="img" aria-label="differences &quot;quoted&quot;"')
    assert "<style" not in text and "<metadata" not in text


def test_the_users_settings_stay_as_they_are() -> None:
    before = dict(mpl.rcParams)
    inline_svg(forest_figure(TABLE), "f", "x")
    assert dict(mpl.rcParams) == before


def test_downloads() -> None:
    assert download(b"abc", "text/plain") == f"data:text/plain;base64,{base64.b64encode(b'abc').decode()}"
    assert gzipped(b"abc") == gzipped(b"abc")
