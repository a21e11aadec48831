"""The resonant family (AFRB + PVM): the ranges of its usage guide, and the values it fixes.

Names are those of the architecture's fields. A group that may be absent (`pvm: null`) is a switch here,
true or false, in addition to its fields (`pvm.alpha`): see `nested`.
"""

from __future__ import annotations

from search_spaces.dimensions import Choice, Constant, Dimension, Integer, LogReal, Real
from search_spaces.space import Condition, Forbidden, SearchSpace

_GUIDE = "AFRB usage guide"
_CODE = "attention-free-phase-blocks, train.py"
_MEMORY = "attention-free-phase-blocks, phase_memory.py"
_OURS = "this project, around the published value"


def _switch(meaning: str, source: str) -> Choice:
    return Choice((False, True), meaning=meaning, source=source)


_BLOCKS = {
    "num_blocks": Integer(0, 4, unit="blocks", meaning="Resonant blocks; 0 is the baseline.", source=_GUIDE),
    "attention": Choice(
        ("kept", "identity", "none"),
        meaning="Attention of the backbone: as it is, replaced by its normed input, or by nothing.",
        source=f"{_CODE} has `identity` under the name of disabling it; `kept` is the upper bound",
    ),
    "mixer": Choice(
        ("glu", "conv"),
        meaning="What transforms a block's input: a gated linear unit, or a convolution over three tokens.",
        source="attention-free-phase-blocks, afrb.py",
    ),
    "block_init": Choice(
        ("residual", "torch"),
        meaning="Initial weights of the blocks: small as in the backbone, or torch's own.",
        source="attention-free-phase-blocks, afrb.py, has the second",
    ),
    "gamma": Real(
        0.1, 0.5, meaning="Strength at which the phase signal's gate starts; 0: no signal.", source=_GUIDE
    ),
    "alpha": Real(0.01, 0.1, meaning="Share of the phase in the phase signal.", source=_GUIDE),
    "learn_phase": _switch("Train alpha and the phase by what they do, as the published code never does.", _CODE),
    "omega": Real(5.0, 7.0, unit="radians per unit of time", meaning="Frequency of the phase.", source=_GUIDE),
    "time": Choice(
        ("log", "linear"),
        meaning="Time by which the phase advances: logarithm of the position, or position.",
        source=f"{_GUIDE}; linear time is an ablation of its authors",
    ),
    "learn_omega": _switch("Train the frequency within its bounds.", _CODE),
    "omega_min": Real(5.0, 5.9, unit="radians per unit of time", meaning="Its lower bound.", source=f"{_OURS} 5.6"),
    "omega_max": Real(6.1, 7.0, unit="radians per unit of time", meaning="Its upper bound.", source=f"{_OURS} 6.4"),
    "omega_bounds": Choice(
        ("moved", "shared"),
        meaning="Bounds of later blocks: moved with their frequency, or those of the first.",
        source=f"{_CODE} has the second",
    ),
    "cascade_lambda": Real(
        0.0, 0.5, meaning="Decay of alpha from block to block.", source=f"{_GUIDE} uses 0 and .1"
    ),
    "cascade_kappa": Real(0.0, 0.5, meaning="Decay of gamma from block to block.", source=f"{_OURS} 0"),
    "phase_delta": Real(
        0.0,
        3.1416,
        unit="radians",
        meaning="Phase a block is ahead, and by which phases glide.",
        source=f"{_OURS} 0",
    ),
    "omega_delta": Real(
        0.0,
        1.0,
        unit="radians per unit of time",
        meaning="Frequency a block is ahead.",
        source=f"{_GUIDE} uses 0, .5 and 1",
    ),
    "counter": Choice(
        ("steps", "forward_passes"), meaning="What the ramps count; the second as published.", source=_CODE
    ),
    "stillness": _switch("Filter the phase signal over training steps.", _CODE),
    "stillness.ema": Real(
        0.01, 1.0, meaning="Share of the new signal in the average.", source=f"{_CODE} has it off"
    ),
    "stillness.floor": Real(0.0, 1.0, meaning="Least share of the average in the signal.", source=_CODE),
    "stillness.warm_steps": Integer(0, 500, unit="steps", meaning="Steps without a signal.", source=f"{_OURS} 0"),
    "block_ramp_steps": Integer(0, 1000, unit="steps", meaning="Ramp of the signal.", source=f"{_OURS} 300"),
    "block_warm_delta_steps": Integer(0, 500, unit="steps", meaning="Delay a block.", source=f"{_OURS} 0"),
    "phase_ramp_steps": Integer(0, 1000, unit="steps", meaning="Time of the phase glide.", source=f"{_OURS} 300"),
    "phase_alignment_weight": Choice(
        (0.0, 0.001, 0.01),
        unit="nats a token and squared radian",
        meaning="Weight of the penalty on phases.",
        source=f"{_CODE} names .001 to .01 as typical",
    ),
}


def _t2(memory: str) -> dict[str, Dimension]:
    return {
        f"{memory}.t2": _switch("A decay by position in place of the constant one.", _GUIDE),
        f"{memory}.t2.fades_read": Choice(
            (True, False),
            meaning="Whether it also multiplies what is read.",
            source=f"{_MEMORY}; not with PCM alone",
        ),
        f"{memory}.t2.mode": Choice(
            ("exp", "resonant"), meaning="Exponential, or with an oscillation.", source=_CODE
        ),
        f"{memory}.t2.steps": LogReal(
            100, 5000, unit="tokens", meaning="Time constant of the first.", source=f"{_OURS} 1500"
        ),
        f"{memory}.t2.k": LogReal(
            1e-4, 1e-2, unit="1 / tokens", meaning="Rate of the second.", source=f"{_OURS} .001"
        ),
        f"{memory}.t2.alpha": Real(0.0, 0.3, meaning="Size of the oscillation.", source=f"{_OURS} .08"),
        f"{memory}.t2.omega": Real(
            5.0, 7.0, unit="radians per unit of log time", meaning="Its frequency.", source=_GUIDE
        ),
        f"{memory}.t2.phase": Real(0.0, 3.1416, unit="radians", meaning="Its phase.", source=f"{_OURS} pi/3"),
    }


def _pcm(memory: str) -> dict[str, Dimension]:
    return {
        f"{memory}.pcm": _switch("A learned offset of what is read.", _CODE),
        f"{memory}.pcm.gate_init": Real(
            -2.0, 2.0, unit="logits", meaning="Where its gate starts.", source=f"{_OURS} .5"
        ),
    }


_PVM = {
    "pvm": _switch("Phase-vector memory in every block.", _GUIDE),
    "pvm.alpha": Real(0.1, 0.5, meaning="Write strength.", source=_GUIDE),
    "pvm.beta": Real(0.7, 0.95, meaning="Share of the memory that stays from token to token.", source=_GUIDE),
    "pvm.gate_init": Real(-5.0, 0.0, unit="logits", meaning="Where the memory's gate starts.", source=_GUIDE),
    "pvm.input_scale": LogReal(
        0.5, 8.0, meaning="Factor on what is written, trained.", source=f"{_MEMORY} starts at 4"
    ),
    "pvm.rotation": Choice(
        ("none", "post", "write"),
        meaning="What the phase turns: nothing, what is read, or what is written.",
        source=f"{_MEMORY} does the second, its documents say the third",
    ),
    "pvm.omega": Real(5.0, 7.0, unit="radians per unit of time", meaning="Frequency of the memory.", source=_GUIDE),
    "pvm.phase": Real(0.0, 3.1416, unit="radians", meaning="Phase at the first token.", source=f"{_MEMORY} has 0"),
    "pvm.time": Choice(("log", "linear"), meaning="As the blocks' time, in the memory.", source=_GUIDE),
    "pvm.reset": Choice(
        (True, False), meaning="Empty the memory for every sequence; as published it is never.", source=_MEMORY
    ),
    **_t2("pvm"),
    "pvm.counter": Choice(
        ("local", "global"),
        meaning="Time within the sequence, or all training passes too, as published.",
        source=_MEMORY,
    ),
    **_pcm("pvm"),
    "pvm.local_attention": _switch("Attention over the last tokens beside the memory.", _GUIDE),
    "pvm.local_attention.window": Choice((8, 16, 32, 64), unit="tokens", meaning="Its window.", source=_GUIDE),
    "pvm.local_attention.weight": Real(0.0, 1.0, meaning="Its share.", source=f"{_GUIDE} has .3"),
}

_PLM = {
    "plm": _switch("Phase-lattice memory in every block.", _CODE),
    "plm.grid_x": Choice((2, 4, 8), unit="cells", meaning="Width of the lattice.", source=f"{_OURS} 4"),
    "plm.grid_y": Choice((2, 4, 8), unit="cells", meaning="Height of the lattice.", source=f"{_OURS} 4"),
    "plm.alpha": Real(0.05, 0.5, meaning="Write strength.", source=f"{_OURS} .1"),
    "plm.beta": Real(
        0.7, 0.95, meaning="Share of the lattice that stays from token to token.", source=f"{_OURS} .9"
    ),
    "plm.omega": Real(
        5.0, 7.0, unit="radians per unit of time", meaning="Frequency at first.", source=f"{_OURS} 6"
    ),
    "plm.kappa": Real(
        0.0, 0.08, meaning="Coupling of neighbouring cells.", source=f"{_OURS} .05; below beta / 8, else waves grow"
    ),
    "plm.gate_init": Real(
        -5.0, 0.0, unit="logits", meaning="Where the lattice's gate starts.", source=f"{_OURS} -2"
    ),
    **_t2("plm"),
    **_pcm("plm"),
}

_READOUT = {
    "readout": _switch("Add what the memories answer to the logits.", _GUIDE),
    "readout.source": Choice(
        ("pvm", "plm", "both"),
        meaning="Which memory answers; as published the first, whatever is said.",
        source=_CODE,
    ),
    "readout.over": Choice(
        ("trace", "state"), meaning="All past states, as published, or the current one.", source=_MEMORY
    ),
    "readout.positions": Choice(("all", "last"), meaning="Where it is added; the last as published.", source=_CODE),
    "readout.mask": Choice(
        ("none", "window", "answer"),
        meaning="Which ids pass: all, those of the last tokens, or, as published, of the answer.",
        source=_CODE,
    ),
    "readout.window": Choice((8, 16, 32, 64), unit="tokens", meaning="Of the mask.", source=f"{_CODE} uses 16, 64"),
    "readout.of": Choice(("own", "first"), meaning="Whose trace: the second is the batch's first.", source=_MEMORY),
    "readout.top_k": Integer(0, 64, meaning="How many are kept; 0: all.", source=f"{_OURS} 0"),
    "readout.top_k_over": Choice(
        ("trace", "vocabulary"), meaning="Of what; the second as published.", source=_CODE
    ),
    "readout.scale": LogReal(0.1, 10.0, meaning="Factor on the added logits.", source=f"{_OURS} 1"),
    "readout.head": Choice(("shared", "separate"), meaning="The model's own head, or another.", source=_CODE),
    "readout.freeze_steps": Integer(
        0, 500, unit="steps", meaning="First ones without training.", source=f"{_OURS} 0"
    ),
    "query.mode": Choice(
        ("mean", "ema", "phase_weighted", "mlp", "learned"),
        meaning="How the last tokens make a query.",
        source="attention-free-phase-blocks, utils_alignment.py",
    ),
    "query.window": Choice(
        (1, 4, 8, 16, 32, 64), unit="tokens", meaning="How many.", source=f"{_CODE} uses 16, 64"
    ),
    "ridge": _switch("Calibrate what maps a read to an embedding (KISS-Ridge).", _GUIDE),
    "readout.uncalibrated": Choice(
        ("trained", "frozen"), meaning="What maps a read without calibration; frozen as published.", source=_CODE
    ),
    "ridge.projection": Choice(
        ("ridge", "random", "identity", "uniform"),
        meaning="Solved in closed form, or a control.",
        source=f"{_GUIDE}; controls",
    ),
    "ridge.max_pairs": Choice(
        (128, 256, 512, 1024, 2048), unit="pairs", meaning="How many.", source=f"{_OURS} 512"
    ),
    "ridge.l2": LogReal(1e-5, 1.0, meaning="Strength of the penalty.", source=f"{_GUIDE}, around .001"),
    "ridge.warmup_batches": Integer(0, 50, unit="batches", meaning="Passes before it.", source=f"{_OURS} 10"),
    "ridge.unfreeze_step": Choice(
        (0, 100, 500, None), unit="steps", meaning="First step that trains it; null: none.", source=_GUIDE
    ),
    "ridge.recalibrate_every": Choice((0, 100, 500), unit="steps", meaning="0: never.", source=f"{_CODE} has 0"),
    "infonce": _switch("A contrastive loss between what is read and the answer.", _GUIDE),
    "infonce.weight": Real(0.05, 1.0, meaning="Weight in the loss.", source=f"{_GUIDE}, without its 0"),
    "infonce.negatives": Integer(64, 256, unit="tokens", meaning="Random wrong answers.", source=_GUIDE),
    "infonce.temperature": Real(0.05, 0.2, meaning="Divides the cosines.", source=_GUIDE),
    "infonce.dim": Constant(512, unit="dimensions", meaning="Width of the comparison.", source=_CODE),
    "infonce.embedding": Choice(
        ("projected", "sliced"), meaning="How an answer gets that width; the second as published.", source=_CODE
    ),
}

_SIGNAL = "num_blocks != 0 and gamma != 0"
_PHASE = f"{_SIGNAL} and (alpha != 0 or learn_phase)"
_TURNS = 'pvm.rotation != "none"'


def _of_decay(memory: str) -> tuple[Condition, ...]:
    t2 = f"{memory}.t2"
    return (
        Condition(f"{t2}.*", only_if=t2),
        Condition(f"{t2}.steps", only_if=f'{t2}.mode == "exp"'),
        Condition((f"{t2}.k", f"{t2}.alpha", f"{t2}.omega", f"{t2}.phase"), only_if=f'{t2}.mode == "resonant"'),
        Condition(f"{memory}.pcm.*", only_if=f"{memory}.pcm"),
    )


SEARCH = SearchSpace(
    {**_BLOCKS, **_PVM, **_PLM, **_READOUT},
    conditions=(
        Condition(("mixer", "block_init", "gamma", "pvm", "plm"), only_if="num_blocks != 0"),
        Condition(
            ("alpha", "learn_phase", "counter", "stillness", "block_ramp_steps"),
            only_if=_SIGNAL,
        ),
        Condition(("omega", "time", "learn_omega", "phase_delta"), only_if=_PHASE),
        Condition(("omega_min", "omega_max", "omega_bounds"), only_if="learn_omega"),
        Condition(("cascade_*", "omega_delta", "block_warm_delta_steps"), only_if=f"num_blocks > 1 and {_SIGNAL}"),
        Condition(("cascade_lambda", "omega_delta"), only_if=_PHASE),
        Condition("phase_ramp_steps", only_if="phase_delta != 0"),
        Condition("phase_alignment_weight", only_if=_PHASE),
        Condition("stillness.*", only_if="stillness"),
        Condition("stillness.floor", only_if="stillness.ema != 0"),
        Condition("pvm.*", only_if="pvm"),
        Condition(("pvm.omega", "pvm.phase", "pvm.time"), only_if=_TURNS),
        Condition("pvm.counter", only_if=f"{_TURNS} or pvm.t2"),
        *_of_decay("pvm"),
        Condition("pvm.local_attention.*", only_if="pvm.local_attention"),
        Condition("plm.*", only_if="plm"),
        *_of_decay("plm"),
        Condition("readout", only_if="pvm or plm"),
        Condition(("readout.*", "query.*", "ridge", "infonce"), only_if="readout"),
        Condition(("readout.top_k_over",), only_if="readout.top_k != 0"),
        Condition("readout.window", only_if='readout.mask != "none"'),
        Condition("query.*", only_if='readout.over == "trace"'),
        Condition("ridge", only_if='readout.head == "shared"'),
        Condition("ridge.*", only_if="ridge"),
        Condition("readout.uncalibrated", only_if='not ridge and readout.head == "shared"'),
        Condition(
            ("ridge.max_pairs", "ridge.l2", "ridge.warmup_batches", "ridge.recalibrate_every"),
            only_if='ridge.projection == "ridge"',
        ),
        Condition("infonce.*", only_if="infonce"),
    ),
    forbidden=(
        *(
            Forbidden(f'omega_bounds == "moved" and {outside}', "a frequency starts within its bounds")
            for outside in ("omega < omega_min", "omega > omega_max")
        ),
        Forbidden('readout.source != "pvm" and not plm', "there is no lattice to read"),
        Forbidden('readout.source != "plm" and not pvm', "there is no phase-vector memory to read"),
    ),
)
"""Every field specific to the family that a search may change."""

TRAINING = SearchSpace(
    {
        "budget.steps": Integer(100, 5000, unit="optimiser steps", meaning="Training iterations.", source=_GUIDE),
        "budget.batch_size": Choice(
            (1, 2, 4, 8, 16, 32),
            unit="sequences",
            meaning="Sequences of one optimiser step, accumulated or not.",
            source=f"{_GUIDE}: 1 to 8 at once, 1 to 16 times; the benchmark has 4, the language task 32",
        ),
        "optimizer.learning_rate": LogReal(
            1e-6,
            1e-3,
            unit="parameter change a step, relative",
            meaning="Peak learning rate of what is trained beside a frozen backbone.",
            source=_GUIDE,
        ),
        "optimizer.warmup_steps": Integer(0, 500, unit="optimiser steps", meaning="Linear warm-up.", source=_GUIDE),
        "optimizer.clip_norm": Real(0.5, 2.0, meaning="Largest norm of the gradient.", source=_GUIDE),
    }
)
"""The guide's ranges for training; dotted names are fields of a trial's configuration."""

SPACES = {"search": SEARCH, "training": TRAINING}
