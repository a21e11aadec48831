"""Every replicate crashes at once in the same way: the run stops after a few, and goes on once that is fixed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.sweeps.studies import journal_events, phasesweep

pytestmark = [pytest.mark.ray, pytest.mark.slow]

FAMILY = """\
from pathlib import Path
from typing import Literal

from torch import Tensor

from trainables.architectures.tpi.config import TPIConfig
from trainables.registry import register_architecture


@register_architecture("fragile_tpi", version=1)
class FragileConfig(TPIConfig):
    name: Literal["fragile_tpi"] = "fragile_tpi"
    flag: str

    def build_mixer(self, layer):
        mixer = super().build_mixer(layer)

        def reads(out, _, y_BTD):
            # The dry run of the plan has tensors without values, and does not read the file.
            if type(y_BTD) is Tensor and Path(self.flag).exists():
                raise OSError(f"stale file handle: {self.flag}")

        mixer.out.register_forward_hook(reads)
        return mixer
"""
STUDY = """\
format_version: 1
study: storm
title: Nine configurations that all need one file server
seeds: 2
plugins: [fragile_tpi.py]
base:
  architecture: {d_model: 16, num_layers: 1, num_heads: 2, name: fragile_tpi, flag: FLAG}
  task: {name: language, corpus: synthetic, context_length: 16, max_bytes: 20000}
  optimizer: {warmup_steps: 1}
  budget: {steps: 4, batch_size: 2, report_every: 4, eval_sequences: 2}
arms:
  rate_1: {role: baseline, optimizer: {learning_rate: 0.001}}
ARMS
scales:
  laptop: {}
"""


def test_a_storm_of_equal_crashes_stops_the_run_and_is_resumed(tmp_path: Path) -> None:
    flag = tmp_path / "down"
    flag.touch()
    (tmp_path / "fragile_tpi.py").write_text(FAMILY, encoding="utf-8")
    arms = "\n".join(f"  rate_{n}: {{optimizer: {{learning_rate: 0.00{n}}}}}" for n in range(2, 10))
    study = STUDY.replace("FLAG", str(flag)).replace("ARMS", arms)
    (tmp_path / "storm.yaml").write_text(study, encoding="utf-8")
    stopped = phasesweep(["run", "storm.yaml"], tmp_path)
    assert stopped.returncode == 1, stopped.stdout + stopped.stderr
    (reason,) = re.findall(r"stopped: (.*?; fix that)", " ".join(stopped.stdout.split()))
    assert re.match(r"\d+ replicates in a row crashed in the same way, the last one by: OSError: stale", reason)
    num_crashed = sum(event["event"] == "crashed" for event in journal_events(tmp_path / "results"))
    assert 5 <= num_crashed < 12, "two at a time, and a spare one for each"

    flag.unlink()
    fixed = phasesweep(["resume", "storm.yaml", "--failed"], tmp_path)
    assert fixed.returncode == 0, fixed.stdout + fixed.stderr
    assert sum(event["event"] == "finished" for event in journal_events(tmp_path / "results")) == 18
