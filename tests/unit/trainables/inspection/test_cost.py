"""What reading a long sequence costs: which tokens are read, what the state holds, when it stops."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from trainables.architectures.base.model import LanguageModel
from trainables.architectures.base.reading import state_bytes
from trainables.inspection.cost import cost_by_length


class Keeps(LanguageModel):
    """Carries the last `window` tokens; all of them without a window."""

    def __init__(self, window: int | None = None) -> None:
        super().__init__()
        self.window, self.read = window, 0

    def stream(self, tokens_BT: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        self.read += tokens_BT.shape[1]
        kept_BT = tokens_BT if state is None else torch.cat((state[0], tokens_BT), 1)
        kept_BT = kept_BT if self.window is None else kept_BT[:, -self.window :].clone()
        return torch.zeros(*tokens_BT.shape, 5), (kept_BT, {"module": nn.Linear(3, 3)})


TOKENS = torch.arange(5)


def test_the_state_grows_with_what_is_kept() -> None:
    growing, windowed = (
        list(cost_by_length(Keeps(window), TOKENS, [10, 20, 40], max_seconds=60, chunk=7)) for window in (None, 6)
    )
    assert [each.length for each in growing] == [10, 20, 40]
    assert [each.state_bytes for each in growing] == [8 * length for length in (10, 20, 40)]
    assert [each.state_bytes for each in windowed] == [48, 48, 48]
    assert all(each.tokens_per_second > 0 and each.peak_memory_mib > 0 for each in growing)
    assert [each.seconds for each in growing] == sorted(each.seconds for each in growing)


def test_tokens_are_read_in_order_and_again_when_they_end() -> None:
    model = Keeps()
    state = None

    class Recording(Keeps):
        def prefill(self, tokens_BT: Tensor, before: Any = None) -> tuple[Tensor, Any]:
            nonlocal state
            found = self.stream(tokens_BT, before)
            state = found[1]
            return found[0][:, -1], state

    model = Recording()
    list(cost_by_length(model, TOKENS, [12], max_seconds=60, chunk=4))
    assert state is not None
    assert state[0].tolist() == [[0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1]]
    assert model.read == 12


def test_it_stops_before_a_length_that_takes_too_long() -> None:
    model = Keeps(window=3)
    found = list(cost_by_length(model, TOKENS, [8, 16, 10**12], max_seconds=60))
    assert [each.length for each in found] == [8, 16]
    assert model.read == 16


def test_a_model_without_a_state_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot continue a sequence"):
        list(cost_by_length(LanguageModel(), TOKENS, [8], max_seconds=60))


def test_a_view_counts_with_the_storage_that_it_keeps() -> None:
    whole = torch.zeros(1000)
    assert state_bytes([whole[:2], {"again": whole[5:]}, OrderedDict(a=torch.zeros(3)), None, 4]) == 4012
    assert state_bytes(None) == 0
