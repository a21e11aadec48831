"""TPI: the mixers of the source's versions."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from tests.parity.mixers import measure_mixer
from tests.parity.row import Row
from tests.parity.vectors import Target, Vectors, as_it_is, difference
from trainables.architectures.tpi.config import TPIConfig
from trainables.randomness import initialise


def _sines_last(value: Tensor) -> Tensor:
    """Return rows that alternate sine and cosine as all cosines, then all sines."""
    return torch.cat((value[1::2], value[0::2]))


def _linear(theirs: str, ours: str) -> dict[str, Target]:
    return {f"{theirs}.{part}": (f"{ours}.{part}", as_it_is) for part in ("weight", "bias")}


_NAMES: dict[str, Target] = {
    "integration_scale": ("phases.scale_D", as_it_is),
    "to_semantic_2d.weight": ("phases.to_frequency.weight", _sines_last),
    "to_semantic_2d.bias": ("phases.to_frequency.bias", _sines_last),
    **_linear("to_omega", "phases.to_frequency"),
    **_linear("to_gate", "phases.to_gate"),
    **_linear("to_magnitude", "to_magnitude"),
    **_linear("to_phase_init", "phases.to_start"),
    **_linear("to_phase_init.0", "phases.to_start.0"),
    **_linear("to_phase_init.2", "phases.to_start.2"),
    **_linear("to_query_offset", "phases.to_offset"),
    **_linear("to_out", "out.0"),
    **{k: v for n in (0, 1, 3, 4, 7) for k, v in _linear(f"to_out.{n}", f"out.{n}").items()},
}


def _version(file: str, variant: str) -> dict[str, float]:
    vectors = Vectors(file)
    config = TPIConfig(fidelity="as_published", variant=variant, d_model=vectors["x"].shape[-1])
    return measure_mixer(vectors, config.build_mixer(0), _NAMES)


def _head() -> dict[str, float]:
    """Compare the head with the published linear layer, whose bias starts at 0 and is trained."""
    model = TPIConfig(fidelity="as_published", d_model=128, num_layers=1).build(vocab_size=256, max_seq_len=16)
    initialise(model.double(), 0)
    head = dict(model.named_parameters())
    weight_VD, bias_V = head["output.weight"], head["head_bias_V"]
    start = float(bias_V.detach().abs().max())
    with torch.no_grad():
        bias_V.fill_(0.1)
    h_BTD: list[Tensor] = []
    model.get_submodule("final_norm").register_forward_hook(lambda *given: h_BTD.append(given[-1]))
    logits_BTV = model(torch.arange(16).view(1, 16)).logits_BTV
    logits_BTV.square().sum().backward()
    spread = float(weight_VD.detach().std()) / (2 / (128 + 256)) ** 0.5
    return {
        "out": difference(logits_BTV, (h_BTD[0] @ weight_VD.mT + 0.1).detach()),
        "grad": difference(bias_V.grad, 2 * logits_BTV.detach().sum((0, 1))),
        "start": start,
        "std": abs(spread - 1),
        "bound": abs(float(weight_VD.detach().abs().max()) / (6 / (128 + 256)) ** 0.5 - 1),
    }


ROWS = (
    *(
        Row(what=f"TPI {variant} ({commit})", measure=partial(_version, file, variant))
        for file, variant, commit in (
            ("tpi_v0", "v0_atan2", "19df922"),
            ("tpi_v1", "v1_simple", "dfbbc17"),
            ("tpi_v6", "v6_query_offset", "ef2f19c"),
            ("tpi_v7", "v7_phase_init", "6ace416"),
            ("tpi_v8", "v8_read_offset", "2743513"),
            ("tpi_v10", "v10_gated", "a2c7932"),
        )
    ),
    Row(
        what="TPI head: bias, Glorot's uniform start",
        measure=_head,
        tolerances={"start": 0.0, "std": 0.01, "bound": 0.001},
    ),
)
