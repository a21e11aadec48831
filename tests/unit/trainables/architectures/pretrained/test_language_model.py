"""A pretrained model as a language model: read on from its state, generated from, saved without frozen weights."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.support.models.configs import small_config
from tests.support.models.pretrained import VOCAB, built, logits, relative, tokens
from trainables.architectures.pretrained import language_model
from trainables.architectures.pretrained.config import PretrainedConfig
from trainables.architectures.pretrained.language_model import PretrainedModel
from trainables.randomness import initialise
from trainables.tasks.generation import generate
from trainables.training.loop import Trainer, train
from trainables.training.numerics import Numerics


def name_of(fields: Any) -> str:
    return str(fields).replace("'", "") if fields else "plain"


SCHEMES: list[dict[str, Any]] = [
    {},
    {"encoding": {"scheme": "rope"}},
    {"encoding": {"scheme": "ntk", "scale": 4.0}},
    {"encoding": {"scheme": "linear", "scale": 4.0}},
    {"encoding": {"scheme": "yarn", "scale": 4.0}},
    {"encoding": {"scheme": "alibi"}},
    {"encoding": {"scheme": "spiral"}},
    {"encoding": {"scheme": "spiral", "constant": "prng_hash"}},
    {"encoding": {"scheme": "spiral", "applied": "added"}},
    {"encoding": {"scheme": "hybrid", "transition": 20.0, "width": 3.0}},
    {"encoding": {"scheme": "none"}},
    {"adapter": {"last_layers": 1}},
    {"attention_window": 9},
    {"attention_window": 9, "encoding": {"scheme": "alibi"}, "model": "untrained:qwen2"},
    {
        "model": "untrained:mistral",
        "encoding": {"scheme": "spiral"},
        "adapter": {"constant": "e", "last_layers": 2},
    },
    {"attractor": {"last_layers": 1}},
    {"attractor": {"last_layers": 2, "injection": "residual", "policy": "fixed"}, "attention_window": 5},
]
"""Every way to encode positions, and those ways that carry something from pass to pass."""
FEW = [
    pytest.param(scheme, marks=[] if number in {0, 5, 9, 13, 14, 16} else [pytest.mark.slow], id=name_of(scheme))
    for number, scheme in enumerate(SCHEMES)
]
"""One of each kind; the others only where there is time."""
RELATIVE = [scheme for scheme in SCHEMES if "attractor" not in scheme and "adapter" not in scheme]
"""Those in which only distances count, but for those that `NOT_RELATIVE` names."""
NOT_RELATIVE = ("hybrid", "prng_hash", "added")


@torch.no_grad()
def streamed(model: PretrainedModel, tokens_BT: Tensor, parts: tuple[int, ...], state: Any = None) -> Tensor:
    found = []
    for part_BT in tokens_BT.split(parts, dim=1):
        logits_BTV, state = model.stream(part_BT, state)
        found.append(logits_BTV)
    return torch.cat(found, dim=1)


@pytest.mark.parametrize("fields", FEW)
def test_a_sequence_is_read_on_from_a_state(fields: dict[str, Any]) -> None:
    model = built(**fields)
    whole_BTV = logits(model, tokens())
    for parts in ((1,) * 40, (17, 1, 1, 20, 1), (40,)):
        assert relative(streamed(model, tokens(), parts), whole_BTV) < 1e-5
    with torch.no_grad():
        last_BV, state = model.prefill(tokens())
    assert relative(last_BV, whole_BTV[:, -1]) < 1e-5 and state.num_read == 40


@pytest.mark.parametrize("fields", [scheme for scheme in SCHEMES if "attractor" not in scheme], ids=name_of)
def test_padding_at_the_left_changes_nothing(fields: dict[str, Any]) -> None:
    model = built(**fields)
    padding_B = torch.tensor([0, 3, 11])
    whole_BTV, padded_BT = logits(model, tokens(3)), torch.zeros(3, 40, dtype=torch.long)
    for row, size in enumerate(padding_B.tolist()):
        padded_BT[row, size:] = tokens(3)[row, : 40 - size]
    for parts in ((40,), (7, 1, 1, 31)):
        found_BTV = streamed(model, padded_BT, parts, model.nothing_read(padding_B=padding_B))
        for row, size in enumerate(padding_B.tolist()):
            assert relative(found_BTV[row, size:], whole_BTV[row, : 40 - size]) < 1e-5


@pytest.mark.parametrize("fields", RELATIVE, ids=name_of)
def test_a_shift_changes_only_what_is_not_relative(fields: dict[str, Any]) -> None:
    model = built(**fields)
    shifted_BTV = streamed(model, tokens(), (23, 1, 16), model.nothing_read(first_position=1000))
    change = relative(shifted_BTV, logits(model, tokens()))
    assert change > 1e-2 if any(word in str(fields) for word in NOT_RELATIVE) else change < 1e-5


@pytest.mark.parametrize("fields", FEW)
def test_generates_as_a_greedy_loop_over_whole_sequences_and_as_transformers(fields: dict[str, Any]) -> None:
    model, prompt_BT = built(**fields), tokens(2, 12)
    expected_BT = prompt_BT
    for _ in range(10):
        chosen_B1 = logits(model, expected_BT)[:, -1:].argmax(-1)
        expected_BT = torch.cat((expected_BT, chosen_B1), dim=1)
    assert torch.equal(generate(model, prompt_BT, 10, max_length=64, temperature=0), expected_BT)
    theirs_BT = model.model.generate(
        prompt_BT, attention_mask=torch.ones_like(prompt_BT), max_new_tokens=10, do_sample=False, pad_token_id=0
    )
    assert torch.equal(theirs_BT, expected_BT)


def test_a_state_can_be_read_on_from_again_and_again() -> None:
    model = built(attractor={"last_layers": 1}, attention_window=9)
    with torch.no_grad():
        _, state = model.stream(tokens()[:, :20])
        once, _ = model.stream(tokens()[:, 20:], state)
        model.stream(tokens()[:, 5:9], copy.deepcopy(state))
        again, _ = model.stream(tokens()[:, 20:], state)
    assert torch.equal(once, again)


def test_a_prompt_is_read_in_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    model, sizes = built(), []
    model.model.model.register_forward_hook(lambda *args: sizes.append(args[2].last_hidden_state.shape[1]))
    monkeypatch.setattr(language_model, "READ_AT_ONCE", 16)
    whole_BTV = logits(built(), tokens())
    with torch.no_grad():
        found_BV, _ = model.prefill(tokens())
    assert sizes == [16, 16, 8] and relative(found_BV, whole_BTV[:, -1]) < 1e-6


def test_logits_of_a_prompt_are_those_of_its_last_token_only() -> None:
    model, shapes = built(), []
    model.model.lm_head.register_forward_hook(lambda *args: shapes.append(tuple(args[2].shape)))
    with torch.no_grad():
        model.prefill(tokens())
    assert shapes == [(2, 1, VOCAB)]


def test_as_published_positions_start_again_with_every_cached_token() -> None:
    published = built(fidelity="as_published", adapter={"last_layers": 1})
    corrected = built(adapter={"last_layers": 1})
    assert relative(logits(published, tokens()), logits(corrected, tokens())) < 1e-4, "equal in a single pass"
    one_by_one = streamed(published, tokens(), (1,) * 40)
    assert relative(one_by_one[:, :1], logits(published, tokens())[:, :1]) < 1e-5
    assert relative(one_by_one, logits(published, tokens())) > 1e-2
    plain = built()
    with torch.no_grad():  # every token gets the vector of position 0: 1 in even channels, 0 in odd ones
        plain.model.model.layers[1].register_forward_pre_hook(
            lambda _, args: (args[0] + torch.tensor([1.0, 0.0]).repeat(12), *args[1:])
        )
    assert relative(one_by_one, logits(plain, tokens())) < 1e-5


def test_a_smaller_vocabulary_is_the_head_of_the_models(tmp_path: Path) -> None:
    whole = built()
    whole.model.save_pretrained(tmp_path)
    config = PretrainedConfig(model=f"hf:{tmp_path}")
    narrow = config.build(vocab_size=20, max_seq_len=64).eval()
    few_BT = tokens() % 20
    assert torch.equal(narrow(few_BT).logits_BTV, logits(whole, few_BT)[..., :20])


@pytest.mark.parametrize("trained", ["nothing", "lora", "query_key", "everything"])
def test_only_what_is_trained_is_saved_and_loaded(trained: str, tmp_path: Path) -> None:
    built().model.save_pretrained(tmp_path)
    model = built(model=f"hf:{tmp_path}", trained=trained)
    wanted = {"nothing": 0, "lora": 2 * 2 * 4, "query_key": 2 * 2, "everything": 2 * 9 + 2 + 1}
    kept = {name for name in model.state_dict() if name not in model.frozen_state}
    assert len(kept) == wanted[trained]
    assert kept == {name for name, value in model.named_parameters(remove_duplicate=False) if value.requires_grad}
    assert set(model.state_groups["trained"]) == kept


def test_bfloat16_hands_on_float32(tmp_path: Path) -> None:
    built().model.save_pretrained(tmp_path)
    model = built(model=f"hf:{tmp_path}", dtype="bfloat16", encoding={"scheme": "yarn", "scale": 2.0})
    exact = built(model=f"hf:{tmp_path}", encoding={"scheme": "yarn", "scale": 2.0})
    found = logits(model, tokens())
    assert found.dtype == torch.float32 and model.model.lm_head.weight.dtype == torch.bfloat16
    assert 1e-4 < relative(found, logits(exact, tokens())) < 0.1
    assert relative(streamed(model, tokens(), (20, 1, 19)), found) < 0.1


def test_logits_of_one_pass_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    assert built().sequences_at_once == 64
    monkeypatch.setattr(language_model, "LOGITS_AT_ONCE", 3 * VOCAB * 64)
    assert built().sequences_at_once == 3
    monkeypatch.setattr(language_model, "LOGITS_AT_ONCE", 10)
    assert built().sequences_at_once == 1


@pytest.mark.parametrize(
    ("fields", "length", "message"),
    [
        (
            {},
            65,
            r"has 64 positions, and the task's sequences have 65 tokens; extend them by encoding: {scheme: yarn",
        ),
        ({"encoding": {"scheme": "ntk", "scale": 2.0}}, 129, "scale: 3}"),
        ({"encoding": {"scheme": "ntk", "scale": 2.0}}, 128, None),
        ({"extrapolate": True}, 500, None),
    ],
)
def test_a_length_beyond_the_model_is_refused(
    fields: dict[str, Any], length: int, message: str | None, tmp_path: Path
) -> None:
    built().model.save_pretrained(tmp_path)
    config = PretrainedConfig(model=f"hf:{tmp_path}", **fields)
    if message is None:
        config.build(vocab_size=VOCAB, max_seq_len=length)
        return
    with pytest.raises(ValueError, match=message):
        config.build(vocab_size=VOCAB, max_seq_len=length)


def test_a_vocabulary_beyond_the_model_is_refused(tmp_path: Path) -> None:
    built().model.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="knows 29 tokens, and the task has 30; choose the model's own tokenizer"):
        PretrainedConfig(model=f"hf:{tmp_path}").build(vocab_size=30, max_seq_len=8)


@pytest.mark.parametrize("source", ["hf:./nowhere", "hf:nobody/nothing", "package:llm-none"])
def test_a_model_that_is_not_there_is_named_by_its_field(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ValueError, match=rf"^model '{source}'"):
        PretrainedConfig(model=source).build(vocab_size=9, max_seq_len=8)
    with pytest.raises(ValueError, match=rf"^model '{source}'"):
        PretrainedConfig(model=source).canonical()


TRAINED: list[dict[str, Any]] = [
    {"trained": "everything", "encoding": {"scheme": "yarn", "scale": 2.0}},
    {"trained": "lora", "adapter": {"last_layers": 1}, "attractor": {"last_layers": 1}, "dropout": 0.1},
    {"trained": "nothing", "encoding": {"scheme": "adaptive_hybrid", "transition": 8.0, "width": 2.0}},
]


@pytest.mark.parametrize("fields", TRAINED, ids=name_of)
def test_training_goes_on_from_a_checkpoint_without_frozen_weights(fields: dict[str, Any], tmp_path: Path) -> None:
    architecture = {"name": "pretrained", "model": "untrained:llama", "bias": False, **fields}
    config = small_config(architecture=architecture, budget={"steps": 6, "batch_size": 4, "report_every": 3})
    task = config.task.build(None)
    whole = Trainer(config, 0, task, Numerics())
    reports = list(whole.reports())
    assert reports[-1].outcome == "finished"
    begun = Trainer(config, 0, task, Numerics())
    next(iter(begun.reports()))
    begun.save(tmp_path / "checkpoint.pt")
    saved = torch.load(tmp_path / "checkpoint.pt", weights_only=True)["model"]
    assert saved.keys() == begun.model.state_dict().keys() - begun.model.frozen_state
    resumed = Trainer(config, 0, task, Numerics())
    resumed.load(tmp_path / "checkpoint.pt")
    last = list(resumed.reports())[-1]
    assert last.metrics["val/bits_per_char"] == reports[-1].metrics["val/bits_per_char"]
    before = PretrainedConfig(**{key: value for key, value in architecture.items() if key != "name"})
    start = before.model_copy(update={"d_model": 16, "num_layers": 2, "num_heads": 2})
    fresh = start.build(vocab_size=task.vocab_size, max_seq_len=task.max_length)
    initialise(fresh, 0)
    moved = {
        name for name, value in whole.model.state_dict().items() if not torch.equal(value, fresh.state_dict()[name])
    }
    assert moved == set(saved), "what is trained moves, and nothing else"


def test_a_model_is_scored_without_training() -> None:
    config = small_config(architecture={"name": "pretrained"}, budget={"steps": 0, "eval_sequences": 2})
    (report,) = train(config, 0, config.task.build(None))
    assert report.outcome == "finished" and abs(report.metrics["probe/leak"]) < 1e-5


def test_padding_before_an_attractor_is_refused() -> None:
    model = built(attractor={"last_layers": 1})
    with pytest.raises(ValueError, match="an attractor would remember padding"):
        model.nothing_read(padding_B=torch.tensor([1]))
