"""π-spiral: tables of positions, rotations, and the attractor."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from tests.parity.row import Row
from tests.parity.vectors import Vectors, difference
from trainables.layers.encodings.added import SpiralVector
from trainables.layers.encodings.attractor import AttractorState, outer_product_states
from trainables.layers.encodings.fields import AttractorConfig, EncodingConfig
from trainables.layers.encodings.rotary import FrequencyRotation, rotated

_CONSTANTS = {"pi": "pi", "e": "e", "sqrt2": "sqrt2", "phi": "golden"}
"""The published name of each constant, and ours."""


def _table(near: str, far: str, constants: Mapping[str, str], **fields: Any) -> dict[str, float]:
    """Compare the vectors of near and far positions."""
    vectors = Vectors("pi_spiral_positions")
    found = {}
    for theirs, ours in constants.items():
        encode = SpiralVector(EncodingConfig(scheme="spiral", constant=ours, **fields), 2)
        places = [(far, vectors["positions_far"])]
        places += [(near, torch.arange(64))] if near else []
        found[ours] = max(
            difference(encode(position_T, torch.float64), vectors[f"{table}/{theirs}"].double())
            for table, position_T in places
        )
    return found


def _wide_table() -> dict[str, float]:
    vectors = Vectors("pi_spiral")
    position_T = torch.arange(128)
    return {
        ours: difference(
            SpiralVector(EncodingConfig(scheme="spiral", constant=ours), 16)(position_T, torch.float64),
            vectors[f"table/{theirs}"],
        )
        for theirs, ours in {**_CONSTANTS, "prng": "prng_table"}.items()
    }


def _halves(x_xK: Tensor) -> Tensor:
    """Return channels that alternate between the two of a pair as all first ones, then all second ones."""
    return torch.cat((x_xK[..., 0::2], x_xK[..., 1::2]), dim=-1)


def _rotation(name: str, **fields: Any) -> dict[str, float]:
    vectors = Vectors("pi_spiral_positions")
    encoding = EncodingConfig(phase_precision="float32", **fields)
    rotation = FrequencyRotation(encoding, 8, trained_length=4096)
    cos, sin = rotation(vectors[f"{name}/positions"], torch.float64)
    turn = rotation(torch.arange(12), torch.float64)
    q_BTHK = vectors[f"{name}/q_BTHD"].clone().requires_grad_()
    q, k = (rotated(_halves(x).transpose(1, 2), *turn).transpose(1, 2) for x in (q_BTHK, vectors[f"{name}/k_BTHD"]))
    (q * _halves(vectors[f"{name}/functional_of_q"])).sum().backward()
    one = rotated(_halves(vectors[f"{name}/x_BHD"]).unsqueeze(-2), *rotation(torch.tensor([63]), torch.float64))
    return {
        "cos": difference(cos, vectors[f"{name}/cos"]),
        "sin": difference(sin, vectors[f"{name}/sin"]),
        "q": difference(q, _halves(vectors[f"{name}/q_rotated"])),
        "k": difference(k, _halves(vectors[f"{name}/k_rotated"])),
        "grad": difference(q_BTHK.grad, vectors[f"{name}/grad_q"]),
        "at_63": difference(one.squeeze(-2), _halves(vectors[f"{name}/x_at_63"])),
    }


def _attractor(name: str, **fields: Any) -> dict[str, float]:
    """Compare the final state, as one phase scan, with the published matrix of 16 rows and 16 columns."""
    vectors = Vectors("pi_spiral")
    prefix = f"attractor/{name}"
    state = AttractorState(AttractorConfig(length=None, read="final", **fields), 16).double()
    with torch.no_grad():
        state.write.weight.copy_(vectors[f"{prefix}/projection"])
        state.write.bias.copy_(vectors[f"{prefix}/projection_bias"])
    h_BTD = vectors[f"{prefix}/h"].clone().requires_grad_()
    re_BTS, im_BTS = state(h_BTD)
    c_BSD = torch.stack((re_BTS[:, 0], im_BTS[:, 0]), dim=-1).repeat(1, 1, 8)
    (c_BSD * vectors[f"{prefix}/functional"]).sum().backward()
    decay = torch.as_tensor(state.log_decay(h_BTD.shape[1])).exp()
    return {
        "out": difference(c_BSD, vectors[f"{prefix}/C"]),
        "grad": difference(h_BTD.grad, vectors[f"{prefix}/grad_h"]),
        "alpha": difference(decay, vectors[f"{prefix}/alpha"]),
    }


def _definition(name: str, **fields: Any) -> dict[str, float]:
    """Compare the slow definition, for any vectors e, over two calls with a state that is carried.

    A decay that is not learned is float32 on the published side, and taken from there.
    """
    vectors = Vectors("attractor")
    state = AttractorState(AttractorConfig(length=None, state_width=6, **fields), 8).double()
    with torch.no_grad():
        state.write.weight.copy_(vectors[f"{name}/projection"])
        state.write.bias.copy_(vectors[f"{name}/projection_bias"])
        if state.decay_logit is not None:
            state.decay_logit.copy_(vectors[f"{name}/alpha_raw"])
    before_BSD = torch.zeros(1, 6, 8, dtype=torch.float64)
    found = {"out": 0.0, "grad": 0.0, "alpha": 0.0}
    for call in ("call0", "call1"):
        given = vectors.under(f"{name}/{call}/")
        state.zero_grad()
        h_BTD, e_BTD = (given[key].clone().requires_grad_() for key in ("h", "e"))
        decay = torch.as_tensor(state.log_decay(h_BTD.shape[1])).exp()
        found["alpha"] = max(found["alpha"], difference(decay, given["alpha"]))
        if state.decay_logit is None:
            decay = given["alpha"]
        c_BSD = outer_product_states(state.write(h_BTD), e_BTD, decay)[:, -1]
        c_BSD = c_BSD + decay ** h_BTD.shape[1] * before_BSD
        (c_BSD * given["functional"]).sum().backward()
        grads = {"grad_h": h_BTD, "grad_e": e_BTD, "grad_projection": state.write.weight}
        grads |= {"grad_projection_bias": state.write.bias}
        if state.decay_logit is not None:
            grads["grad_alpha_raw"] = state.decay_logit
        found["out"] = max(found["out"], difference(c_BSD, given["C"]))
        found["grad"] = max(found["grad"], *(difference(x.grad, given[key]) for key, x in grads.items()))
        before_BSD = c_BSD.detach()
    return found


_POLICIES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("exp_c_over_N", {"policy": "exp_c_over_n"}),
    ("fixed", {"policy": "fixed", "decay": 0.99}),
    ("learned", {"policy": "learned", "decay": 0.5}),
)

ROWS = (
    Row(
        what="PiSpiralPositional, table in float64: positions 0 to 63 and eight up to 100,003",
        measure=partial(_table, "table_float64", "table_float64_far", {**_CONSTANTS, "prng": "prng_table"}),
    ),
    Row(what="PiSpiralPositional, table of width 16", measure=_wide_table),
    Row(
        what="PiSpiralPositional, table in float32, wrong by up to .11 at far positions",
        measure=partial(_table, "table_float32", "table_float32_far", _CONSTANTS, phase_precision="float32"),
        tolerance=1e-6,
    ),
    Row(
        what="PiSpiralPositional.get_encoding, whose phase is float32 in any model",
        measure=partial(_table, "", "get_encoding_float64_far", _CONSTANTS, phase_precision="float32"),
        tolerance=1e-6,
    ),
    *(
        Row(what=f"RotaryPositionalEmbedding, {what}", measure=partial(_rotation, name, **fields), tolerance=1e-6)
        for what, name, fields in (
            ("base 10,000", "rope", {}),
            ("scaling factor 4", "rope_scaled_4", {"scheme": "linear", "scale": 4.0}),
            ("NTK, 16,384 of 4,096", "rope_ntk_16384_of_4096", {"scheme": "ntk", "scale": 4.0}),
        )
    ),
    *(
        Row(
            what=f"AttractorState, alpha {name}, as one phase scan",
            measure=partial(_attractor, name, phase_precision="float32", **fields),
            tolerance=2e-7,
        )
        for name, fields in _POLICIES
    ),
    *(
        Row(
            what=f"AttractorState, alpha {name}, from its definition",
            measure=partial(_definition, name, **fields),
            tolerances={"alpha": 2e-7},
        )
        for name, fields in (*_POLICIES, ("exp_c_over_N_c1", {"policy": "exp_c_over_n", "c": 1.0}))
    ),
)
