"""PhaseGPT: the phase attention, the whole model, order parameters and the coherence regulariser."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from tests.parity.mixers import measure_mixer
from tests.parity.row import Row
from tests.parity.vectors import Target, Vectors, as_it_is, difference, load_exactly, ours_of
from trainables.architectures.kuramoto.config import KuramotoConfig
from trainables.architectures.kuramoto.mixer import Coherence, KuramotoMixer
from trainables.layers import order_parameters


def _linear(theirs: str, ours: str) -> dict[str, Target]:
    return {f"{theirs}.{part}": (f"{ours}.{part}", as_it_is) for part in ("weight", "bias")}


_NAMES: dict[str, Target] = {
    "natural_freq": ("frequency_HN", as_it_is),
    "coupling_matrix": ("coupling_H", lambda value: value.flatten()),
    **_linear("to_phase", "to_phase"),
    **_linear("from_phase", "out"),
}
_ATTENTION: dict[str, Target] = {**_linear("qkv_proj", "qkv"), **_linear("out_proj", "out")}
_PARTS = {"ln1": "mixer_norm", "ln2": "ffn_norm", "ffn.0": "ffn.up", "ffn.2": "ffn.down"}

NUM_LAYERS, PHASE_LAYERS = 3, (0, 2)
"""Of the model in the golden vectors."""


def model_names() -> dict[str, Target]:
    """Return how the parameters of the whole published model are called in ours, in the published order."""
    names: dict[str, Target] = {
        "token_embedding.weight": ("token_embedding.weight", as_it_is),
        "position_embedding.weight": ("position_embedding.weight", as_it_is),
    }
    for layer in range(NUM_LAYERS):
        block = f"blocks.{layer}"
        for part in ("ln1", "ln2"):
            names |= _linear(f"{block}.{part}", f"{block}.{_PARTS[part]}")
        mixer = _NAMES if layer in PHASE_LAYERS else _ATTENTION
        names |= {f"{block}.attention.{k}": (f"{block}.mixer.{ours}", f) for k, (ours, f) in mixer.items()}
        for part in ("ffn.0", "ffn.2"):
            names |= _linear(f"{block}.{part}", f"{block}.{_PARTS[part]}")
    return names | _linear("ln_f", "final_norm")


def small_model(**fields: object) -> KuramotoConfig:
    """Return the configuration of the model in the golden vectors."""
    return KuramotoConfig.model_validate(
        {
            "fidelity": "as_published",
            "d_model": 16,
            "num_layers": NUM_LAYERS,
            "num_heads": 2,
            "phase_layers": PHASE_LAYERS,
            "num_oscillators": 6,
            **fields,
        }
    )


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


def _model(form: str, target: float) -> dict[str, float]:
    """Compare the model whose two phase layers are regularised: the penalty is there, and moves nothing."""
    vectors = Vectors("coherence_two_layers")
    config = small_model(coherence_weight=0.1, coherence_form=form, coherence_target=target)
    model = config.build(vocab_size=24, max_seq_len=16).double()
    load_exactly(model, ours_of(vectors.under("param/"), model_names()))
    output = model(vectors["tokens"].long())
    ((output.logits_BTV * vectors["functional"]).sum() + output.penalty).backward()
    own = dict(model.named_parameters())
    gradients = ours_of(vectors.under("grad/"), model_names())
    theirs = vectors[f"regularizer/{form.replace('centre', 'center')}/{target:g}"]
    return {
        "out": difference(output.logits_BTV, vectors["logits"]),
        "grad": max(difference(own[name].grad, value) for name, value in gradients.items()),
        "penalty": difference(output.penalty, theirs),
    }


def _phases(vectors: Vectors) -> Tensor:
    return vectors["phases_BHTN"].transpose(2, 3).clone().requires_grad_()


def _order() -> dict[str, float]:
    vectors = Vectors("order_parameters")
    phase_BHNT = _phases(vectors)
    by_token_BHT = order_parameters.resultant(phase_BHNT, 2)
    pooled_BH = order_parameters.resultant(phase_BHNT, (2, 3))
    measured = order_parameters.measure(phase_BHNT.detach())
    return {
        "pooled": difference(pooled_BH, vectors["pooled_BH"]),
        "over oscillators": difference(by_token_BHT, vectors["over_oscillators"]),
        "pooled probe": difference(measured["order_pooled"], vectors["pooled_BH"].mean(0)),
        "probe over oscillators": difference(
            measured["order_oscillators"], vectors["over_oscillators"].mean((0, 2))
        ),
    }


def _regulariser(form: str, target: float) -> dict[str, float]:
    vectors = Vectors("order_parameters")
    config = small_model(coherence_weight=0.1, coherence_form=form, coherence_target=target)
    mixer = config.build_mixer(PHASE_LAYERS[-1])
    assert isinstance(mixer, KuramotoMixer) and isinstance(mixer.coherence, Coherence)
    phase_BHNT = _phases(vectors)
    penalty = mixer.coherence.penalty(order_parameters.over_oscillators(phase_BHNT).mean())
    (gradient_BHNT,) = torch.autograd.grad(penalty, phase_BHNT)
    name = f"{form.replace('centre', 'center')}/{target:g}"
    return {
        "penalty": difference(penalty, vectors[f"regularizer/{name}"]),
        "grad": difference(gradient_BHNT.transpose(2, 3), vectors[f"grad/{name}"]),
    }


_FORMS = ("ceiling", "centre", "band")

ROWS = (
    *(
        Row(what=f"PhaseAttention, K {coupling}", measure=partial(_layer, file))
        for coupling, file in (("1", "kuramoto_layer"), ("2", "kuramoto_layer_K2"), ("0", "kuramoto_layer_K0"))
    ),
    *(
        Row(
            what=f"GPT2Model, two phase layers, coherence {form}, target {target}",
            measure=partial(_model, form, target),
        )
        for form in _FORMS
        for target in (0.05, 0.45)
    ),
    Row(what="order parameters", measure=_order),
    *(
        Row(what=f"coherence of given phases, {form}, target {target}", measure=partial(_regulariser, form, target))
        for form in _FORMS
        for target in (0.05, 0.157, 0.45)
    ),
)
