"""What must hold of any scan: it equals the recurrence, and a sequence may be given in any parts."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, get_args

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from trainables.layers.fields import Normalise
from trainables.layers.phase_scan import Pair, phase_scan
from trainables.layers.phase_scan_reference import phase_scan_recurrence


@st.composite
def scans(draw: Any) -> dict[str, Any]:
    """Draw the arguments of a scan, with every optional one present or absent."""
    length, batch, width = draw(st.integers(1, 140)), draw(st.integers(1, 2)), draw(st.integers(1, 3))
    random = torch.Generator().manual_seed(draw(st.integers(0, 1000)))
    full = (batch, length, width)

    def tensor(*shapes: tuple[int, ...]) -> Tensor:
        return torch.randn(draw(st.sampled_from(shapes)), dtype=torch.float64, generator=random)

    values = Pair(tensor(full), tensor(full)) if draw(st.booleans()) else tensor(full)
    phase_shapes = (full, (length, 1), (width,), (batch, length, 1))
    return {
        "values": values,
        "log_decay": draw(st.none() | st.floats(-5, 0))
        if draw(st.booleans())
        else -tensor((), (width,), *phase_shapes).abs() * draw(st.sampled_from([1e-3, 1.0, 50.0])),
        "write_phase": tensor(*phase_shapes) if draw(st.booleans()) else None,
        "read_phase": 9 * tensor(*phase_shapes) if draw(st.booleans()) else None,
        "magnitude": tensor(full, (batch, length, 1)).abs() if draw(st.booleans()) else None,
        "window": draw(st.none() | st.integers(1, 150)),
        "normalise": draw(st.sampled_from(get_args(Normalise))),
    }


@settings(max_examples=15)
@given(scans())
def test_equals_the_recurrence(arguments) -> None:
    y, _ = phase_scan(**arguments)
    slow = phase_scan_recurrence(**arguments)
    torch.testing.assert_close(y.re, slow.re, rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(y.im, slow.im, rtol=1e-9, atol=1e-10)


def cut(value: Any, span: slice) -> Any:
    if isinstance(value, Pair):
        return Pair(*(cut(half, span) for half in value))
    return value[..., span, :] if isinstance(value, Tensor) and value.ndim > 1 else value


@settings(max_examples=15)
@given(scans(), st.data())
def test_any_parts_give_the_whole(arguments, data) -> None:
    values = arguments["values"]
    length = (values.re if isinstance(values, Pair) else values).shape[1]
    inner = data.draw(st.lists(st.integers(1, length), max_size=4, unique=True))
    edges = sorted({0, length, *inner})
    state, found = None, []
    for start, stop in pairwise(edges):
        part = {name: cut(value, slice(start, stop)) for name, value in arguments.items()}
        y, state = phase_scan(**part, state=state)
        found.append(y)
    whole, end = phase_scan(**arguments)
    torch.testing.assert_close(torch.cat([y.re for y in found], 1), whole.re, rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(torch.cat([y.im for y in found], 1), whole.im, rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(state.memory, end.memory, rtol=1e-9, atol=1e-10)
