"""The projection of what is read, where no KISS-Ridge calibrates it."""

from __future__ import annotations

import math

import torch

from tests.parity.row import Row
from trainables.architectures.resonant.config import ResonantConfig
from trainables.architectures.resonant.model import ResonantModel
from trainables.randomness import initialise

_STD = 0.072
"""Standard deviation of the published map at D = 64."""
_DIGITS = 5e-4
_STEPS = (0, 100, 10_000)


def _differences() -> dict[str, float]:
    config = ResonantConfig.model_validate(
        {"fidelity": "as_published", "d_model": 64, "num_layers": 1, "num_heads": 1, "pvm": {}, "readout": {}}
    )
    model = config.build(vocab_size=16, max_seq_len=8)
    assert isinstance(model, ResonantModel)
    assert model.readout is not None
    initialise(model, 0)
    parameters, gradients = list(model.readout.projection.parameters()), 0.0
    for step in _STEPS:
        model.readout.set_step(step)
        model(torch.zeros(2, 8, dtype=torch.long)).logits_BTV.sum().backward()
        gradients += sum(float(p.grad.abs().sum()) for p in parameters if p.grad is not None)
    (map_DD,) = (parameter.detach() for parameter in parameters)
    return {
        "std": abs(float(map_DD.std()) - _STD),
        "bound": abs(float(map_DD.abs().max()) - 1 / math.sqrt(64)),
        "gradient": gradients,
        "decayed": float("readout.projection.map_DD" not in model.no_weight_decay),
    }


ROWS = (
    Row(
        what="readout without KISS-Ridge: the projection is torch's draw, frozen",
        measure=_differences,
        tolerances={"std": _DIGITS, "bound": _DIGITS},
    ),
)
