"""Golden losses, messages and configuration ids. `make golden` writes them again; review the diff."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from sweeps.errors import EXIT_USER_ERROR
from tests.golden import config_ids, mistakes
from tests.golden.mistake import answer
from tests.golden.mistakes import MISTAKES, entry
from tests.support.models.configs import KURAMOTO, RESONANT, small_config
from trainables.training.loop import Trainer
from trainables.training.numerics import Numerics

PATH = Path(__file__).with_name("losses.json")
STEPS = 20

FAMILIES: dict[str, dict[str, Any]] = {
    "transformer": {},
    "kuramoto as_published": {**KURAMOTO, "fidelity": "as_published"},
    "kuramoto corrected": KURAMOTO,
    "kuramoto corrected, noise, jitter, regulariser": {
        **KURAMOTO,
        "phase_noise": 0.03,
        "frequency_jitter": 0.02,
        "coherence_weight": 0.1,
    },
    "mean_pool": {"name": "mean_pool", "pool_layers": [1]},
    "resonant as_published": {**RESONANT, "fidelity": "as_published", "pvm": {"t2": {}, "pcm": {}}},
    "resonant corrected": RESONANT,
    "resonant corrected, two blocks, lattice, hybrid, convolution": {
        **RESONANT,
        "num_blocks": 2,
        "mixer": "conv",
        "plm": {"grid_x": 2, "grid_y": 2},
        "pvm": {"local_attention": {"window": 8}},
        "readout": {"source": "both"},
    },
    "tpi as_published": {"name": "tpi", "fidelity": "as_published"},
    "tpi corrected": {"name": "tpi"},
    "tpi corrected, query offset, decay, diversity, memory": {
        "name": "tpi",
        "variant": "v6_query_offset",
        "decay": "learned",
        "diversity_weight": 0.1,
        "memory_size": 4,
    },
    "pi_spiral as_published": {"name": "pi_spiral", "fidelity": "as_published", "attractor": {}},
    "pi_spiral corrected": {"name": "pi_spiral"},
    "pi_spiral corrected, learned hybrid, learned attractor": {
        "name": "pi_spiral",
        "encoding": {"scheme": "adaptive_hybrid", "applied": "added", "transition": 8.0, "width": 2.0},
        "attractor": {"policy": "learned", "injection": "projection"},
    },
    "pretrained, untrained llama, yarn": {
        "name": "pretrained",
        "trained": "everything",
        "encoding": {"scheme": "yarn", "scale": 4.0},
    },
    "pretrained as_published, untrained qwen2, alibi, LoRA, adapter, attractor": {
        "name": "pretrained",
        "model": "untrained:qwen2",
        "fidelity": "as_published",
        "trained": "lora",
        "encoding": {"scheme": "alibi"},
        "adapter": {"last_layers": 1},
        "attractor": {"last_layers": 1},
        "train_attractor": True,
    },
    "gru": {"name": "gru"},
    "diagonal_ssm": {"name": "diagonal_ssm"},
}


def losses(architecture: dict[str, Any]) -> list[float]:
    """Return the training loss of each of the first `STEPS` steps, in nats a token."""
    config = small_config(architecture=architecture, budget={"steps": STEPS, "report_every": STEPS})
    trainer = Trainer(config, 0, config.task.build(None), Numerics())
    found, before = [], 0.0
    for _ in range(STEPS):
        trainer._train_one_step()
        total = float(trainer._loss_sum)
        found.append(total - before)
        before = total
    return found


def messages() -> dict[str, dict[str, Any]]:
    """Return what the platform answers to every mistake of a user."""
    found = {}
    for name, mistake in MISTAKES.items():
        with TemporaryDirectory() as folder:
            given = answer(mistake, Path(folder))
        if given.exit_code != EXIT_USER_ERROR:
            raise SystemExit(f"'{name}' is no mistake: exit code {given.exit_code}\n{given.out}{given.err}")
        found[name] = entry(mistake, given.err)
    return found


def main() -> None:
    """Write the golden files."""
    found = {name: [round(loss, 6) for loss in losses(fields)] for name, fields in FAMILIES.items()}
    golden = {"torch": torch.__version__.partition("+")[0], "losses": found}
    PATH.write_text(json.dumps(golden, indent=1) + "\n", encoding="utf-8")
    mistakes.write(messages())
    config_ids.write()
    print(f"wrote {PATH}, {mistakes.PATH} and {config_ids.PATH}; review the diff")


if __name__ == "__main__":
    main()
