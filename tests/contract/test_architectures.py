"""Every registered architecture, in every fidelity, meets every contract; a new one cannot opt out."""

from __future__ import annotations

import itertools
from typing import Any, ClassVar, Literal, get_args

import pytest
import torch
from torch import Tensor, nn

import trainables.architectures  # noqa: F401  registers them
from trainables import contract
from trainables.architectures.backbone import BackboneConfig, BackboneModel
from trainables.architectures.base import ArchitectureConfig, ModelOutput
from trainables.contract import CHECKS, ContractError, check, check_architecture
from trainables.layers.attention import CausalSelfAttention
from trainables.layers.cumulative import BLOCK
from trainables.layers.mixer import Mixer, MixerOutput
from trainables.registry import ARCHITECTURES

SMALL = {"d_model": 16, "num_layers": 2, "num_heads": 2}


def fidelities(name: str) -> list[dict[str, Any]]:
    """Return the field values of every fidelity the architecture has."""
    field = ARCHITECTURES.get(name).model_fields.get("fidelity")
    return [{"fidelity": value} for value in get_args(field.annotation)] if field else [{}]


SIZES: dict[str, dict[str, Any]] = {"kuramoto": {"num_oscillators": 2}}
"""What keeps the T×T tensors of a slow reference small."""

CASES = [
    {"name": name, **SIZES.get(name, {}), **fidelity}
    for name in ARCHITECTURES.names()
    for fidelity in fidelities(name)
]
VARIANTS: list[dict[str, Any]] = [{}, {"bias": True, "dropout": 0.1}]


def label(fields: dict[str, Any]) -> str:
    return "-".join(map(str, fields.values())) or "plain"


@pytest.mark.parametrize("contract_name", CHECKS)
@pytest.mark.parametrize("variant", VARIANTS, ids=label)
@pytest.mark.parametrize("case", CASES, ids=label)
def test_meets_contract(case: dict[str, Any], variant: dict[str, Any], contract_name: str) -> None:
    config = ARCHITECTURES.parse({**SMALL, **case, **variant})
    assert config.violates <= CHECKS.keys()
    check(config, contract_name)


@pytest.mark.parametrize("contract_name", CHECKS)
@pytest.mark.parametrize(
    "fields",
    [
        {"causal": True, "fidelity": "as_published"},
        {"causal": False},
        {"causal": False, "coupling": 0.0},
        {"sign": "repulsive", "readout": "angle", "learn_coupling": False, "coupling": 0.0},
        {"phase_noise": 0.03, "frequency_jitter": 0.02, "coherence_weight": 0.1, "coherence_form": "centre"},
        {"phase_layers": [0, 1], "num_oscillators": 1},
        {"phase_layers": []},
    ],
    ids=label,
)
def test_kuramoto_variants_meet_contract(fields: dict[str, Any], contract_name: str) -> None:
    check(ARCHITECTURES.parse({"name": "kuramoto", **SMALL, **SIZES["kuramoto"], **fields}), contract_name)


def test_every_fidelity_is_enumerated() -> None:
    found = [case["fidelity"] for case in CASES if case["name"] == "kuramoto"]
    assert found == ["as_published", "corrected"]
    assert {case["name"] for case in CASES} == set(ARCHITECTURES.names())


class _Broken(BackboneModel):
    """The control with one planted defect."""

    defect: ClassVar[str]

    def forward(self, tokens_BT: Tensor) -> ModelOutput:
        output = super().forward(tokens_BT)
        logits_BTV = output.logits_BTV
        match type(self).defect:
            case "causality":
                logits_BTV = logits_BTV + 1e-6 * logits_BTV.roll(-1, dims=1)
            case "causality from block to block":
                head_BTV, rest_BTV = logits_BTV.split([BLOCK, logits_BTV.shape[1] - BLOCK], dim=1)
                logits_BTV = torch.cat((head_BTV + 1e-6 * rest_BTV[:, :1], rest_BTV), dim=1)
            case "causality once trained":
                logits_BTV = logits_BTV + (self.final_norm.weight.mean() - 1) * logits_BTV.roll(-1, dims=1)
            case "batch_independence":
                logits_BTV = logits_BTV - logits_BTV.mean(0)
            case "repeatability":
                logits_BTV = logits_BTV + next(self.counter)
            case "gradients":
                logits_BTV = logits_BTV.detach() + self.final_norm.weight.sum() * 0
            case "checkpoint":
                logits_BTV = logits_BTV * self.hidden_state
            case "chance":
                logits_BTV = logits_BTV + 9 * nn.functional.one_hot(tokens_BT, logits_BTV.shape[-1])
        return ModelOutput(logits_BTV, output.penalty)

    counter = itertools.count()
    hidden_state: float = 1.0


class _BrokenAttention(CausalSelfAttention):
    """Attention that differs from its reference: in value, or in its gradients alone."""

    in_value = True

    def forward(self, x_BTD: Tensor) -> MixerOutput:
        y_BTD = super().forward(x_BTD).y_BTD
        wrong_BTD = 1.0001 * y_BTD
        return MixerOutput(wrong_BTD if self.in_value else wrong_BTD - 0.0001 * y_BTD.detach())


def broken(defect: str) -> ArchitectureConfig:
    """Return a configuration whose model has `defect`."""
    model_class = type("Broken", (_Broken,), {"defect": defect})

    class BrokenConfig(BackboneConfig):
        name: Literal["broken"] = "broken"

        def build_mixer(self, layer: int) -> Mixer:
            if "reference" not in defect:
                return super().build_mixer(layer)
            mixer = _BrokenAttention(self.d_model, self.num_heads, init_std=0.02, dropout=0.0, bias=False)
            mixer.in_value = defect == "reference"
            return mixer

        def build(self, *, vocab_size: int, max_seq_len: int) -> BackboneModel:
            model = model_class(self, vocab_size=vocab_size, max_seq_len=max_seq_len)
            model.hidden_state = 1.0 + next(_Broken.counter)
            return model

    return BrokenConfig(**SMALL)


@pytest.mark.parametrize("defect", [name for name in CHECKS if name != "round_trip"])
def test_check_finds_planted_defect(defect: str) -> None:
    with pytest.raises(ContractError):
        CHECKS[defect](broken(defect))


@pytest.mark.parametrize(
    "defect", ["causality from block to block", "causality once trained", "reference in its gradients alone"]
)
def test_check_finds_hidden_defect(defect: str) -> None:
    with pytest.raises(ContractError):
        CHECKS[defect.split(maxsplit=1)[0]](broken(defect))


def test_reference_check_says_what_differs() -> None:
    with pytest.raises(ContractError, match=r"'blocks\.0\.mixer' differs .* at length 1: gradient to its input by"):
        CHECKS["reference"](broken("reference in its gradients alone"))


def test_mixer_without_a_reference_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_BrokenAttention, "reference", Mixer.reference)
    CHECKS["reference"](broken("reference"))


def test_round_trip_finds_a_lossy_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    config = ARCHITECTURES.parse({"name": "transformer", **SMALL})
    other = ARCHITECTURES.parse({"name": "transformer", **SMALL, "bias": True})
    monkeypatch.setattr(contract.ARCHITECTURES, "parse", lambda value: other)
    with pytest.raises(ContractError, match="changes on its way"):
        CHECKS["round_trip"](config)


def declaring(violations: set[str]) -> ArchitectureConfig:
    """Return the sound control, declaring violations it does not commit."""

    class DeclaringConfig(BackboneConfig):
        name: Literal["declaring"] = "declaring"

        @property
        def violates(self) -> frozenset[str]:
            return frozenset(violations)

    return DeclaringConfig(**SMALL)


def test_declared_violation_must_show() -> None:
    with pytest.raises(ContractError, match="declares that it violates 'causality', but keeps it"):
        check_architecture(declaring({"causality"}))


def test_unknown_violation_is_refused() -> None:
    with pytest.raises(ContractError, match="unknown contracts \\['honesty'\\]"):
        check_architecture(declaring({"honesty"}))


def test_gradient_check_leaves_frozen_parameters_out() -> None:
    class FrozenConfig(BackboneConfig):
        name: Literal["frozen"] = "frozen"

        def build(self, *, vocab_size: int, max_seq_len: int) -> BackboneModel:
            model = super().build(vocab_size=vocab_size, max_seq_len=max_seq_len)
            model.position_embedding.requires_grad_(False)
            return model

    CHECKS["gradients"](FrozenConfig(**SMALL))
