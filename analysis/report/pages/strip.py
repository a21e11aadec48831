"""The picture of a verdict: comparisons as intervals, against the zone in which they support the claim."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from analysis.report.sentences import compares, decisive
from analysis.report.verdicts import effect_of
from analysis.verdicts.verdict import Compared, Verdict

WIDTH = 320.0
ROW = 18.0
TOP = 16.0
"""Room above the rows for what was published."""
BOTTOM = 18.0
"""Room below them for the ends of the zone."""
_MARGIN = 0.08
"""Share of the range that is left free on either side."""
_CHARACTER = 5.9
"""Mean advance of a name's characters."""
_WIDEST_NAMES = 130.0
_CROWDED = 52.0
"""Labels nearer than this stand on different sides of their lines."""


@dataclass(frozen=True)
class StripRow:
    """An interval with its estimate, in the strip's units."""

    name: str
    is_control: bool
    y: float
    x: float
    low: float | None
    high: float | None
    words: str


@dataclass(frozen=True)
class Tick:
    """A labelled line: an end of the zone, or what was published."""

    x: float
    label: str
    anchor: str


@dataclass(frozen=True)
class Strip:
    """What a template draws."""

    height: float
    left: float
    """Where the axis begins, right of the names."""
    zone: tuple[float, float] | None
    rows: tuple[StripRow, ...]
    ticks: tuple[Tick, ...]
    published: Tick | None
    zero: float | None
    """No difference, where that is no end of the zone."""


def strip_of(verdict: Verdict, *, whole: bool = False) -> Strip | None:
    """Return the picture of a verdict; None if there is no effect to draw.

    Args:
        verdict: Its effect is the first row.
        whole: Draw every comparison and control, not only those that decide.
    """
    if verdict.effect is None:
        return None
    compared = _rows(verdict, whole=whole)
    ends = [end for end in verdict.zone or () if end is not None]
    marks = [*ends, *([verdict.published_effect] if verdict.published_effect is not None else [])]
    is_difference = verdict.effect_kind not in {"value", "share"}
    values = [v for row in compared for v in (row.effect, row.ci_low, row.ci_high) if v is not None]
    names = [len(name_of(row, verdict)) for row in compared]
    left = min(_WIDEST_NAMES, _CHARACTER * max(names)) if len(compared) > 1 else 0.0
    scale = _Scale.over([*values, *marks, *([0.0] if is_difference else [])], left)
    rows = [_drawn(row, index, scale, verdict) for index, row in enumerate(compared)]
    return Strip(
        height=TOP + ROW * len(rows) + BOTTOM,
        left=left,
        zone=_zone(verdict, scale),
        rows=tuple(rows),
        ticks=tuple(_ticks(ends, scale, verdict)),
        published=_published(verdict, scale),
        zero=scale.at(0.0) if is_difference and 0.0 not in ends else None,
    )


def _drawn(row: Compared, index: int, scale: _Scale, verdict: Verdict) -> StripRow:
    x = scale.at(row.effect or 0.0)
    return StripRow(
        name=name_of(row, verdict),
        is_control=row.role == "control",
        y=TOP + ROW * (index + 0.5),
        x=x,
        low=None if row.ci_low is None else scale.at(row.ci_low),
        high=None if row.ci_high is None else scale.at(row.ci_high),
        words=f"{row.arm}: {effect_of(row.effect, row.ci_low, row.ci_high, verdict.effect_kind)}",
    )


def name_of(row: Compared, verdict: Verdict) -> str:
    """Return what a row is called: what is subtracted, or an arm by itself."""
    return f"− {row.arm}" if compares(verdict) else row.arm


def _rows(verdict: Verdict, *, whole: bool) -> list[Compared]:
    """Return the claim's first comparison, or its arm by itself, then the others: all, or the one that decides."""
    known = [one for one in verdict.comparisons if one.effect is not None]
    own = [one for one in known if one.role == "against"]
    if not own:
        own = [_itself(verdict)]
    if whole:
        return [*own, *(one for one in known if one.role == "control")]
    other = decisive(verdict)
    return [own[0], *([other] if other is not None and other in known and other != own[0] else [])]


def _itself(verdict: Verdict) -> Compared:
    return Compared(
        arm=", ".join(verdict.arms) or "the sweep",
        role="against",
        n=verdict.n,
        effect=verdict.effect,
        ci_low=verdict.ci_low,
        ci_high=verdict.ci_high,
        p=verdict.p,
        p_against=None,
        p_against_adjusted=None,
        holds=False,
        fails=False,
    )


@dataclass(frozen=True)
class _Scale:
    low: float
    high: float
    left: float

    @classmethod
    def over(cls, values: Sequence[float], left: float) -> _Scale:
        low, high = min(values), max(values)
        room = _MARGIN * (high - low) or 0.1 * abs(high) or 1.0
        return cls(low - room, high + room, left)

    def at(self, value: float) -> float:
        """Return where a value is drawn."""
        share = (value - self.low) / (self.high - self.low)
        return round(self.left + share * (WIDTH - self.left), 1)


def _zone(verdict: Verdict, scale: _Scale) -> tuple[float, float] | None:
    if verdict.zone is None:
        return None
    low, high = verdict.zone
    return (scale.left if low is None else scale.at(low), WIDTH if high is None else scale.at(high))


def _ticks(ends: list[float], scale: _Scale, verdict: Verdict) -> Iterable[Tick]:
    places = [scale.at(end) for end in ends]
    crowded = len(places) == 2 and places[1] - places[0] < _CROWDED
    for index, (end, x) in enumerate(zip(ends, places, strict=True)):
        yield Tick(x, _label(end, verdict), ("end" if index == 0 else "start") if crowded else _anchor(x, scale))


def _published(verdict: Verdict, scale: _Scale) -> Tick | None:
    if verdict.published_effect is None:
        return None
    x = scale.at(verdict.published_effect)
    return Tick(x, f"published {_label(verdict.published_effect, verdict)}", _anchor(x, scale))


def _anchor(x: float, scale: _Scale) -> str:
    return "start" if x < scale.left + WIDTH / 4 else "end" if x > 3 * WIDTH / 4 else "middle"


def _label(value: float, verdict: Verdict) -> str:
    percent = verdict.effect_kind == "relative change"
    text = f"{100 * value:g} %" if percent else f"{value:g}"
    return text.replace("-", "−")
