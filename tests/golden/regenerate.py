"""Golden losses: 20 steps of every family. `make golden` writes them anew; review the diff."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.configs import KURAMOTO, small_config
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


def main() -> None:
    """Write the golden file."""
    golden = {name: [round(loss, 6) for loss in losses(fields)] for name, fields in FAMILIES.items()}
    PATH.write_text(json.dumps(golden, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {PATH}; review the diff")


if __name__ == "__main__":
    main()
