"""Which fields the resonant family fills in, which make another configuration, and what does not fit together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from tests.unit.trainables.architectures.resonant.memories import inputs
from trainables.architectures.resonant.build import build_parts
from trainables.architectures.resonant.config import ResonantConfig
from trainables.architectures.resonant.memory.phase_vector import PhaseVectorMemory
from trainables.randomness import initialise
from trainables.schema import without_added

SMALL: dict[str, Any] = {"d_model": 16, "num_layers": 1, "num_heads": 2}
THREE: dict[str, Any] = {"num_blocks": 3, "omega": 5.0, "omega_delta": 0.5, "phase_delta": 0.1}


def configured(**fields: Any) -> ResonantConfig:
    return ResonantConfig.model_validate({**SMALL, **fields})


def published(**fields: Any) -> ResonantConfig:
    return configured(fidelity="as_published", **fields)


def named(config: ResonantConfig) -> dict[str, Any]:
    """Return what enters the configuration id."""
    return without_added(config.canonical(), config.added)


def phases(config: ResonantConfig) -> list[tuple[float, float]]:
    """Return ω and φ of the memories that are built."""
    blocks = build_parts(config, config.d_model, vocab_size=8).blocks
    memories = [part for part in blocks.modules() if isinstance(part, PhaseVectorMemory)]
    return [(memory.omega, memory.phase) for memory in memories]


# --- phases of the memories ---


def test_memories_have_phases_of_their_own_and_as_published_those_of_their_blocks() -> None:
    assert phases(configured(**THREE, pvm={})) == [(6.0, 0.0)] * 3
    of_blocks = [(5.0, 0.0), (5.5, 0.1), (6.0, 0.2)]
    assert phases(published(**THREE, pvm={})) == of_blocks
    assert phases(configured(**THREE, pvm={"omega": None, "phase": None})) == of_blocks
    assert phases(published(**THREE, pvm={"omega": 7.0})) == [(7.0, 0.0), (7.0, 0.1), (7.0, 0.2)]


def test_equal_phases_of_memories_are_one_configuration_however_they_are_given() -> None:
    def same(one: dict[str, Any], other: dict[str, Any], **common: Any) -> bool:
        return named(configured(**common, pvm=one)) == named(configured(**common, pvm=other))

    own, other = {"omega": 5.0}, {"omega": None, "phase": None}
    assert same(own, other, omega=5.0)
    assert same(own, other, omega=5.0, num_blocks=3)
    assert not same(own, other, omega=5.5)
    assert not same(own, other, omega=5.0, num_blocks=3, omega_delta=0.5)
    assert not same(own, other, omega=5.0, num_blocks=3, phase_delta=0.5)
    turning = [named(configured(gamma=0.0, omega=omega, pvm={"omega": None})) for omega in (5.0, 6.0)]
    assert turning[0] != turning[1], "without a phase signal the memory still turns with omega"


# --- T2 and PCM ---


@pytest.mark.parametrize("memory", ["pvm", "plm"])
def test_as_published_t2_brings_pcm_and_pcm_a_decay_that_does_not_fade_what_is_read(memory: str) -> None:
    sizes = {"grid_x": 2, "grid_y": 2} if memory == "plm" else {}

    def found(**given: Any) -> tuple[bool | None, bool]:
        part = getattr(published(**{memory: {**sizes, **given}}), memory)
        assert all(one is None or one.published for one in (part.t2, part.pcm))
        return None if part.t2 is None else part.t2.fades_read, part.pcm is not None

    assert found() == (None, False)
    assert found(t2={}) == (True, True)
    assert found(pcm={}) == (False, True)
    assert found(t2={}, pcm={}) == (True, True)
    assert found(t2={}, pcm=None) == (True, False), "what is given stays"
    assert found(t2=None, pcm={}) == (None, True)
    alone = getattr(configured(**{memory: {**sizes, "pcm": {}}}), memory)
    assert alone.t2 is None


def test_what_fades_with_the_number_of_passes_depends_on_how_a_batch_is_cut() -> None:
    lattice = {"grid_x": 2, "grid_y": 2}
    steps = {"counter": "steps", "omega_bounds": "moved"}
    assert not published(**steps, plm={**lattice, "t2": {}}).microbatch_invariant
    assert published(**steps, plm={**lattice, "pcm": {}}).microbatch_invariant
    assert configured(plm={**lattice, "t2": {}, "pcm": {}}).microbatch_invariant


# --- schedule, initial weights, phases that are aligned ---


def test_a_ramp_of_0_is_as_published_one_of_1() -> None:
    assert published(block_ramp_steps=0).block_ramp_steps == 1
    assert configured(block_ramp_steps=0).block_ramp_steps == 0


def test_a_warm_up_needs_no_filter() -> None:
    (block,) = build_parts(configured(stillness={"ema": 0.0, "warm_steps": 7}), 16, vocab_size=8).blocks
    assert block.stillness is None
    assert block.schedule.warm_steps == 7
    assert configured(stillness={"ema": 0.0, "warm_steps": 7}).microbatch_invariant
    assert not configured(stillness={"ema": 0.1}).microbatch_invariant
    floors = [named(configured(stillness={"ema": 0.0, "floor": floor, "warm_steps": 7})) for floor in (0.0, 0.5)]
    assert floors[0] == floors[1]


@pytest.mark.parametrize("mixer", ["glu", "conv", "mlp"])
def test_published_blocks_start_as_torch_draws_them_whatever_the_backbones_depth(mixer: str) -> None:
    fields = {"mixer": mixer, "pvm": {"local_attention": {}}, "plm": {"grid_x": 2, "grid_y": 2}}
    drawn = []
    for num_layers in (1, 22):
        blocks = build_parts(published(**{**fields, "num_layers": num_layers}), 16, vocab_size=8).blocks
        initialise(blocks, 0)
        drawn.append(dict(blocks.named_parameters()))
    assert all(torch.equal(value, drawn[1][name]) for name, value in drawn[0].items())
    for name, value in drawn[0].items():
        if name.endswith("weight") and "norm" not in name:
            bound = value[0].numel() ** -0.5
            assert 0.9 * bound < float(value.detach().abs().max()) <= bound, name
            assert drawn[0][name.replace("weight", "bias")].any(), name


def test_a_penalty_on_phases_trains_them_although_the_signal_reads_numbers() -> None:
    def block(**fields: Any) -> Any:
        return build_parts(published(alpha=0.5, **fields), 16, vocab_size=8).blocks[0].double().train()

    names = {name for name, _ in block().named_parameters()}
    aligned = block(phase_alignment_weight=0.01)
    assert {name for name, _ in aligned.named_parameters()} - names == {"embedding.phase"}
    initialise(aligned, 0)
    (aligned.run(inputs(2, 9, 16)).y_BTD * inputs(2, 9, 16, seed=1)).sum().backward()
    assert aligned.embedding.phase.grad is None
    with torch.no_grad():
        before_BTD = aligned.eval().run(inputs(2, 9, 16)).y_BTD
        aligned.embedding.phase.fill_(1.0)
        assert not torch.equal(aligned.run(inputs(2, 9, 16)).y_BTD, before_BTD)
    assert named(published(phase_alignment_weight=0.01)) != named(published())
    assert named(published(alpha=0.0, phase_alignment_weight=0.01)) == named(published(alpha=0.0))


# --- ids ---


def test_what_was_added_later_leaves_ids_as_they_were() -> None:
    groups = {"pvm": {"t2": {}, "pcm": {}}, "plm": {"grid_x": 2, "grid_y": 2}, "readout": {}, "learn_omega": True}
    found = named(configured(**groups))
    assert found["pvm"]["t2"].keys().isdisjoint({"fades_read"})
    assert found["plm"].keys().isdisjoint({"t2", "pcm"})
    assert found["readout"].keys().isdisjoint({"uncalibrated"})
    assert found.keys().isdisjoint({"block_init", "omega_bounds"})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"backbone": "pretrained"}, "write scratch, pretrain, hf:PATH, hf:OWNER/NAME or package:NAME"),
        ({"readout": {}}, "needs pvm"),
        ({"readout": {}, "pvm": {}, "num_blocks": 0}, "needs num_blocks"),
        ({"ridge": {}, "pvm": {}}, "needs a readout"),
        ({"quantisation": "8bit"}, "is for backbones hf:"),
        ({"train_head": True}, "train_head is for backbones hf:… and package:…; this one is scratch: set tie_head"),
        ({"backbone": "pretrain", "parameter_budget": 9000}, "parameter_budget needs backbone=scratch"),
        ({"plm": {"grid_x": 3}}, "must be a multiple of 24"),
        ({"pvm": {"rotation": "before"}}, "rotation"),
    ],
)
def test_what_does_not_fit_together_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        configured(**fields)


def test_as_published_sets_defaults_of_the_groups_that_are_there() -> None:
    made = published(pvm={"reset": True})
    assert made.pvm is not None
    assert (made.pvm.rotation, made.pvm.counter, made.pvm.reset) == ("post", "global", True)
    assert made.readout is None
    assert made.attention == "identity"
    assert not made.microbatch_invariant


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"num_blocks": 0, "alpha": 0.1}, {"num_blocks": 0, "alpha": 0.2}),
        ({"gamma": 0.0, "omega": 5.0}, {"gamma": 0.0, "omega": 7.0}),
        ({"pvm": {"rotation": "none", "omega": 5.0}}, {"pvm": {"rotation": "none", "omega": 7.0}}),
        ({"causal": True}, {"causal": False}),
        ({"query": {"window": 4}}, {"query": {"window": 8}}),
    ],
)
def test_fields_without_effect_do_not_make_another_configuration(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    assert configured(**one).canonical() == configured(**other).canonical()
    assert configured().canonical() != configured(pvm={}).canonical()


def test_results_from_when_logits_were_clamped_before_their_scale_are_other_results() -> None:
    for scale, entry in ((1.0, None), (0.5, "last")):
        canonical = configured(pvm={}, readout={"scale": scale}).canonical()
        assert canonical["readout"].get("clamp") == entry


def test_what_blocks_read_of_the_backbones_fields_names_them_beside_a_hugging_face_one(tmp_path: Path) -> None:
    """Their weights may start as in a model of `num_layers` layers; local attention has `num_heads` heads."""
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    (tmp_path / "model.safetensors").write_bytes(b"of which only the hash counts")
    backbone = f"hf:{tmp_path}"

    def same(one: dict[str, Any], other: dict[str, Any], **common: Any) -> bool:
        first, second = (configured(backbone=backbone, **common, **fields).canonical() for fields in (one, other))
        return first == second

    assert not same({"num_layers": 2}, {"num_layers": 4})
    assert same({"num_layers": 2}, {"num_layers": 4}, fidelity="as_published", plm={})
    assert not same({}, {"train_head": True})
    assert same({}, {"tie_head": False})
    assert not same({"residual_init": "scaled"}, {"residual_init": "plain"})
    assert same({"num_layers": 2, "residual_init": "scaled"}, {"residual_init": "plain"}, num_blocks=0)
    assert same({"num_heads": 2}, {"num_heads": 4}, pvm={})
    assert not same({"num_heads": 2}, {"num_heads": 4}, pvm={"local_attention": {}})
    assert same({"num_heads": 2}, {"num_heads": 4}, pvm={"local_attention": {}}, num_blocks=0)
    assert same({"ffn_multiplier": 2.0, "d_model": 32}, {"ffn_multiplier": 4.0, "d_model": 64}, pvm={})
