"""Every study of the library resolves to the configuration ids that it had: results stay the study's own.

`make golden` writes the ids again, for a study that was changed on purpose.
"""

from __future__ import annotations

import pytest

from sweeps.studies.catalogue import library
from tests.golden.config_ids import golden, ids_of

GOLDEN = golden()


@pytest.mark.parametrize("study", library())
def test_configuration_ids(study: str) -> None:
    found, known = ids_of(study), GOLDEN[study]
    assert {scale: list(arms) for scale, arms in found.items()} == {s: list(arms) for s, arms in known.items()}
    # An arm without an id needs pretrained weights that are not here, or were not where the file was written.
    both = {scale: [arm for arm in arms if arms[arm] and known[scale][arm]] for scale, arms in found.items()}
    assert any(both.values())
    for scale, arms in both.items():
        assert {arm: found[scale][arm] for arm in arms} == {arm: known[scale][arm] for arm in arms}


def test_the_golden_file_holds_the_library_and_nothing_else() -> None:
    assert list(GOLDEN) == list(library())
