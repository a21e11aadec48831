"""AFRB blocks with their memories, alone and in cascades."""

from __future__ import annotations

from functools import partial
from typing import Any

from tests.parity.resonant.passes import measure
from tests.parity.row import Row


def _row(file: str, what: str, **given: Any) -> Row:
    return Row(what=what, measure=partial(measure, file, **given))


_RECOMMENDED = {"pvm": {"alpha": 0.3, "beta": 0.85}}
_PVM = {"alpha": 0.12, "beta": 0.88}
"""The code's own defaults."""
_THREE = {"alpha": 0.5, "block_ramp_steps": 3, "num_blocks": 3}

ROWS = (
    _row("afrb_glu", "AFRB block, gated linear unit"),
    _row("afrb_conv", "AFRB block, convolution", mixer="conv"),
    _row("afrb_pvm", "AFRB block with memory", **_RECOMMENDED),
    _row("afrb_pvm_step8000", "AFRB block with memory, from counter 8000", counter=8000, **_RECOMMENDED),
    _row(
        "afrb_conv_pvm",
        "AFRB block, convolution and memory, batches of 3, 1, 4 and 2",
        mixer="conv",
        **_RECOMMENDED,
    ),
    _row(
        "afrb_glu_pvm_batches",
        "AFRB block, gated linear unit and memory, batches of 3, 1, 4 and 2",
        alpha=0.5,
        block_ramp_steps=3,
        **_RECOMMENDED,
    ),
    _row(
        "cascade_no_pvm",
        "three AFRB blocks without memory",
        **_THREE,
        phase_delta=0.1,
        phase_ramp_steps=4,
        omega_delta=0.5,
        cascade_lambda=0.3,
        cascade_kappa=0.2,
    ),
    _row(
        "afrb_stillness",
        "AFRB block, stillness filter",
        alpha=0.5,
        block_ramp_steps=4,
        stillness={"ema": 0.9, "floor": 0.4, "warm_steps": 2},
    ),
    _row("pvm_omega7", "AFRB block with memory, which has its block's omega", omega=7.0, pvm=_PVM),
    _row(
        "cascade_pvm_omega_delta",
        "three AFRB blocks, memories with omegas of their own",
        **_THREE,
        omega_delta=0.5,
        pvm=_PVM,
    ),
    _row(
        "cascade_pvm_phase_delta",
        "three AFRB blocks, memories with phases of their own",
        **_THREE,
        phase_delta=0.1,
        pvm=_PVM,
    ),
    _row("pcm_alone", "AFRB block with memory, PCM alone", pvm={**_PVM, "pcm": {}}),
    _row("t2_alone", "AFRB block with memory, T2 alone", pvm={**_PVM, "t2": {"steps": 20.0}}),
    _row("t2_pcm", "AFRB block with memory, T2 and PCM", pvm={**_PVM, "t2": {}, "pcm": {}}),
    _row(
        "t2_resonant_pcm",
        "AFRB block with memory, T2 in mode resonant and PCM",
        pvm={**_PVM, "t2": {"mode": "resonant"}, "pcm": {}},
    ),
    _row("adaptive_omega", "AFRB block, trained omega", alpha=0.5, block_ramp_steps=2, learn_omega=True),
    _row(
        "adaptive_omega_cascade",
        "three AFRB blocks, trained omegas in one range",
        **{**_THREE, "block_ramp_steps": 2},
        omega_delta=0.5,
        learn_omega=True,
    ),
    _row("block_ramp_0", "AFRB block, a ramp of 0 passes", alpha=0.5, block_ramp_steps=0),
    _row(
        "ramp_0_before_training",
        "AFRB block, a ramp of 0 passes, before training",
        alpha=0.5,
        block_ramp_steps=0,
    ),
    _row(
        "ramp_0_warm_3",
        "AFRB block, a ramp of 0 passes after a warm-up",
        alpha=0.5,
        block_ramp_steps=0,
        stillness={"ema": 0.3, "warm_steps": 3},
    ),
    _row(
        "ramp_warm_3_no_filter",
        "AFRB block, a warm-up without stillness filter",
        alpha=0.5,
        block_ramp_steps=4,
        stillness={"ema": 0.0, "warm_steps": 3},
    ),
    _row(
        "stillness_warm_alone",
        "AFRB block, a warm-up without stillness filter, longer than the ramp",
        alpha=0.5,
        block_ramp_steps=2,
        stillness={"ema": 0.0, "warm_steps": 3},
    ),
)
