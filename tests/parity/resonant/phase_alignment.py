"""The penalty on phases trains them, although the published blocks read phases as numbers."""

from __future__ import annotations

import torch

from tests.parity.row import Row
from trainables.architectures.resonant.config import ResonantConfig
from trainables.architectures.resonant.model import ResonantModel
from trainables.randomness import initialise

_WEIGHT = 0.01
_GRADIENTS = (0.0, 0.00067, 0.00133)
_AFTER_300_STEPS = (0.0, 0.072, 0.171)
"""φ of three blocks that start at 0, .1 and .2, in the published code: AdamW, learning rate 1e-4."""
_DIGITS = 5e-4
"""Half of the last digit given."""


def _differences() -> dict[str, float]:
    config = ResonantConfig(
        fidelity="as_published",
        d_model=8,
        num_heads=1,
        num_layers=0,
        num_blocks=3,
        phase_delta=0.1,
        block_ramp_steps=2,
        phase_alignment_weight=_WEIGHT,
    )
    model = config.build(vocab_size=16, max_seq_len=8)
    assert isinstance(model, ResonantModel)
    initialise(model, 0)
    phases = [block.embedding.phase for block in model.resonant_blocks() if block.embedding is not None]
    parameters = [phase for phase in phases if isinstance(phase, torch.nn.Parameter)]
    optimizer = torch.optim.AdamW(parameters, lr=1e-4, weight_decay=0.0)
    tokens_BT = torch.randint(16, (2, 8), generator=torch.Generator().manual_seed(0))
    logits_BTV, penalty = model(tokens_BT)
    (logits_BTV.logsumexp(-1).mean() + penalty).backward()
    gradient = _apart([p.grad.item() for p in parameters if p.grad is not None], _GRADIENTS)
    for _ in range(300):
        optimizer.step()
        optimizer.zero_grad()
        model._phase_penalty(logits_BTV).backward()  # no other part of the loss gave a gradient
    phase = _apart([p.item() for p in parameters], _AFTER_300_STEPS)
    with torch.no_grad():
        before_BTV = model.eval()(tokens_BT).logits_BTV
        parameters[2].fill_(0.7)
        read = float((model(tokens_BT).logits_BTV - before_BTV).abs().max())
    return {"grad": gradient, "phase": phase, "new value unread": float(read == 0)}


def _apart(ours: list[float], theirs: tuple[float, ...]) -> float:
    return max(abs(one - other) for one, other in zip(ours, theirs, strict=True))


ROWS = (
    Row(
        what="phase alignment trains the blocks' phases",
        measure=_differences,
        tolerances={"grad": 5e-6, "phase": _DIGITS},
    ),
)
