"""How the published code trains: learning rates, what weight decay reaches, and at what the gradient is clipped."""

from __future__ import annotations

from functools import partial

import torch

from sweeps.studies.resolve import load_study
from tests.parity.kuramoto import model_names, small_model
from tests.parity.row import Row
from tests.parity.vectors import Vectors, difference
from tests.support.models.configs import small_config
from trainables.config.trial import TrialConfig
from trainables.randomness import generator
from trainables.training.loop import Trainer
from trainables.training.numerics import Numerics
from trainables.training.optimizers import learning_rate_at, parameter_groups


def _published(study: str, arm: str) -> TrialConfig:
    """Return an arm with the published sizes and steps."""
    return next(one.config for one in load_study(study, "paper").arms if one.name == arm)


def _phase_a() -> TrialConfig:
    return _published("kuramoto_phase_a", "L7_N32_K1")


def _schedule(study: str, arm: str, file: str, prefix: str) -> dict[str, float]:
    config = _published(study, arm)
    vectors = Vectors(file)
    peak, total = config.optimizer.learning_rate, config.budget.steps
    steps = vectors[f"{prefix}step"].tolist()
    factors = [learning_rate_at(config.optimizer, step, total) / peak for step in steps]
    ours = torch.tensor(factors, dtype=torch.float64)
    return {"of the peak": difference(ours, vectors[f"{prefix}factor"])}


def _decayed() -> dict[str, float]:
    """Compare parameter by parameter: 1 where one is decayed, 0 where it is not."""
    model = small_model().build(vocab_size=24, max_seq_len=16)
    decaying = {
        id(parameter)
        for group in parameter_groups(model, _phase_a().optimizer)
        for parameter in group["params"]
        if group["weight_decay"]
    }
    own = dict(model.named_parameters())
    ours = torch.tensor([float(id(own[name]) in decaying) for name, _ in model_names().values()])
    return {"decayed": difference(ours, Vectors("schedules")["phasegpt/decayed"].double())}


def _clip() -> dict[str, float]:
    """Compare a step with one of four micro-batches whose losses are added, then clipped, written out by hand."""
    optimizer = _published("resonant_echo", "reproduction").optimizer.model_dump() | {"warmup_steps": 0}
    config = small_config(optimizer=optimizer, budget={"batch_size": 8})
    task = config.task.build(None)
    ours, theirs = (Trainer(config, 0, task, Numerics(micro_batch_size=2)) for _ in range(2))
    for trainer in (ours, theirs):
        trainer.model.double()
    ours._train_one_step()
    batch = task.batch(8, generator(theirs.seed, "data", "0"))
    for part in batch.split(2):
        task.loss(theirs.model(part.inputs_BT).logits_BTV, part).backward()
    norm = torch.nn.utils.clip_grad_norm_(theirs.model.parameters(), config.optimizer.clip_norm)
    assert norm > config.optimizer.clip_norm, "nothing was clipped"
    theirs.optimizer.step()
    pairs = zip(ours.model.parameters(), theirs.model.parameters(), strict=True)
    return {
        "norm": difference(ours._gradient_norm, norm),
        "weights": max(difference(one, other.detach()) for one, other in pairs),
    }


_PI_TO_FIVE_DIGITS = 1e-6
"""Of the peak: the published cosine is that of a π of 3.14159, which is worth 7.7e-7 at most."""
_AFRB = ("resonant_echo", "reproduction")
_PHASEGPT = ("kuramoto_phase_a", "L7_N32_K1")

PHASEGPT_ROWS = (
    Row(
        what="PhaseGPT's learning rate at 442 steps",
        measure=partial(_schedule, *_PHASEGPT, "phasegpt_schedule", ""),
        tolerance=_PI_TO_FIVE_DIGITS,
    ),
    Row(
        what="PhaseGPT's learning rate as it ran, in float32",
        measure=partial(_schedule, *_PHASEGPT, "schedules", "phasegpt/"),
        tolerance=_PI_TO_FIVE_DIGITS,
    ),
    Row(what="which parameters PhaseGPT's weight decay reaches", measure=_decayed),
)
AFRB_ROWS = (
    Row(what="AFRB's learning rate", measure=partial(_schedule, *_AFRB, "schedules", "afrb/")),
    Row(what="AFRB's gradient clip of the sum of four micro-batches", measure=_clip),
)
