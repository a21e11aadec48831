"""Contracts of tasks, as checks that a plugin's author can run too: no test framework is needed.

`examine_task(MyTaskConfig(...))` runs them all. The models used here are not trained: one guesses uniformly, one
repeats the token it reads (`echo`), one looks at the next token (`peek`), one is a fixed function of the
last two tokens. Their scores are known in advance. A contract that a configuration declares in `violates`
is checked in reverse, as for architectures: a published metric that rewards an echo must really do so.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from trainables.architectures.base.model import LanguageModel, ModelOutput
from trainables.batch import IGNORED, Batch
from trainables.contract.finding import ContractError, Finding, check_violations, examine, examine_all
from trainables.data.errors import DataError
from trainables.metric import Split
from trainables.registry import TASKS
from trainables.tasks.base import TaskConfig
from trainables.tasks.base.request import EvaluationRequest
from trainables.tasks.base.task import Task

CPU = torch.device("cpu")
BATCH_SIZE = 5
CERTAINTY = 12.0
"""Logit of the token that `echo` and `peek` predict; the others have 0."""
TOLERANCE = 1e-5
"""Largest relative change of a score that counts as rounding: models work in float32."""
STEPS = (0, 1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 1_000_000_000)
"""Optimiser steps at which a curriculum is checked."""


class UniformModel(LanguageModel):
    """Gives every token the same probability, as an ideal untrained model."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.vocab_size = vocab_size

    def forward(self, tokens_BT: Tensor) -> ModelOutput:
        """Return logits of zero."""
        return ModelOutput(torch.zeros(*tokens_BT.shape, self.vocab_size), torch.zeros(()))


class BettingModel(UniformModel):
    """Predicts the token `offset` positions to the right: 0 repeats its input, 1 peeks at the future."""

    def __init__(self, vocab_size: int, offset: int) -> None:
        super().__init__(vocab_size)
        self.offset = offset

    def forward(self, tokens_BT: Tensor) -> ModelOutput:
        """Return its prediction, and a uniform one if the sequence ends before that token."""
        output = super().forward(tokens_BT)
        bets_BT = tokens_BT[:, self.offset :]
        output.logits_BTV[:, : bets_BT.shape[1]].scatter_(2, bets_BT[..., None], CERTAINTY)
        return output


class TwoTokenModel(UniformModel):
    """A fixed causal function of the last two tokens, with logits that differ everywhere."""

    def forward(self, tokens_BT: Tensor) -> ModelOutput:
        """Return logits that are waves over the vocabulary, with phases from the two tokens."""
        before_BT = torch.nn.functional.pad(tokens_BT, (1, 0))[:, :-1]
        phase_BT1 = (1.7 * tokens_BT + 0.6 * before_BT)[..., None]
        return ModelOutput(torch.sin(phase_BT1 + 2.1 * torch.arange(self.vocab_size)), torch.zeros(()))


def score(
    task: Task,
    model: LanguageModel,
    split: Split = "val",
    *,
    max_sequences: int | None = None,
    batch_size: int = 64,
) -> dict[str, float]:
    """Evaluate `model` on the CPU."""
    request = EvaluationRequest(split, CPU, max_sequences=max_sequences, batch_size=batch_size)
    return task.evaluate(model.eval(), request)


def check_declaration(config: TaskConfig, task: Task) -> None:
    """The configuration must survive JSON; the metrics declared are those named and returned, no more, no fewer."""
    if TASKS.parse(json.loads(json.dumps(config.model_dump(mode="json")))) != config:
        raise ContractError("the configuration does not survive being written and read")
    json.dumps(config.canonical(), allow_nan=False)
    declared = [metric.name for metric in task.metrics]
    if len(set(declared)) != len(declared):
        raise ContractError("a metric is declared twice")
    named = config.metric_names
    if named is not None and list(named) != declared:
        strange = sorted(set(named) ^ set(declared))
        raise ContractError(f"metric_names and the task's metrics differ: {strange or 'in their order'}")
    returned: set[str] = set()
    for split in task.splits:
        full = score(task, UniformModel(task.vocab_size), split)
        subset = score(task, UniformModel(task.vocab_size), split, max_sequences=3)
        for prefix, found in ((f"{split}/", full), (f"{split}_subset/", subset)):
            strange = sorted(name for name in found if not name.startswith(prefix))
            if strange:
                raise ContractError(f"metrics of {prefix} are called {', '.join(strange)}")
        returned |= full.keys() | subset.keys()
    if returned != set(declared):
        raise ContractError(f"declared but never returned, or the reverse: {sorted(returned ^ set(declared))}")
    if task.primary_metric not in score(task, UniformModel(task.vocab_size)):
        raise ContractError(f"the primary metric '{task.primary_metric}' is not one of full validation")


def check_batches(config: TaskConfig, task: Task) -> None:
    """A batch holds tokens of the vocabulary, as targets the inputs one place on, and as echoes the inputs."""
    batch = task.batch(BATCH_SIZE, torch.Generator().manual_seed(0))
    check_batch(task, batch, task.context_length, is_shifted=not config.withholds_answers)


def check_batch(task: Task, batch: Batch, length: int, *, is_shifted: bool) -> None:
    """Check a batch of `BATCH_SIZE` sequences of `length` tokens; targets are the next inputs, unless withheld."""
    tensors = [tensor for tensor in batch if tensor is not None]
    shape = (BATCH_SIZE, length)
    if any(tensor.shape != shape for tensor in tensors):
        raise ContractError(f"a batch has shapes {', '.join(str(tuple(t.shape)) for t in tensors)}, not {shape}")
    if any(tensor.dtype != torch.int64 for tensor in tensors):
        raise ContractError("inputs and targets must be int64")
    scored_BT = batch.targets_BT != IGNORED
    tokens = torch.cat([batch.inputs_BT.flatten(), batch.targets_BT[scored_BT]])
    if not scored_BT.any() or int(tokens.min()) < 0 or int(tokens.max()) >= task.vocab_size:
        raise ContractError(f"a batch scores nothing or leaves the vocabulary of {task.vocab_size}")
    shifted_BT = batch.targets_BT[:, :-1] == batch.inputs_BT[:, 1:]
    if is_shifted and not shifted_BT[scored_BT[:, :-1]].all():
        raise ContractError("targets are not the next inputs: they are unshifted, or shifted twice")
    if batch.echo_BT is not None and not (batch.echo_BT == batch.inputs_BT)[batch.echo_BT != IGNORED].all():
        raise ContractError("echoes are not the inputs at their own places")
    if task.answer_length is not None:
        part_BNL = batch.inputs_BT.unfold(1, task.answer_length, 1)
        if not (part_BNL[:, :-1] == part_BNL[:, -1:]).all(-1).any(1).all():
            raise ContractError(
                f"the last {task.answer_length} tokens (answer_length) repeat no part of a sequence"
            )


def check_curriculum(config: TaskConfig, task: Task) -> None:
    """At every step the task draws batches of one vocabulary, never longer ones, and full ones in the end."""
    lengths = []
    for step in STEPS:
        stage, again = task.at(step), task.at(step)
        batch, same = (each.batch(BATCH_SIZE, torch.Generator().manual_seed(0)) for each in (stage, again))
        if not torch.equal(batch.inputs_BT, same.inputs_BT):
            raise ContractError(f"at step {step} the task is another one when it is asked for again")
        if (stage.vocab_size, stage.data_hash) != (task.vocab_size, task.data_hash):
            raise ContractError(f"at step {step} the vocabulary or the data hash is another one")
        lengths.append(batch.inputs_BT.shape[1])
        if stage is not task:
            check_batch(stage, batch, lengths[-1], is_shifted=not config.withholds_answers)
    if max(lengths) > task.context_length or lengths[-1] != task.context_length:
        raise ContractError(
            f"sequences have {lengths} tokens at steps {STEPS}, but context_length is {task.context_length}: a "
            "model is built for that many, and the last stage must have them"
        )


def check_randomness(config: TaskConfig, task: Task) -> None:
    """Batches depend on the generator alone, and evaluation on nothing random."""

    def draws(seed: int) -> list[Tensor]:
        generator = torch.Generator().manual_seed(seed)
        return [task.batch(BATCH_SIZE, generator).inputs_BT for _ in range(3)]

    first, state = draws(0), torch.get_rng_state()
    if torch.equal(first[0], first[1]) or torch.equal(first[0], draws(1)[0]):
        raise ContractError("batches repeat: the generator is not used")
    torch.rand(7)
    score(task, TwoTokenModel(task.vocab_size), max_sequences=2)
    again = draws(0)
    torch.set_rng_state(state)
    if not all(map(torch.equal, first, again)):
        raise ContractError("the order of data depends on something besides the generator")
    scores = [score(task, TwoTokenModel(task.vocab_size)) for _ in range(2)]
    if scores[0] != scores[1] or not torch.equal(state, torch.get_rng_state()):
        raise ContractError("evaluation is random or draws from the global generator")


def check_loss(config: TaskConfig, task: Task) -> None:
    """The loss is the mean over scored positions in nats; others send no gradient."""
    batch = task.batch(BATCH_SIZE, torch.Generator().manual_seed(0))
    targets_BT = batch.targets_BT.clone()
    targets_BT[0] = IGNORED
    logits_BTV = TwoTokenModel(task.vocab_size)(batch.inputs_BT).logits_BTV.requires_grad_()
    loss = task.loss(logits_BTV, batch._replace(targets_BT=targets_BT))
    loss.backward()
    scored_BT = targets_BT != IGNORED
    log_p_BTV = logits_BTV.detach().log_softmax(-1)
    expected = -log_p_BTV.gather(2, targets_BT.clamp(min=0)[..., None])[..., 0][scored_BT].mean()
    found, wanted = loss.item(), expected.item()
    if not math.isclose(found, wanted, rel_tol=TOLERANCE):
        raise ContractError(f"the loss is {found:.4f}, but the mean over scored positions {wanted:.4f}")
    if logits_BTV.grad is None or logits_BTV.grad[~scored_BT].any():
        raise ContractError("a position that is not scored changes the loss")


def check_chance(config: TaskConfig, task: Task) -> None:
    """A uniform guess must score what the metrics declare as chance."""
    for split in task.splits:
        found = score(task, UniformModel(task.vocab_size), split)
        for metric in task.metrics:
            if metric.name not in found or metric.chance is None:
                continue
            if not math.isclose(found[metric.name], metric.chance, rel_tol=TOLERANCE):
                raise ContractError(
                    f"a uniform guess scores {found[metric.name]:.5g} on {metric.name}, "
                    f"but chance is declared as {metric.chance:.5g}"
                )


def check_batch_size(config: TaskConfig, task: Task) -> None:
    """How many sequences go through the model at once must not change a score."""
    model = TwoTokenModel(task.vocab_size)
    for max_sequences in (None, 7):
        few, many = (
            score(task, model, max_sequences=max_sequences, batch_size=batch_size) for batch_size in (3, 64)
        )
        for name, value in few.items():
            if not math.isclose(value, many[name], rel_tol=TOLERANCE):
                raise ContractError(f"{name} is {value} in batches of 3 and {many[name]} in batches of 64")


def check_echo(config: TaskConfig, task: Task) -> None:
    """Repeating the input must not pay; seeing the next token must in training and must not cost in the score.

    Where answers are withheld, seeing the next token must not pay either.
    """
    name = task.primary_metric
    sign = next(-1.0 if metric.direction == "minimise" else 1.0 for metric in task.metrics if metric.name == name)
    models = (
        UniformModel(task.vocab_size),
        BettingModel(task.vocab_size, offset=0),
        BettingModel(task.vocab_size, offset=1),
    )
    batch = task.batch(BATCH_SIZE, torch.Generator().manual_seed(0))
    batch = batch._replace(echo_BT=None)  # a loss that rewards echoes is the concern of the contract `loss`
    losses = [float(task.loss(model(batch.inputs_BT).logits_BTV, batch)) for model in models]
    if config.withholds_answers != (losses[2] >= losses[0]):
        verb = "pays" if config.withholds_answers else "does not pay"
        raise ContractError(f"seeing the next token {verb} in training: {losses[2]:.4g} nats")
    if losses[1] <= losses[0]:
        raise ContractError(f"an echo of the input is rewarded in training: {losses[1]:.4g} nats")
    uniform, echo, peek = (sign * score(task, model)[name] for model in models)
    if echo >= uniform:
        raise ContractError(f"an echo of the input is rewarded on {name}: {abs(echo):.4g}")
    # Equal if the answer is generated: then the model never has the next token in its input.
    if peek < uniform and not config.withholds_answers:
        raise ContractError(f"seeing the next token costs on {name}: {abs(peek):.4g}")


CHECKS: dict[str, Callable[[TaskConfig, Task], None]] = {
    "declaration": check_declaration,
    "batches": check_batches,
    "curriculum": check_curriculum,
    "randomness": check_randomness,
    "loss": check_loss,
    "chance": check_chance,
    "batch_size": check_batch_size,
    "echo": check_echo,
}
"""Every contract by the name that `violates` uses."""


def check_rebuild(config: TaskConfig, data_dir: Path | None) -> None:
    """Building the task again must give the same data."""
    if config.build(data_dir).data_hash != config.build(data_dir).data_hash:
        raise ContractError("building the task again changes its data hash")


def examine_task(config: TaskConfig, data_dir: Path | None = None) -> Iterator[Finding]:
    """Check every contract and yield each finding; a task that cannot be built has only two.

    Raises:
        DataError: If its data is unavailable.
    """
    yield examine("violations", check_violations, lambda: check_violations(config.violates, CHECKS))
    rebuilt = examine("rebuild", check_rebuild, lambda: check_rebuild(config, data_dir))
    if isinstance(rebuilt.error, DataError):
        raise rebuilt.error
    yield rebuilt
    if rebuilt.error is not None:
        return
    task = config.build(data_dir)
    yield from examine_all(CHECKS, config.violates, config, task)
