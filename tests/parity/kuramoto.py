"""PhaseGPT: the phase attention."""

from __future__ import annotations

from functools import partial

from tests.parity.mixers import measure_mixer
from tests.parity.row import Row
from tests.parity.vectors import Target, Vectors, as_it_is
from trainables.architectures.kuramoto.config import KuramotoConfig

_NAMES: dict[str, Target] = {
    "natural_freq": ("frequency_HN", as_it_is),
    "coupling_matrix": ("coupling_H", lambda value: value.flatten()),
    "to_phase.weight": ("to_phase.weight", as_it_is),
    "to_phase.bias": ("to_phase.bias", as_it_is),
    "from_phase.weight": ("out.weight", as_it_is),
    "from_phase.bias": ("out.bias", as_it_is),
}


def _layer(file: str) -> dict[str, float]:
    vectors = Vectors(file)
    num_heads, num_oscillators = vectors["param/natural_freq"].shape
    config = KuramotoConfig(
        fidelity="as_published",
        d_model=vectors["x"].shape[-1],
        num_heads=num_heads,
        num_layers=1,
        num_oscillators=num_oscillators,
        phase_layers=(0,),
    )
    return measure_mixer(vectors, config.build_mixer(0), _NAMES)


ROWS = tuple(
    Row(what=f"PhaseAttention, K {coupling}", measure=partial(_layer, file))
    for coupling, file in (("1", "kuramoto_layer"), ("2", "kuramoto_layer_K2"), ("0", "kuramoto_layer_K0"))
)
