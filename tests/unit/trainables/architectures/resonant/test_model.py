"""The full_parameters resonant model: its backbone, its readout, its calibration, and what of it goes elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.support.models.backbones import WIDTH, save_backbones
from trainables.architectures.base.parameters import count_parameters
from trainables.architectures.gpt import TransformerConfig
from trainables.architectures.resonant.answers import answer_start, at_answer, mean_row
from trainables.architectures.resonant.config import ResonantConfig
from trainables.architectures.resonant.model import ResonantModel
from trainables.architectures.resonant.readout.ridge import RidgeProjection
from trainables.batch import Batch
from trainables.randomness import initialise

VOCAB, LENGTH = 23, 20
SMALL: dict[str, Any] = {"d_model": 16, "num_layers": 1, "num_heads": 2}
FULL: dict[str, Any] = {
    **SMALL,
    "pvm": {},
    "readout": {},
    "ridge": {"max_pairs": 40, "warmup_batches": 2},
    "infonce": {"dim": 8, "negatives": 4},
}


def configured(**fields: Any) -> ResonantConfig:
    return ResonantConfig.model_validate(fields)


def build(seed: int = 0, **fields: Any) -> ResonantModel:
    model = configured(**fields).build(vocab_size=VOCAB, max_seq_len=LENGTH)
    initialise(model, seed)
    assert isinstance(model, ResonantModel)
    return model


def batch(seed: int = 0, size: int = 8) -> Batch:
    """Return random tokens of which the last four are the answer."""
    tokens_BT = torch.randint(VOCAB, (size, LENGTH + 1), generator=torch.Generator().manual_seed(seed))
    targets_BT = tokens_BT[:, 1:].clone()
    targets_BT[:, :-4] = -100
    return Batch(tokens_BT[:, :-1], targets_BT)


def logits(model: ResonantModel, tokens_BT: Tensor) -> Tensor:
    with torch.no_grad():
        found: Tensor = model.eval()(tokens_BT).logits_BTV
    return found


# --- backbone ---


def test_without_blocks_it_is_its_backbone() -> None:
    model = build(**SMALL, num_blocks=0)
    alone = TransformerConfig(**SMALL).build(vocab_size=VOCAB, max_seq_len=LENGTH).eval()
    alone.load_state_dict(model.backbone.state_dict())
    tokens_BT = batch().inputs_BT
    assert torch.equal(logits(model, tokens_BT), alone(tokens_BT).logits_BTV)


def test_a_pretrained_backbone_is_taken_over_frozen_and_kept_out_of_checkpoints() -> None:
    config = configured(**SMALL, backbone="pretrain", attention="none", pvm={})
    trained = config.to_pretrain()
    assert trained is not None
    backbone = trained.build(vocab_size=VOCAB + 5, max_seq_len=LENGTH + 3)
    initialise(backbone, 7)
    model = build(backbone="pretrain", attention="none", pvm={}, **SMALL)
    model.load_weights_from("backbone", backbone.state_dict())
    rows_VD = backbone.state_dict()["token_embedding.weight"]
    assert torch.equal(model.backbone.embedding_VD, rows_VD[:VOCAB]), "the first tokens, as many as there are here"
    assert not any(parameter.requires_grad for parameter in model.backbone.parameters())
    assert {name for name in model.state_dict() if name not in model.frozen_state} == {
        name for name in model.state_dict() if name.startswith("blocks.")
    }


def test_a_backbone_that_does_not_fit_is_refused() -> None:
    model = build(backbone="pretrain", **SMALL)
    small = TransformerConfig(**SMALL).build(vocab_size=VOCAB - 1, max_seq_len=LENGTH)
    with pytest.raises(ValueError, match=r"token_embedding\.weight.*at least as many tokens"):
        model.load_weights_from("backbone", small.state_dict())
    model.backbone.register_buffer("scale", torch.tensor(1.0))
    fitting = {**model.backbone.state_dict(), "scale": torch.tensor(2.0)}
    model.load_weights_from("backbone", fitting)
    assert float(model.backbone.scale) == 2.0
    with pytest.raises(ValueError, match=r"'scale' is \(3,\) there and \(\) here"):
        model.load_weights_from("backbone", {**fitting, "scale": torch.ones(3)})
    with pytest.raises(ValueError, match=r"'token_embedding\.weight' is \(\) there"):
        model.load_weights_from("backbone", {**fitting, "token_embedding.weight": torch.tensor(1.0)})
    with pytest.raises(ValueError, match="takes over no 'other'"):
        model.load_weights_from("other", {})


def test_a_parameter_budget_pays_for_the_blocks_too() -> None:
    budget = 12_000
    cases: list[dict[str, Any]] = [{}, {"pvm": {}, "readout": {}, "ridge": {}}, {"attention": "none"}]
    for fields in cases:
        config = configured(**SMALL, parameter_budget=budget, **fields)
        found = count_parameters(config, vocab_size=VOCAB, max_seq_len=LENGTH)
        assert abs(found - budget) <= 2 * SMALL["d_model"]


def test_the_mlp_control_has_as_many_parameters_as_the_gated_block() -> None:
    sizes = {
        mixer: count_parameters(configured(**SMALL, mixer=mixer), vocab_size=VOCAB, max_seq_len=LENGTH)
        for mixer in ("glu", "mlp")
    }
    assert sizes["glu"] == sizes["mlp"]


# --- calibration and freezing ---


def test_ridge_is_solved_before_the_first_step_and_frozen_until_its_time() -> None:
    model = build(**FULL).train()
    assert model.readout is not None
    projection = model.readout.projection
    assert isinstance(projection, RidgeProjection)
    before = projection.map_DD.clone()
    seeds = iter(range(1000))
    note = model.on_step_start(0, lambda: batch(next(seeds)))
    assert note is not None
    assert note.startswith("[KISS-RIDGE] step 0: calibrated pvm2emb on 40 pairs, λ = 0.001")
    assert not torch.equal(projection.map_DD, before)
    assert model.training, "calibration leaves the mode as it was"
    for step, trained in ((99, False), (100, True)):
        model.zero_grad()
        assert model.on_step_start(step, batch) is None
        model(batch().inputs_BT).logits_BTV.square().mean().backward()
        assert bool(projection.map_DD.grad is not None and projection.map_DD.grad.any()) is trained


def test_the_calibrated_projection_is_the_ridge_solution_of_its_pairs() -> None:
    model = build(**{**FULL, "ridge": {"max_pairs": 8, "warmup_batches": 0, "l2": 0.5}}).train()
    assert model.readout is not None
    model.on_step_start(0, lambda: batch(3))
    given = batch(3)
    model.eval()
    with torch.no_grad():
        z_ND = at_answer(model.read(*model.states(given.inputs_BT)), given.targets_BT).double()
    z_ND = z_ND / z_ND.norm(dim=1, keepdim=True)
    first_N = given.targets_BT.gather(1, answer_start(given.targets_BT)[:, None])[:, 0]
    e_ND = model.backbone.head_VD[first_N].detach().double()
    e_ND = e_ND / e_ND.norm(dim=1, keepdim=True)
    projection = model.readout.projection
    assert isinstance(projection, RidgeProjection)
    map_DD = projection.map_DD.detach().double()
    residual_DD = z_ND.T @ (z_ND @ map_DD - e_ND) + 0.5 * map_DD
    assert float(residual_DD.abs().max()) < 1e-5


def test_a_projection_that_was_taken_over_is_not_calibrated_before_the_first_step() -> None:
    model = build(**{**FULL, "ridge": {"max_pairs": 8, "warmup_batches": 0, "recalibrate_every": 5}}).train()
    model.resumed(["blocks", "projection"])
    assert model.readout is not None
    before_DD = model.readout.projection.map_DD.detach().clone()
    assert model.on_step_start(0, batch) is None
    assert torch.equal(model.readout.projection.map_DD, before_DD)
    assert "step 5" in str(model.on_step_start(5, batch)), "blended with what later batches say, as every other"
    model.resumed(["blocks"])
    assert "step 0" in str(model.on_step_start(0, batch))


def test_as_published_the_calibration_counts_as_training_and_asks_with_embeddings() -> None:
    """10 passes of warm-up and 5 for the pairs, so that ramps and memories are further on at the first step."""
    fields = {**FULL, "ridge": {"max_pairs": 40, "warmup_batches": 10}, "fidelity": "as_published"}
    published = build(**fields).train()
    corrected = build(**{**fields, "ridge": {**fields["ridge"], "in_training": False}}).train()
    for model, passes in ((published, 15), (corrected, 10)):
        model.on_step_start(0, batch)
        assert [int(block.step) for block in model.resonant_blocks()] == [passes]
        assert model.training
    given = batch().inputs_BT
    read_BD = published.eval()._calibration_read(given)
    with torch.no_grad():
        for parameter in published.backbone.blocks.parameters():
            parameter.zero_()
    assert torch.equal(published._calibration_read(given), read_BD), "the backbone's layers take no part"


def test_a_task_without_an_answer_is_refused() -> None:
    model = build(**FULL).train()
    nothing = batch()._replace(targets_BT=torch.full((8, LENGTH), -100))
    with pytest.raises(ValueError, match="no scored target"):
        model.on_step_start(0, lambda: nothing)


# --- readout and contrast ---


def test_what_is_read_is_taken_where_the_answer_begins() -> None:
    given = batch()
    assert answer_start(given.targets_BT).tolist() == [LENGTH - 4] * 8
    read_BSD = torch.arange(8.0 * LENGTH).reshape(8, LENGTH, 1)
    assert torch.equal(at_answer(read_BSD, given.targets_BT), read_BSD[:, LENGTH - 4])
    assert torch.equal(at_answer(read_BSD[:, -1:], given.targets_BT), read_BSD[:, -1])


def test_the_positive_is_the_mean_row_of_the_answer() -> None:
    rows_VD = torch.randn(VOCAB, 5)
    given = batch()
    wanted_BD = torch.stack([rows_VD[targets_T[-4:]].mean(0) for targets_T in given.targets_BT])
    assert torch.allclose(mean_row(rows_VD, given.targets_BT), wanted_BD, atol=1e-6)


def test_the_contrast_is_in_the_training_loss_only_and_reaches_the_memory() -> None:
    model = build(**FULL).train()
    given = batch()
    assert not model(given.inputs_BT).penalty.any()
    penalty = model(given.inputs_BT, given.targets_BT).penalty
    penalty.backward()
    assert penalty > 0
    gates = [parameter.grad for name, parameter in model.named_parameters() if name.endswith("input_scale")]
    assert gates
    assert all(gate is not None and bool(gate.any()) for gate in gates)


@pytest.mark.parametrize("fidelity", ["corrected", "as_published"])
def test_an_odd_width_is_a_width(fidelity: str) -> None:
    model = build(**{**FULL, "d_model": 15, "num_heads": 3, "fidelity": fidelity}).train()
    given = batch()
    output = model(given.inputs_BT, given.targets_BT)
    output.logits_BTV.logsumexp(-1).mean().backward()
    assert all(bool(p.grad.isfinite().all()) for p in model.parameters() if p.grad is not None)
    assert set(model.probes(given.inputs_BT)) == set(
        build(**{**FULL, "fidelity": fidelity}).probes(given.inputs_BT)
    )


def test_published_readout_reads_the_first_sequence_for_all() -> None:
    given = batch().inputs_BT
    published = build(**{**FULL, "fidelity": "as_published", "num_layers": 0})
    other = given.clone()
    other[0] = (other[0] + 1) % VOCAB
    assert not torch.equal(logits(published, given)[1:, -1], logits(published, other)[1:, -1])
    corrected = build(**{**FULL, "num_layers": 0})
    assert torch.equal(logits(corrected, given)[1:], logits(corrected, other)[1:])


def test_probes_of_an_attention_free_model_say_that_it_cannot_see_far() -> None:
    fields = {**SMALL, "attention": "none", "gamma": 0.0, "pvm": {"beta": 0.5, "gate_init": 2.0}}
    model = build(**fields)
    found = model.probes(batch().inputs_BT)
    assert found["probe/memory_reach_tokens"] == 7
    assert found["probe/influence_beyond_reach"] < 0.02, "about the 1 % that a reach leaves, by definition"
    seeing = build(**{**fields, "attention": "kept"})
    with torch.no_grad():
        for name, parameter in seeing.named_parameters():
            parameter.mul_(50 if name.startswith("backbone.blocks.0.mixer.") else 1)
    kept = seeing.probes(batch().inputs_BT)
    assert kept["probe/influence_beyond_reach"] > 0.1, "attention sees beyond the memory's reach"
    assert found["probe/memory_state_bytes"] == 4 * SMALL["d_model"]


def test_where_the_trace_is_curved_is_measured_if_there_is_a_needle() -> None:
    model, tokens_BT = build(**{**SMALL, "pvm": {}, "num_blocks": 2}), batch().inputs_BT.clone()
    names = {f"probe/pvm_curvature_{name}" for name in ("peak_near", "peak_near_null", "height", "height_null")}
    assert not names & model.probes(tokens_BT).keys(), "text has no needle"
    model.answer_length = 4
    tokens_BT[:, 6:10] = tokens_BT[:, -4:]
    found = model.probes(tokens_BT)
    assert all(0 <= found[name] <= 1 for name in names)
    ranges = ("before", "near", "after", "far_after")
    for null in ("", "_null"):
        assert sum(found[f"probe/pvm_curvature_peak_{name}{null}"] for name in ranges) == pytest.approx(1)


def test_the_reach_is_that_of_all_memories_and_of_what_stands_beside_them() -> None:
    def reach(**fields: Any) -> float | None:
        model = build(**{**SMALL, "attention": "none", **fields})
        return model.probes(batch().inputs_BT).get("probe/memory_reach_tokens")

    half: dict[str, Any] = {"beta": 0.5}
    lattice = {"grid_x": 2, "grid_y": 2, "beta": 0.25, "kappa": 0.0}
    assert reach(pvm=half) == 7
    assert reach(plm=lattice) == 4
    assert reach(pvm=half, plm=lattice, num_blocks=2) == 22
    assert reach(pvm=half, mixer="conv") == 9
    assert reach(pvm={**half, "local_attention": {"window": 12}}) == 11
    assert reach(pvm={**half, "local_attention": {"window": 3}}) == 7
    assert reach(pvm={**half, "t2": {}}) is reach(pvm={"beta": 1.0}) is reach() is None


def test_a_readout_over_the_trace_sees_what_the_last_state_has_forgotten() -> None:
    fields = {**SMALL, "attention": "none", "gamma": 0.0, "pvm": {"beta": 0.5}}
    found = {
        over: build(**fields, readout={"over": over}).probes(batch().inputs_BT)["probe/influence_beyond_reach"]
        for over in ("state", "trace")
    }
    assert found["state"] < 0.02
    assert found["trace"] > 0.1


def test_a_trained_head_is_all_that_is_kept_of_a_frozen_backbone(tmp_path: Path) -> None:
    """It starts as the tied one, so that all arms start from the same model."""
    folder = save_backbones(tmp_path)["qwen2"]  # whose head is tied
    common = {**FULL, "backbone": f"hf:{folder}", "ridge": None}
    tied, untied = build(**common), build(**common, train_head=True)
    tokens_BT = batch().inputs_BT
    assert torch.equal(logits(tied, tokens_BT), logits(untied, tokens_BT))
    head = {"backbone.model.lm_head.weight"}
    assert untied.state_dict().keys() - untied.frozen_state == (tied.state_dict().keys() - tied.frozen_state) | head
    assert untied.state_groups.keys() - tied.state_groups.keys() == {"head"}
    assert count_parameters(
        untied.config, vocab_size=VOCAB, max_seq_len=LENGTH
    ) == VOCAB * WIDTH + count_parameters(tied.config, vocab_size=VOCAB, max_seq_len=LENGTH)
    output = untied.train()(tokens_BT, batch().targets_BT)
    (output.logits_BTV.logsumexp(-1).sum() + output.penalty).backward()
    with_gradients = {name for name, value in untied.named_parameters() if value.grad is not None}
    assert head <= with_gradients and not with_gradients & untied.frozen_state
