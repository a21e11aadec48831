"""The 47 published claims that the studies' claims are versions of, in the order of their documents."""

from __future__ import annotations

import re
from dataclasses import dataclass

_NUMBER = re.compile(r"[A-Z]\d+")


@dataclass(frozen=True)
class PublishedClaim:
    """A claim of one of the documents, shortened."""

    id: str
    statement: str


@dataclass(frozen=True)
class Document:
    """A published document, with its claims."""

    family: str
    title: str
    claims: tuple[PublishedClaim, ...]


def _claims(letter: str, *statements: str) -> tuple[PublishedClaim, ...]:
    return tuple(PublishedClaim(f"{letter}{number}", text) for number, text in enumerate(statements, start=1))


DOCUMENTS: tuple[Document, ...] = (
    Document(
        "kuramoto",
        "PhaseGPT",
        _claims(
            "K",
            "oscillators in layer 7 beat the baseline",
            "32 oscillators are the optimum",
            "coupling K = 2 collapses",
            "one layer of oscillators beats several",
            "the winner is over-synchronised, R = .88",
            "high synchrony hurts generalisation",
            "the best R lies between .35 and .55",
            "noise, jitter and regulariser lower R at no cost",
            "four runs of 36 GB cannot share 94.5 GB",
        ),
    ),
    Document(
        "resonant",
        "Attention-free resonant blocks",
        _claims(
            "R",
            "10.5 % of needles without attention, baseline 0 %",
            "weaker coupling does as well, stronger worse",
            "KISS-Ridge is necessary",
            "an InfoNCE weight of .3 is the best",
            "one block is enough",
            "perplexity falls from 2,488 to 1,607",
            "phase coherence rises above .9",
            "a context of 2,048 tokens finds 12 to 15 %",
            "the memory's size does not grow with length",
            "seeds 41 to 43: perplexity 1,650, deviation 120",
            "the hit rate grows with training",
            "the memory's norm settles at .4 to .8",
            "omega 6 is the best",
            "gate .20, write .3, retention .85 are the best",
        ),
    ),
    Document(
        "tpi",
        "Temporal phase integration",
        _claims(
            "T",
            "2.1 to 2.2 bits a byte",
            "decoupled key and query are worse",
            "a hard window of 64 helps",
            "a learned decay chooses 13 to 17 tokens",
            "a fourfold expansion is the best version",
            "a query offset adds recall at no cost",
            "no associative recall",
            "the diversity loss hurts",
            "dropout reduces over-fitting",
            "an unbounded sum drifts in longer texts",
            "less than 2 bits a byte can be reached",
        ),
    ),
    Document(
        "pi_spiral",
        "π-spiral positions",
        _claims(
            "P",
            "the hybrid loses at most 1 % against RoPE",
            "30 points over RoPE at 256,000 tokens",
            "memory is flat to a million tokens",
            "π differs from other constants",
            "the attractor gives most of the gain",
            "exp(−π/N) is the best decay",
            "a hybrid K keeps the short range",
            "fewer periodic artefacts than RoPE",
            "the spectrum is flat",
            "accuracy decays without oscillation",
            "the state is of constant size",
            "it holds in weights of 4 bits",
            "perplexity does not drift over position",
        ),
    ),
)


def published_id(claim_id: str) -> str | None:
    """Return the published claim that a study's claim is a version of, as `K2` of `K2a`; None if it is none."""
    found = _NUMBER.match(claim_id)
    return found.group() if found is not None and found.group() in _IDS else None


_IDS = frozenset(claim.id for document in DOCUMENTS for claim in document.claims)
