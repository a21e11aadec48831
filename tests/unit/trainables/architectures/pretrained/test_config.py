"""The configuration of a pretrained model: what identifies it, what `as_published` sets, what is refused."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tests.support.models.pretrained import SIZES, built
from trainables.architectures.pretrained.config import PretrainedConfig
from trainables.architectures.pretrained.fields import LORA_LIBRARIES_MIB
from trainables.data.pretrained_files import source_hash


def canonical(**fields: Any) -> dict[str, Any]:
    return PretrainedConfig(**fields).canonical()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model")
    built().model.save_pretrained(path)
    return path


def test_a_model_is_identified_by_its_weights(folder: Path) -> None:
    found = canonical(model=f"hf:{folder}")
    assert found["model"] == "hf:" + source_hash(f"hf:{folder}")
    assert not {"d_model", "num_layers", "num_heads", "ffn_multiplier", "dropout", "bias"} & set(found)
    assert canonical(model=f"hf:{folder}", d_model=64, dropout=0.5) == found


def test_an_untrained_one_by_its_sizes() -> None:
    assert canonical(**SIZES)["d_model"] == 24
    assert canonical(**SIZES) != canonical(**{**SIZES, "d_model": 48})
    assert canonical(model="untrained:qwen2") != canonical()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"extrapolate": True}, {}),
        ({"parameter_budget": 9000, "ffn_multiplier": 2.0}, {"parameter_budget": 9000}),
        ({"trained": "everything"}, {}),
        ({"trained": "nothing", "offload": True}, {"trained": "nothing"}),
        ({"checkpoint_blocks": True}, {}),
        ({"fidelity": "as_published"}, {}),
        ({"lora": {"rank": 3}}, {}),
        ({"train_attractor": False}, {}),
        ({"encoding": {"scheme": "none", "transition": 5.0}}, {"encoding": {"scheme": "none"}}),
        ({"adapter": {"constant": "multi"}}, {"adapter": {"constant": "multi", "rates": "multiples"}}),
        (
            {"adapter": {"constant": "prng_hash"}},
            {"adapter": {"constant": "prng_hash", "phase_precision": "float32"}},
        ),
        (
            {"trained": "lora", "lora": {"projections": ["v", "q"]}},
            {"trained": "lora", "lora": {"projections": ["q", "v"]}},
        ),
    ],
)
def test_what_changes_no_result_changes_no_identity(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert canonical(**one) == canonical(**other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"encoding": {"scheme": "rope"}}, {}),
        ({"encoding": {"scheme": "rope", "base": 500.0}}, {"encoding": {"scheme": "rope"}}),
        ({"adapter": {}}, {}),
        ({"adapter": {}}, {"adapter": {"last_layers": 3}}),
        ({"adapter": {}}, {"fidelity": "as_published", "adapter": {}}),
        ({"attractor": {}}, {"attractor": {}, "train_attractor": False}),
        ({"attention_window": 64}, {}),
        ({"trained": "lora", "lora": {"rank": 3}}, {"trained": "lora"}),
        ({"dtype": "bfloat16"}, {}),
        ({"parameter_budget": 9000}, {}),
    ],
)
def test_what_changes_a_result_changes_the_identity(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert canonical(**one) != canonical(**other)


def test_as_published_fills_in_what_is_there() -> None:
    plain = PretrainedConfig(fidelity="as_published")
    assert plain.adapter is None and plain.attractor is None
    fields: dict[str, Any] = {"adapter": {"constant": "e"}, "attractor": {"length": 64}}
    published = PretrainedConfig(fidelity="as_published", **fields)
    assert published.adapter is not None and published.attractor is not None
    assert (published.adapter.positions, published.adapter.constant) == ("pass", "e")
    assert published.adapter.phase_precision == published.attractor.phase_precision == "float32"
    assert (published.attractor.read, published.attractor.length) == ("final", 64)
    assert not published.train_attractor and published.attractor.c == math.pi
    assert published.violates == {"stream", "causality"}
    assert PretrainedConfig(**fields).violates == frozenset()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"model": "smollm"}, "model=smollm: write package:NAME, hf:OWNER/NAME, hf:PATH, or untrained:llama"),
        ({"model": "untrained:lama"}, "no such type of model; did you mean 'llama'"),
        ({"num_layers": 0}, "num_layers=0 and ffn_multiplier=4 must be above 0"),
        ({"quantisation": "8bit"}, "is for models with weights of their own, not untrained:llama"),
        (
            {"model": "hf:x/y", "quantisation": "4bit", "trained": "query_key"},
            "have no gradients; set trained=lora",
        ),
        ({"offload": True, "trained": "everything"}, "weights that stay in host memory are for scoring"),
        ({"model": "hf:x/y", "parameter_budget": 1000}, "parameter_budget=1,000 is met by the feed-forward width"),
        ({"encoding": {"scheme": "learned"}}, "never seen: choose another scheme"),
        ({"encoding": {"scheme": "hybrid", "applied": "added"}}, "set applied=rotary"),
        (
            {"attractor": {"carried": True}},
            r"attractor\.carried=true is offered by the architecture pi_spiral only",
        ),
        ({"lora": {"projections": ["q", "q"]}}, "names a projection twice: q, q"),
        ({"attention_window": 1}, "greater than or equal to 2"),
    ],
)
def test_mistakes_say_what_to_do(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        PretrainedConfig(**fields)


def test_only_dropout_keeps_a_batch_from_being_split() -> None:
    assert PretrainedConfig().microbatch_invariant
    assert not PretrainedConfig(dropout=0.1).microbatch_invariant
    with_dropout: Any = {"lora": {"dropout": 0.1}}
    assert PretrainedConfig(**with_dropout).microbatch_invariant, "of LoRA, which is not asked for"
    assert not PretrainedConfig(**with_dropout, trained="lora").microbatch_invariant
    assert PretrainedConfig(dropout=0.1).splits_in_law


def test_a_worker_also_holds_the_libraries() -> None:
    assert PretrainedConfig(trained="lora").libraries_mib - PretrainedConfig().libraries_mib == LORA_LIBRARIES_MIB


def test_the_mode_says_scheme_and_additions() -> None:
    assert PretrainedConfig().mode == "as_trained"
    fields: Any = {"encoding": {"scheme": "yarn"}, "adapter": {}, "attractor": {}}
    assert PretrainedConfig(**fields).mode == "yarn+adapter+attractor"


def test_a_folder_becomes_absolute(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    assert PretrainedConfig(model=f"hf:./{folder.name}").with_absolute_paths().model == f"hf:{folder}"
    assert PretrainedConfig().with_absolute_paths().model == "untrained:llama"
