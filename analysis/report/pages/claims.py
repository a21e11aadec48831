"""The page of all claims: each of the 47 published ones with every test that studies declare of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from analysis.claims.published import DOCUMENTS, Document, PublishedClaim, published_id
from analysis.report.overview import overview_figure
from analysis.report.pages.decisions import Decision
from analysis.report.pages.environment import render
from analysis.report.pages.inline import inline_svg
from analysis.report.sentences import OUTCOMES
from analysis.reported.finding import Linted
from analysis.reported.record import library
from analysis.verdicts.verdict import Verdict


@dataclass(frozen=True)
class ClaimTests:
    """A published claim with the verdicts on its versions."""

    claim: PublishedClaim
    judged: tuple[Verdict, ...]
    not_run: tuple[Verdict, ...]


@dataclass(frozen=True)
class Chapter:
    """A document with its claims."""

    document: Document
    claims: tuple[ClaimTests, ...]
    reported: Linted
    """What the document's own numbers were found to be."""


def claims_page(
    verdicts: Sequence[Verdict],
    links: Mapping[str, str] | None = None,
    journals: Mapping[str, str] | None = None,
    decisions: Sequence[Decision] = (),
) -> str:
    """Return the page as HTML, which needs no other file.

    Args:
        verdicts: Of every study. Those on versions of no published claim are listed last.
        links: `study@scale` to the address of that study's page, where there is one.
        journals: `study@scale` to the name of the compact journal that it was judged from, if it was.
        decisions: Rules over the verdicts.
    """
    by_claim: dict[str | None, list[Verdict]] = {}
    for verdict in verdicts:
        by_claim.setdefault(published_id(verdict.id), []).append(verdict)
    reported = {one.family: one for one in library()}
    chapters = [
        Chapter(
            document,
            tuple(_tests(claim, by_claim.get(claim.id, [])) for claim in document.claims),
            reported[document.family],
        )
        for document in DOCUMENTS
    ]
    return render(
        "claims.html",
        title="All claims",
        answer=answer(verdicts),
        counts={outcome: sum(verdict.verdict == outcome for verdict in verdicts) for outcome in OUTCOMES},
        overview=inline_svg(overview_figure(verdicts, is_titled=False), "overview", "the verdicts on all claims"),
        chapters=chapters,
        others=by_claim.get(None, []),
        links=links or {},
        journals=journals or {},
        to_run=_to_run(verdicts),
        decisions=decisions,
    )


def _tests(claim: PublishedClaim, verdicts: Sequence[Verdict]) -> ClaimTests:
    judged = tuple(verdict for verdict in verdicts if verdict.verdict != "not run")
    return ClaimTests(claim, judged, tuple(verdict for verdict in verdicts if verdict.verdict == "not run"))


def answer(verdicts: Sequence[Verdict]) -> str:
    """Return in sentences how many claims were tested, and what was found."""
    published = [verdict for verdict in verdicts if published_id(verdict.id) is not None]
    claims = {published_id(verdict.id) for verdict in published}
    judged = [verdict for verdict in published if verdict.verdict != "not run"]
    tested = {published_id(verdict.id) for verdict in judged}
    counts = Counter(verdict.verdict for verdict in judged)
    listed = ", ".join(f"{counts[outcome]} {outcome}" for outcome in OUTCOMES if counts[outcome])
    settled = sum(verdict.is_settled for verdict in judged)
    said = f"{len(claims)} published claims, {len(published)} declared tests of them."
    if not judged:
        return f"{said} No test has been run yet."
    return (
        f"{said} {len(judged)} tests of {len(tested)} claims have been run: {listed}. {settled} are settled at the "
        f"scale where they were run, the others indicate. {len(claims) - len(tested)} claims are not tested yet."
    )


def _to_run(verdicts: Sequence[Verdict]) -> list[tuple[str, str, list[str]]]:
    """Return (study, scale, claims) of the runs that would settle what is open."""
    found: dict[tuple[str, str], list[str]] = {}
    for verdict in verdicts:
        if not verdict.is_settled:
            found.setdefault((verdict.study, verdict.settled_at), []).append(verdict.id)
    return [(study, scale, list(dict.fromkeys(ids))) for (study, scale), ids in found.items()]
