"""Every registered architecture, in every fidelity, meets every contract; a new one cannot opt out."""

from __future__ import annotations

import itertools
from typing import Any, ClassVar, Literal

import pytest
import torch
from torch import Tensor, nn

from trainables.architectures.base import ArchitectureConfig
from trainables.architectures.base.model import ModelOutput
from trainables.architectures.gpt import BackboneConfig
from trainables.architectures.gpt.model import BackboneModel
from trainables.architectures.resonant.config import ResonantConfig
from trainables.contract import architectures as contract
from trainables.contract.architectures import (
    CHECKS,
    examine_architecture,
    has_stream,
)
from trainables.contract.finding import ContractError
from trainables.layers.attention import CausalSelfAttention
from trainables.layers.cumulative import BLOCK
from trainables.layers.mixer import Mixer, MixerOutput
from trainables.registry import ARCHITECTURES

SMALL = {"d_model": 16, "num_layers": 2, "num_heads": 2}


CASES = [config for name in ARCHITECTURES.names() for config in ARCHITECTURES.get(name).contract_configs()]


def label(fields: dict[str, Any]) -> str:
    return "-".join(map(str, fields.values())) or "plain"


def short(config: ArchitectureConfig) -> str:
    """Name a case by what is not a default."""
    return label({"name": config.name, **config.model_dump(exclude_defaults=True, exclude={*SMALL})})


QUICK_LENGTH = 130
"""Into a third block, as the longest of the contract; a reference's tensors of T × T are small up to here."""
LONG = tuple(length for length in contract.REFERENCE_LENGTHS if length > QUICK_LENGTH)
NOT_LONG = tuple(length for length in contract.REFERENCE_LENGTHS if length <= QUICK_LENGTH)


@pytest.fixture(autouse=True)
def quick_lengths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contract, "REFERENCE_LENGTHS", (*NOT_LONG, QUICK_LENGTH))


@pytest.mark.slow
@pytest.mark.parametrize("config", CASES, ids=short)
def test_equals_its_reference_at_great_length_too(
    config: ArchitectureConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert LONG == (513,)
    monkeypatch.setattr(contract, "REFERENCE_LENGTHS", LONG)
    CHECKS["reference"](config)


@pytest.mark.parametrize("config", CASES, ids=short)
def test_meets_contract(config: ArchitectureConfig) -> None:
    assert not failures(config)


def failures(config: ArchitectureConfig) -> list[tuple[str, str]]:
    """Return the contracts that a configuration breaks, each with what was found."""
    return [(one.contract, one.found) for one in examine_architecture(config) if one.outcome == "failed"]


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
        {"phase_weight": 0.3},
    ],
    ids=label,
)
def test_kuramoto_variants_meet_contract(fields: dict[str, Any]) -> None:
    assert not failures(ARCHITECTURES.parse({"name": "kuramoto", **SMALL, "num_oscillators": 2, **fields}))


def test_every_fidelity_is_enumerated_plain_and_with_every_option() -> None:
    found = [(case.fidelity, case.dropout > 0) for case in CASES if case.name == "kuramoto"]
    fidelities = ("as_published", "corrected")
    plain = [(name, option) for name in fidelities for option in (False, True)]
    assert found == plain + [(name, False) for name in fidelities], "the oscillators alone, then beside attention"
    assert {case.name for case in CASES} == set(ARCHITECTURES.names())


class _Broken(BackboneModel):
    """The control with one planted defect."""

    defect: ClassVar[str]

    @property
    def needs_targets(self) -> bool:  # type: ignore[override]
        return type(self).defect == "targets"

    def forward(self, tokens_BT: Tensor, targets_BT: Tensor | None = None) -> ModelOutput:
        output = super().forward(tokens_BT)
        logits_BTV = output.logits_BTV
        match type(self).defect:
            case "targets" if targets_BT is not None:
                logits_BTV = logits_BTV + 1e-6 * targets_BT.unsqueeze(-1)
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
            case "micro_batches":
                return ModelOutput(logits_BTV, output.penalty + 1e-3 * logits_BTV.square().sum())
            case "gradients":
                logits_BTV = logits_BTV.detach() + self.final_norm.weight.sum() * 0
            case "checkpoint":
                logits_BTV = logits_BTV * self.hidden_state
            case "chance":
                logits_BTV = logits_BTV + 9 * nn.functional.one_hot(tokens_BT, logits_BTV.shape[-1])
        return ModelOutput(logits_BTV, output.penalty)

    def stream(self, tokens_BT: Tensor, state: Any = None) -> tuple[Tensor, Any] | None:
        if type(self).defect == "stream that ends" and state is not None:
            return None
        if type(self).defect == "stream" and state is not None:
            state = state._replace(position=state.position - 1)
        return super().stream(tokens_BT, state)

    def probes(self, tokens_BT: Tensor) -> dict[str, float]:
        return {"probe/undeclared": 1.0} if type(self).defect == "probes" else super().probes(tokens_BT)

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
    "defect",
    [
        "causality from block to block",
        "causality once trained",
        "reference in its gradients alone",
        "stream that ends",
    ],
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


def outcomes(config: ArchitectureConfig) -> dict[str, str]:
    return {finding.contract: finding.outcome for finding in examine_architecture(config)}


def test_an_examination_goes_on_after_a_failure() -> None:
    found = outcomes(broken("causality"))
    assert set(found) == {"violations", *CHECKS}
    failed = {name for name, outcome in found.items() if outcome == "failed"}
    # It cannot be read back, since no name is registered, and a state knows nothing of what is to come.
    assert failed == {"causality", "round_trip", "stream"}


def test_an_examination_tells_a_declared_violation_from_an_undeclared_one() -> None:
    published = ARCHITECTURES.get("kuramoto").contract_configs()[0]
    assert outcomes(published)["causality"] == "expected_violation"
    kept, unknown = (dict(failures(declaring({name}))) for name in ("causality", "honesty"))
    assert kept["causality"] == "declares that it violates 'causality', but keeps it"
    assert unknown["violations"].startswith("declares unknown contracts ['honesty']; known: causality, ")
    assert kept.keys() - unknown.keys() == {"causality"}


def test_an_examination_says_where_no_reference_is_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_BrokenAttention, "reference", Mixer.reference)
    assert outcomes(broken("reference"))["reference"] == "not_declared"


def test_an_examination_says_where_a_model_has_no_state() -> None:
    published, corrected = ARCHITECTURES.get("kuramoto").contract_configs()[0:4:2]
    assert outcomes(published)["stream"] == "not_declared", "its mean field is not causal"
    assert outcomes(corrected)["stream"] == "passed"


def test_every_causal_model_has_a_state_but_an_echo_and_those_that_read_all_traces() -> None:
    without = {short(config) for config in CASES if not has_stream(config)}
    is_causal = {short(config) for config in CASES if "causality" not in config.violates}
    assert {name.partition("-")[0] for name in without} == {
        "echo",
        "kuramoto",
        "resonant",
        "pi_spiral",
        "pretrained",
    }
    resonant = [config for config in CASES if isinstance(config, ResonantConfig)]
    reads = {short(config) for config in resonant if config.readout is not None}
    assert without & is_causal == {"echo"} | (reads & is_causal)


def test_an_examination_reports_what_the_code_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(self: Mixer, x_BTD: Tensor) -> Tensor:
        raise RuntimeError("a bug in somebody's layer")

    monkeypatch.setattr(_BrokenAttention, "reference", fails)
    finding = next(one for one in examine_architecture(broken("reference")) if one.contract == "reference")
    assert (finding.outcome, finding.found) == ("failed", "RuntimeError: a bug in somebody's layer")
    assert finding.expected.startswith("Every mixer that has a slow reference must equal it")


def test_gradient_check_leaves_frozen_parameters_out() -> None:
    class FrozenConfig(BackboneConfig):
        name: Literal["frozen"] = "frozen"

        def build(self, *, vocab_size: int, max_seq_len: int) -> BackboneModel:
            model = super().build(vocab_size=vocab_size, max_seq_len=max_seq_len)
            model.position_embedding.requires_grad_(False)
            return model

    CHECKS["gradients"](FrozenConfig(**SMALL))
