"""The templates of pages, and what they call."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from analysis.report.pages.strip import strip_of
from analysis.report.sentences import certainty, cost, found, measured, says
from analysis.report.verdicts import effect, effect_of, word_of

if TYPE_CHECKING:
    from jinja2 import Environment


def render(template: str, **context: Any) -> str:
    """Return a page; equal context gives equal bytes."""
    return _environment().get_template(template).render(**context)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("analysis.report.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    called = (strip_of, found, measured, certainty, cost, says, effect, effect_of, word_of)
    environment.globals.update({function.__name__: function for function in called}, slug=_slug)
    environment.filters.update(p=p_value, sentence=_sentence, number=_number)
    return environment


def _slug(outcome: str) -> str:
    return outcome.replace(" ", "-")


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _number(value: float, style: str = "g") -> str:
    return f"{value:{style}}".replace("-", "−")


def p_value(p: float | None) -> str:
    """Return a p-value with four decimals; a dash if there is none."""
    if p is None:
        return "–"
    return "< .0001" if p < 1e-4 else f"{p:.4f}".lstrip("0") if p < 1 else "1"
