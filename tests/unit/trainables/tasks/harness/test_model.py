"""A model of ours answers lm-evaluation-harness as the harness's own wrapper of the same model does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from lm_eval.api.instance import Instance
from torch import Tensor

from trainables.architectures.base.model import LanguageModel, ModelOutput
from trainables.contract.tasks import TwoTokenModel
from trainables.data.tokenizers.pretrained import PretrainedTokenizer
from trainables.data.tokenizers.simple import ByteTokenizer
from trainables.tasks.harness.model import HarnessModel

CPU = torch.device("cpu")
TEXTS = (
    ("The key is 17. The key is", " 17"),
    ("The key is 17. The key is", " 4, or"),
    ("The key is 17. The key is ", "17"),  # the space belongs to the continuation
    ("Once upon a time there was", " a key."),
    ("", "without a context"),
    ("far too long " * 20, "to be read whole"),
)


def saved_tokenizer(folder: Path) -> Any:
    """Save a byte-level tokenizer, a token for each byte and some merges, as the library does."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<end>"],
        show_progress=False,
    )
    backend.train_from_iterator(["The key is 17. Once upon a time there was a key."] * 9, trainer=trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<end>", bos_token="<end>")
    fast.save_pretrained(folder)
    return fast


class Wrapped(LanguageModel):
    """A model of the library."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens_BT: Tensor) -> ModelOutput:
        return ModelOutput(self.model(tokens_BT, use_cache=False).logits, torch.zeros(()))

    def stream(self, tokens_BT: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        output = self.model(tokens_BT, past_key_values=state, use_cache=True)
        return output.logits, output.past_key_values


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, HarnessModel]:
    """The harness's own wrapper, and ours, around one small model with 64 positions."""
    from lm_eval.models.huggingface import HFLM
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("tokenizer")
    fast = saved_tokenizer(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(fast),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=64,
        initializer_range=0.3,
        bos_token_id=fast.eos_token_id,
        eos_token_id=fast.eos_token_id,
        pad_token_id=fast.eos_token_id,
    )
    model = LlamaForCausalLM(config).eval()
    theirs = HFLM(pretrained=model, tokenizer=fast, batch_size=1, device="cpu")
    tokenizer = PretrainedTokenizer(folder / "tokenizer.json")
    ours = HarnessModel(Wrapped(model).eval(), tokenizer, max_length=theirs.max_length, device=CPU, pass_tokens=48)
    return theirs, ours


def requests(kind: Any, *arguments: tuple[Any, ...]) -> list[Instance]:
    return [
        Instance(request_type=kind, doc={}, arguments=each, idx=place, metadata=("task", place, 1))
        for place, each in enumerate(arguments)
    ]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@torch.no_grad()
def test_likelihoods_are_those_of_the_harness(both: tuple[Any, HarnessModel]) -> None:
    theirs, ours = (model.loglikelihood(requests("loglikelihood", *TEXTS)) for model in both)
    for (their_nats, their_greedy), (our_nats, our_greedy) in zip(theirs, ours, strict=True):
        assert our_nats == pytest.approx(their_nats, rel=1e-4)
        assert our_greedy == their_greedy


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@torch.no_grad()
def test_rolling_likelihoods_are_those_of_the_harness(both: tuple[Any, HarnessModel]) -> None:
    texts = [("short",), ("The key is 17. " * 30,), ("a" * 64,)]
    theirs, ours = (model.loglikelihood_rolling(requests("loglikelihood_rolling", *texts)) for model in both)
    assert ours == pytest.approx(theirs, rel=1e-4)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@torch.no_grad()
def test_generations_are_those_of_the_harness(both: tuple[Any, HarnessModel]) -> None:
    wanted = {"do_sample": False, "max_gen_toks": 12, "until": ["\n\n", "e"]}
    arguments = [(context, wanted) for context, _ in TEXTS if context]
    theirs, ours = (model.generate_until(requests("generate_until", *arguments)) for model in both)
    assert ours == theirs
    assert len(set(ours)) > 2


@torch.no_grad()
def test_a_likelihood_is_that_of_one_forward_pass() -> None:
    """What the comparison with the harness's own wrapper shows, without its 12 seconds of imports."""
    model, tokenizer = TwoTokenModel(256).eval(), ByteTokenizer()
    ours = HarnessModel(model, tokenizer, max_length=30, device=CPU, pass_tokens=50)
    found = ours.loglikelihood(requests("loglikelihood", *TEXTS))
    for (context, continuation), (nats, greedy) in zip(TEXTS, found, strict=True):
        whole_T = torch.from_numpy(tokenizer.encode((context or "\n") + continuation)).long()
        logits_NV = model(whole_T[None, -31:-1]).logits_BTV[0]
        new_N = whole_T[len((context.rstrip() or "\n").encode()) :]
        log_p_NV = logits_NV[-len(new_N) :].log_softmax(-1)
        assert nats == pytest.approx(float(log_p_NV.gather(1, new_N[:, None]).sum()), rel=1e-5)
        assert greedy == bool((log_p_NV.argmax(1) == new_N).all())
    whole = "a text of forty-six characters, or thereabouts"
    (rolled,) = ours.loglikelihood_rolling(requests("loglikelihood_rolling", (whole,)))
    parts = [("\n", whole[:30]), (whole[15:30], whole[30:])]  # the last window has as much context as it can
    assert rolled == pytest.approx(sum(nats for nats, _ in ours.loglikelihood(requests("loglikelihood", *parts))))


@torch.no_grad()
def test_whatever_needs_random_draws_is_refused() -> None:
    ours = HarnessModel(TwoTokenModel(256).eval(), ByteTokenizer(), max_length=50, device=CPU, pass_tokens=50)
    with pytest.raises(ValueError, match="greedy only"):
        ours.generate_until(requests("generate_until", ("a", {"do_sample": True, "temperature": 0.7})))
    (text,) = ours.generate_until(requests("generate_until", ("ab", {"until": [], "max_gen_toks": 5})))
    assert len(text) == 5


def test_a_chat_has_one_message_of_a_user() -> None:
    ours = HarnessModel(
        TwoTokenModel(256).eval(),
        ByteTokenizer(),
        max_length=50,
        device=CPU,
        pass_tokens=50,
        frame=("<user>", "<model>"),
    )
    assert ours.apply_chat_template([{"role": "user", "content": "Key?"}]) == "<user>Key?<model>"
    begun = [{"role": "user", "content": "Key?"}, {"role": "assistant", "content": "The key is"}]
    assert ours.apply_chat_template(begun) == "<user>Key?<model>The key is"
    with pytest.raises(ValueError, match="one message of a user"):
        ours.apply_chat_template([{"role": "system", "content": "Be brief."}, *begun])
    assert json.dumps(ours.chat_template())
