"""Estimates that are remembered, and files of the cache that nobody can read."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.memory.cache import EstimateCache
from cluster.memory.estimate import MemoryEstimate

FOUND = MemoryEstimate(
    parameters_mib=1.5,
    gradients_mib=1.5,
    optimizer_mib=3.0,
    activations_mib=8.0,
    workspace_mib=2.0,
    context_mib=300.0,
)


def test_what_is_kept_is_found_under_its_key_only(tmp_path: Path) -> None:
    cache = EstimateCache(tmp_path / "not" / "yet")
    assert cache.find("a") is None
    cache.keep("a", FOUND)
    assert cache.find("a") == FOUND
    assert cache.find("b") is None
    assert len(list((tmp_path / "not" / "yet").iterdir())) == 1


@pytest.mark.parametrize(
    "content", [b"", b'{"parameters_mib": 1.', b"[]", b"{}", b"null", b"\xff\xfe", b'{"x": 1}']
)
def test_a_file_that_is_torn_or_no_estimate_counts_as_absent_and_is_replaced(
    content: bytes, tmp_path: Path
) -> None:
    cache = EstimateCache(tmp_path)
    cache.keep("a", FOUND)
    (path,) = tmp_path.iterdir()
    path.write_bytes(content)
    assert cache.find("a") is None
    cache.keep("a", FOUND)
    assert cache.find("a") == FOUND


def test_a_folder_that_cannot_be_written_costs_only_time(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    cache = EstimateCache(tmp_path / "file")
    cache.keep("a", FOUND)
    assert cache.find("a") is None
