"""A real sweep in which trials need more memory than was estimated: they fail alone, and are helped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from analysis.records.journal import read_journal
from analysis.records.replicates import Replicate
from tests.support.sweeps.studies import journal_events, phasesweep

pytestmark = [pytest.mark.ray, pytest.mark.slow]

GREEDY = '''\
"""A family whose need no estimate sees: NumPy's memory, as much for each sequence of a micro-batch."""

from __future__ import annotations

from typing import Literal

import numpy as np
from torch._subclasses.fake_tensor import FakeTensor

from trainables.architectures.gpt import TransformerConfig
from trainables.layers.attention import CausalSelfAttention
from trainables.registry import register_architecture


class GreedyAttention(CausalSelfAttention):
    appetite_mib = 0.0

    def forward(self, x_BTD):
        if not isinstance(x_BTD, FakeTensor) and self.training:
            np.ones(int(self.appetite_mib * x_BTD.shape[0] * 2**17)).sum()
        return super().forward(x_BTD)


@register_architecture("greedy", version=1)
class GreedyConfig(TransformerConfig):
    name: Literal["greedy"] = "greedy"
    appetite_mib: float

    def build_mixer(self, layer):
        mixer = super().build_mixer(layer)
        mixer.__class__ = GreedyAttention
        mixer.appetite_mib = self.appetite_mib
        return mixer
'''

STUDY = """\
format_version: 1
study: appetites
title: One modest arm, two greedy ones
seeds: 1
plugins: [greedy.py]
base:
  architecture: {{d_model: 16, num_layers: 1, num_heads: 2}}
  task: {{name: language, corpus: synthetic, context_length: 16, max_bytes: 20000}}
  optimizer: {{learning_rate: 3e-3, warmup_steps: 3}}
  budget: {{steps: 20, batch_size: 4, report_every: 10, eval_sequences: 8}}
arms:
  modest: {{role: baseline, architecture: {{name: transformer}}}}
  splits: {{architecture: {{name: greedy, appetite_mib: {splits}}}}}
  grows: {{architecture: {{name: greedy, appetite_mib: {grows}, dropout: 0.1}}}}
scales:
  laptop: {{}}
"""


def write_appetites(folder: Path, *, splits: float, grows: float) -> None:
    (folder / "greedy.py").write_text(GREEDY, encoding="utf-8")
    (folder / "appetites.yaml").write_text(STUDY.format(splits=splits, grows=grows), encoding="utf-8")


def by_arm(folder: Path) -> dict[str, Replicate]:
    state = read_journal(next((folder / "results").rglob("journal")))
    assert state.sweep is not None
    return {arm.arm: state.replicates[arm.config_id, 0] for arm in state.sweep.arms}


def ooms(folder: Path, replicate: Replicate) -> list[dict[str, Any]]:
    events = journal_events(folder / "results")
    return [e for e in events if e["event"] == "oom" and e["config_id"] == replicate.config_id]


def test_what_needs_more_than_estimated_fails_alone_and_is_helped(tmp_path: Path) -> None:
    write_appetites(tmp_path, splits=150, grows=150)
    done = phasesweep(["run", "appetites.yaml"], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    arms = by_arm(tmp_path)
    assert {name: replicate.status for name, replicate in arms.items()} == dict.fromkeys(arms, "finished")
    assert arms["modest"].num_ooms == 0
    assert arms["modest"].attempts[-1].numerics["micro_batch_size"] is None

    (halved,) = ooms(tmp_path, arms["splits"])
    assert halved["retry"].startswith("micro_batch_size 4 -> 2 (gradients accumulated over 2 instead of 1")
    assert arms["splits"].numerics["micro_batch_size"] == 2
    assert "the trial may use 768 MiB" in halved["message"]
    assert "suspected" not in halved

    (grown,) = ooms(tmp_path, arms["grows"])
    assert grown["retry"].startswith("memory 768 -> 1536 MiB (its gradients depend on the micro-batch")
    assert arms["grows"].numerics["micro_batch_size"] is None
    assert (arms["modest"].cap_mib, arms["grows"].cap_mib) == (768, 1536)


def test_a_greedy_trial_of_two_workers_ends_alone(tmp_path: Path) -> None:
    """Each worker is capped like a trial of one; what may be split is helped, what may not ends as oom."""
    write_appetites(tmp_path, splits=300, grows=300)
    done = phasesweep(["run", "appetites.yaml", "--set", "resources.workers=2"], tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    arms = by_arm(tmp_path)
    statuses = {name: replicate.status for name, replicate in arms.items()}
    assert statuses == {"modest": "finished", "splits": "finished", "grows": "oom"}
    assert [replicate.num_killed for replicate in arms.values()] == [0, 0, 0]
    assert (arms["modest"].num_ooms, arms["modest"].cap_mib) == (0, 768)

    (halved,) = ooms(tmp_path, arms["splits"])
    assert halved["retry"].startswith("micro_batch_size 2 -> 1 (gradients accumulated over 2 instead of 1")
    assert arms["splits"].numerics["micro_batch_size"] == 1

    (ended,) = ooms(tmp_path, arms["grows"])
    assert ended["message"].startswith("rank ")
    assert "the trial may use 768 MiB" in ended["message"]
    assert "that is the most that a worker of this study is given" in ended["message"]
    assert not ended.get("retry")
