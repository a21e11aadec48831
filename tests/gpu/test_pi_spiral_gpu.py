"""The π-spiral family on a GPU: phases, logits, gradients and generation against the CPU."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from search_spaces.irrational import CONSTANTS
from trainables.architectures.pi_spiral import PiSpiralConfig
from trainables.contract.architectures import STREAM_PARTS, build_moved, tokens
from trainables.layers.encodings.phases import hashed, turns

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

DEVICE = "cuda"
CONFIGS = [pytest.param(config, id=str(place)) for place, config in enumerate(PiSpiralConfig.contract_configs())]


def test_integers_wrap_as_on_the_cpu() -> None:
    position_T = torch.randint(10**9, (4096,), generator=torch.Generator().manual_seed(0))
    for constant in CONSTANTS:
        assert torch.equal(turns(position_T.to(DEVICE), constant).cpu(), turns(position_T, constant))
    assert torch.equal(hashed(position_T.to(DEVICE)).cpu(), hashed(position_T))


@pytest.mark.parametrize("config", CONFIGS)
def test_logits_and_gradients_are_those_of_the_cpu(config: PiSpiralConfig) -> None:
    results = []
    for device in ("cpu", DEVICE):
        model = build_moved(config).to(device)
        logits_BTV = model(tokens("inputs").to(device)).logits_BTV
        loss = functional.cross_entropy(logits_BTV.flatten(0, 1), tokens("targets").to(device).flatten())
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        results.append([logits_BTV.detach().cpu(), *(gradient.cpu() for gradient in gradients)])
    torch.testing.assert_close(*results, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("config", CONFIGS)
@torch.no_grad()
def test_a_sequence_is_continued_as_on_the_cpu(config: PiSpiralConfig) -> None:
    model, tokens_BT = build_moved(config).to(DEVICE), tokens("inputs").to(DEVICE)
    if model.stream(tokens_BT[:, :1]) is None or "stream" in config.violates:
        return
    parts, state = [], None
    for part_BT in tokens_BT.split(STREAM_PARTS, dim=1):
        found = model.stream(part_BT, state)
        assert found is not None
        parts.append(found[0])
        state = found[1]
    torch.testing.assert_close(torch.cat(parts, 1), model(tokens_BT).logits_BTV, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("scheme", ["rope", "alibi", "spiral"])
@torch.no_grad()
def test_bfloat16_keeps_positions_apart(scheme: str) -> None:
    """Angles and biases are computed wide: at far positions bfloat16 has no digits of them."""
    config = PiSpiralConfig.model_validate({"d_model": 32, "num_heads": 2, "encoding": {"scheme": scheme}})
    model = build_moved(config, max_seq_len=2048).float().to(DEVICE)
    tokens_BT = tokens("inputs").repeat(1, 20).to(DEVICE)
    wide = model(tokens_BT).logits_BTV
    with torch.autocast(DEVICE, dtype=torch.bfloat16):
        narrow = model(tokens_BT).logits_BTV.float()
    assert float((narrow - wide).norm() / wide.norm()) < 0.05
