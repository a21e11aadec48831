"""What is done after an out-of-memory: it ends, says what it changes, and changes nothing that is compared."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.placement.oom import Allocation, Fail, OutOfMemory, Retry, decide, sizes_to_grow_into

SIZES = (8192, 4096, 1024)


def out_of_memory(
    *, size_class: int = 1, micro: int = 8, peak_mib: float | None = 4100.4, suspected: bool = False
) -> OutOfMemory:
    had = Allocation(size_class=size_class, memory_mib=SIZES[size_class], micro_batch_size=micro)
    return OutOfMemory(had=had, peak_mib=peak_mib, suspected=suspected)


def decided(what: OutOfMemory, **changes: Any) -> Retry | Fail:
    given: dict[str, Any] = {"batch_size": 16, "splits": True, "sizes_mib": SIZES, "place": "gpu"}
    return decide(what, **{**given, **changes})


def test_the_micro_batch_is_halved_first_and_the_reason_says_so() -> None:
    assert decided(out_of_memory()) == Retry(
        Allocation(size_class=1, memory_mib=4096, micro_batch_size=4),
        "micro_batch_size 8 -> 4 (gradients accumulated over 4 instead of 2 forward passes; equal within rounding)",
    )


def test_an_odd_micro_batch_is_rounded_up() -> None:
    retry = decided(out_of_memory(micro=3), batch_size=3)
    assert isinstance(retry, Retry)
    assert retry.allocation.micro_batch_size == 2
    assert "over 2 instead of 1 forward passes" in retry.reason


@pytest.mark.parametrize(
    ("what", "splits", "why"),
    [
        (out_of_memory(micro=1), True, "micro_batch_size is 1"),
        (out_of_memory(), False, "its gradients depend on the micro-batch, which stays"),
        (out_of_memory(suspected=True), True, "it failed near its limit, it used 4100 of 4096 MiB"),
        (
            out_of_memory(suspected=True, peak_mib=None),
            True,
            "it failed near its limit, an unknown part of 4096 MiB",
        ),
    ],
)
def test_else_it_gets_more_memory_and_keeps_its_micro_batch(what: OutOfMemory, splits: bool, why: str) -> None:
    retry = decided(what, splits=splits)
    assert isinstance(retry, Retry)
    assert retry.allocation == Allocation(size_class=0, memory_mib=8192, micro_batch_size=what.had.micro_batch_size)
    assert retry.reason == f"memory 4096 -> 8192 MiB ({why}; the result is the same)"


@pytest.mark.parametrize(
    ("what", "splits", "parts"),
    [
        (
            out_of_memory(size_class=0, micro=1),
            True,
            ("micro_batch_size=1", "one machine offers", "shorter context"),
        ),
        (out_of_memory(size_class=0), False, ("micro_batch_size=8", "for the whole study", "smaller --scale")),
        (out_of_memory(size_class=0, suspected=True), True, ("may need more than 8192 MiB",)),
    ],
)
def test_at_the_limit_it_ends_with_numbers_and_a_proposal(what: OutOfMemory, splits: bool, parts: Any) -> None:
    end = decided(what, splits=splits, place="machine")
    assert isinstance(end, Fail)
    for part in ("more than 8192 MiB", "it used 4100 of 8192 MiB", *parts):
        assert part in end.message


def test_workers_are_told_of_their_own_limit_and_not_of_the_machine_s() -> None:
    """There are no larger sizes for them, though a machine may have more."""
    end = decided(out_of_memory(size_class=0), splits=False, place="worker")
    assert isinstance(end, Fail)
    assert "that is the most that a worker of this study is given" in end.message


def test_a_suspicion_is_followed_once() -> None:
    end = decided(out_of_memory(suspected=True), was_suspected=True)
    assert isinstance(end, Fail)
    assert "more memory did not help" in end.message
    assert isinstance(decided(out_of_memory(), was_suspected=True), Retry), (
        "a certain out_of_memory is no suspicion"
    )


def test_a_trial_may_grow_beyond_the_sweep_s_classes_up_to_all_there_is() -> None:
    assert sizes_to_grow_into((3072, 1024), 20000) == (20000, 12288, 6144, 3072, 1024)
    assert sizes_to_grow_into((3072, 1024), 3072) == (3072, 1024)
    assert sizes_to_grow_into((3072,), 3000) == (3072,), (
        "what was planned stays, even if memory has been taken since"
    )


@st.composite
def cases(draw: st.DrawFn) -> tuple[Allocation, int, tuple[int, ...]]:
    classes = sorted(draw(st.sets(st.integers(1, 400), min_size=1, max_size=8)), reverse=True)
    sizes = sizes_to_grow_into([256 * size for size in classes], draw(st.integers(256, 200_000)))
    index = draw(st.integers(0, len(sizes) - 1))
    batch_size = draw(st.integers(1, 2048))
    micro = draw(st.integers(1, batch_size))
    return Allocation(size_class=index, memory_mib=sizes[index], micro_batch_size=micro), batch_size, sizes


@given(cases(), st.booleans(), st.lists(st.booleans(), min_size=40, max_size=40))
def test_it_ends_never_shrinks_memory_and_never_changes_the_batch(
    case: tuple[Allocation, int, tuple[int, ...]], splits: bool, suspicions: list[bool]
) -> None:
    allocation, batch_size, sizes = case
    was_suspected = False
    for num_tries, suspected in enumerate(suspicions):  # noqa: B007  read after the loop
        step = decide(
            OutOfMemory(had=allocation, peak_mib=None, suspected=suspected),
            batch_size=batch_size,
            splits=splits,
            sizes_mib=sizes,
            place="gpu",
            was_suspected=was_suspected,
        )
        if isinstance(step, Fail):
            break
        was_suspected |= suspected
        new = step.allocation
        assert new.memory_mib == sizes[new.size_class] >= allocation.memory_mib
        smaller, larger = new.micro_batch_size < allocation.micro_batch_size, new.memory_mib > allocation.memory_mib
        assert smaller != larger, "one change at a time, and never none"
        assert 1 <= new.micro_batch_size <= allocation.micro_batch_size
        assert splits or not smaller
        assert sum(
            min(new.micro_batch_size, batch_size - i) for i in range(0, batch_size, new.micro_batch_size)
        ) == (batch_size)
        assert re.search(r"\d -> \d", step.reason)
        allocation = new
    else:
        raise AssertionError("it goes on for ever")
    assert num_tries <= math.ceil(math.log2(batch_size)) + len(sizes)
    at_the_end = allocation.size_class == 0 and (not splits or allocation.micro_batch_size == 1 or suspected)
    assert at_the_end or (suspected and was_suspected)
