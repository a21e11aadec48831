"""The published claims: all of them are declared by studies of the library, none is forgotten."""

from __future__ import annotations

import pytest

from analysis.claims.published import DOCUMENTS, published_id
from sweeps.cli.library import declared_claims
from sweeps.studies.catalogue import StudyHead, library

IDS = [claim.id for document in DOCUMENTS for claim in document.claims]


def test_there_are_47() -> None:
    counts = {document.family: len(document.claims) for document in DOCUMENTS}
    assert counts == {"kuramoto": 9, "resonant": 14, "tpi": 11, "pi_spiral": 13}
    assert len(set(IDS)) == 47


def test_every_published_claim_is_declared_by_a_study_of_its_family() -> None:
    declared: dict[str, set[str]] = {claim_id: set() for claim_id in IDS}
    for name, path in library().items():
        for claim in declared_claims(StudyHead.read(path)):
            found = published_id(claim.id)
            assert found is not None, f"{name}:{claim.id} is a version of no published claim"
            declared[found].add(name)
    for document in DOCUMENTS:
        for claim in document.claims:
            assert declared[claim.id], f"no study declares {claim.id}"
            assert all(study.startswith(document.family) for study in declared[claim.id])


@pytest.mark.parametrize(
    ("claim_id", "published"),
    [("K2a", "K2"), ("R1_as_published", "R1"), ("R14_beta", "R14"), ("K10", None), ("X1", None), ("phases", None)],
)
def test_versions_name_their_claim(claim_id: str, published: str | None) -> None:
    assert published_id(claim_id) == published
