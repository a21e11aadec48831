"""The training loop: plain PyTorch, without Ray. An iterator of reports that can stop and resume at any step."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch

from trainables.architectures.base.model import LanguageModel
from trainables.batch import Batch
from trainables.code_hash import code_hash
from trainables.config.trial import TrialConfig, config_id
from trainables.randomness import generator, initialise, seed_forward, stream_seed
from trainables.tasks.base.request import EvaluationRequest
from trainables.tasks.base.task import Task
from trainables.training.best_weights import BestWeights, Choice
from trainables.training.checkpoints import load_checkpoint, save_checkpoint
from trainables.training.early_stopping import EarlyStopping
from trainables.training.initial_weights import WeightSource, save_weights, start_from
from trainables.training.numerics import Numerics
from trainables.training.optimizers import build_optimizer, learning_rate_at, set_step
from trainables.training.parallel.ranks import SOLO, Ranks
from trainables.training.parallel.wrap import wrap_model
from trainables.training.probes import leak_probe, order_probes

Outcome = Literal["finished", "diverged"]

PROBE_SEQUENCES = 256

LOOK_EVERY_STEPS = 50
"""How often the loss is checked between reports: each check synchronises with the device."""


@dataclass(frozen=True)
class Report:
    """A report of a replicate at one optimiser step."""

    step: int
    """Optimiser steps done."""
    metrics: dict[str, float]
    outcome: Outcome | None = None
    """Set on the last report."""
    reason: str = ""
    """Why it diverged, or finished before its last step."""
    notes: tuple[str, ...] = ()
    """Messages of the model since the last report."""
    artifacts: Mapping[str, str] = field(default_factory=dict)
    """Texts to save, by file name; on the last report of a finished replicate."""


class Trainer:
    """The training of one replicate: a configuration with a seed.

    Everything random comes from a stream named by (seed, purpose, step), so the state that a checkpoint
    must hold is the parameters, the optimiser's state and the step; nothing depends on what ran before.

    If several processes train it together, each has a Trainer, and all of them must make the same calls:
    training, reporting, saving and loading are collective.

    Raises:
        ValueError: If the number of ranks differs from the numerics, or does not divide the batch.
    """

    def __init__(
        self,
        config: TrialConfig,
        seed: int,
        task: Task,
        numerics: Numerics,
        ranks: Ranks = SOLO,
        weight_sources: Mapping[str, WeightSource] | None = None,
    ) -> None:
        if numerics.workers != ranks.size:
            raise ValueError(f"numerics say {numerics.workers} workers, but there are {ranks.size}")
        numerics.apply()
        task = task.for_seed(seed)
        self.config, self.seed, self.task, self.numerics, self.ranks = config, seed, task, numerics, ranks
        self.device = torch.device(numerics.device)
        self._share = ranks.share(config.budget.batch_size)
        self.model = config.architecture.build(vocab_size=task.vocab_size, max_seq_len=task.max_length)
        self.model.answer_length, self.model.mode = task.answer_length, config.architecture.mode
        initialise(self.model, seed)
        self._start(weight_sources or {})
        self._held = wrap_model(self.model, self.device, ranks, numerics.sharding)
        self.model.train()
        if not self.num_parameters and config.budget.steps:
            raise ValueError("nothing of this model is trained: score it as it starts, with budget.steps: 0")
        self.optimizer = build_optimizer(self.model, config.optimizer)
        self._prepares_steps = type(self.model).on_step_start is not LanguageModel.on_step_start
        budget = config.budget
        self._best = BestWeights(self.model, Choice.of(task)) if budget.score_at == "best" else None
        self._stopping = (
            EarlyStopping(Choice.of(task), budget.patience, budget.min_delta) if budget.patience else None
        )
        self.step = 0
        self._prepared_step = -1
        self._loss_sum = torch.zeros((), dtype=torch.float64, device=self.device)
        self._loss_max = torch.full((), -math.inf, dtype=torch.float64, device=self.device)
        self._gradient_norm = torch.zeros((), device=self.device)
        self._steps_since_report = 0
        self._reported_at, self._tokens_since_report = time.monotonic(), 0
        self._notes: list[str] = []
        self._concluded: dict[str, str] = {}
        self.spent: dict[str, float] = {}
        """Cost of the replicate before this attempt, as stored in the checkpoint it continues from."""

    @property
    def identity(self) -> str:
        """Identifies what this replicate computes; a checkpoint of another identity is refused."""
        return self._identity_of(self.config)

    def _identity_of(self, config: TrialConfig) -> str:
        return f"{config_id(config, self.task.data_hash, self._weight_sources)}/seed={self.seed}"

    def _start(self, weight_sources: Mapping[str, WeightSource]) -> None:
        """Load the weights of other replicates: all that the configuration requires, and no others."""
        needed = self.config.roles
        if needed != weight_sources.keys():
            raise ValueError(f"needs the weights of {sorted(needed)}, is given those of {sorted(weight_sources)}")
        self._weight_sources = {role: source.config_key for role, source in weight_sources.items()}
        resume = self.config.resume_from
        as_trained = self.config.evaluates_only
        start_from(self.model, weight_sources, resume.states if resume else [], as_trained=as_trained)

    @property
    def num_parameters(self) -> int:
        """Trainable parameters, tied ones counted once."""
        return sum(p.numel() for p in self.model.parameters() if p.requires_grad)

    def reports(self, between_steps: Callable[[Trainer], None] | None = None) -> Iterator[Report]:
        """Train to the end of the budget, yielding a report every `report_every` steps and a last one.

        A replicate that has stopped improving ends early, if the budget says so. A diverged one ends at the next
        check, which may come between two reports.

        Args:
            between_steps: Called after every step without a report; it may save.
        """
        budget = self.config.budget
        if self.step == 0 and (budget.steps == 0 or budget.probe_at == "reports"):
            self._begin_step()  # calibration before training is part of the untrained model
            report = self._report()
            yield report
            if report.outcome is not None:
                return
        while self.step < budget.steps:
            self._train_one_step()
            is_due = self.step == budget.steps or self.step % budget.report_every == 0
            if is_due or (self.step % LOOK_EVERY_STEPS == 0 and self._divergence()):
                report = self._report()
                yield report
                if report.outcome is not None:
                    return
            elif between_steps is not None:
                between_steps(self)

    def _train_one_step(self) -> None:
        """Do one optimiser step: each rank on its shard of the batch, in micro-batches as the numerics say."""
        budget = self.config.budget
        self._begin_step()
        draw = generator(self.seed, "data", str(self.step))
        batch = self.task.at(self.step).batch(budget.batch_size, draw)
        self._tokens_since_report += batch.inputs_BT.numel()
        parts = batch.part(self._share).split(self.numerics.micro_batch_size or budget.batch_size)
        step_loss = torch.zeros((), dtype=torch.float64, device=self.device)
        for index, part in enumerate(parts):
            of_all = self.ranks.rank * len(parts) + index
            seed_forward(self.device, stream_seed(self.seed, "forward", str(self.step), str(of_all)))
            weight = part.inputs_BT.shape[0] / budget.batch_size
            last = index == len(parts) - 1
            with nullcontext() if last else self._held.accumulating():
                step_loss += self._backward(part.to(self.device), weight)
        step_loss = self.ranks.sum(step_loss)
        self._gradient_norm = self._held.clip_gradients(self.config.optimizer.clip_norm)
        set_step(self.optimizer, self.config.optimizer, self.step, budget.steps)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self._loss_sum += step_loss
        self._loss_max = torch.maximum(self._loss_max, step_loss)  # a NaN stays a NaN
        self._steps_since_report += 1
        self.step += 1

    def _begin_step(self) -> None:
        """Let the model prepare for a step, once, with batches from a separate stream, so that the training data
        does not depend on it."""
        if not self._prepares_steps or self._prepared_step == self.step or self.config.evaluates_only:
            return
        self._prepared_step = self.step
        draw = generator(self.seed, "calibration", str(self.step))
        seed_forward(self.device, stream_seed(self.seed, "calibration", str(self.step), "forward"))
        task, size = self.task.at(self.step), self.config.budget.batch_size
        note = self.model.on_step_start(self.step, lambda: task.batch(size, draw).to(self.device))
        if note:
            self._notes.append(note)

    def _backward(self, batch: Batch, weight: float) -> torch.Tensor:
        """Add `weight` times the batch's gradient; return the weighted loss without the penalty."""
        with self.numerics.autocast(self.config.budget.precision):
            output = self._held.forward(batch.inputs_BT, batch.targets_BT if self.model.needs_targets else None)
            loss = self.task.loss(output.logits_BTV, batch)
        scale = weight * self._held.gradient_scale * self.config.optimizer.micro_batches_summed
        ((loss + output.penalty) * scale).backward()
        return loss.detach().double() * weight

    def _report(self) -> Report:
        """Measure, without affecting the next step. The first rank's report is every rank's.

        Losses and gradients are those of all ranks; every rank scores the same held-out sequences, so that none
        waits for another and a sharded model can be scored at all.
        """
        budget = self.config.budget
        metrics = self._training_metrics() if self._steps_since_report else {}
        last, stopped = self.step == budget.steps, ""
        reason = self._divergence()
        if not reason:
            scores, stopped = self._evaluate(full=last)
            metrics |= scores
            not_finite = sorted(name for name, value in metrics.items() if not math.isfinite(value))
            reason = f"not finite: {', '.join(not_finite)}" if not_finite else ""
        self._loss_sum.zero_()
        self._loss_max.fill_(-math.inf)
        self._steps_since_report = 0
        self._reported_at, self._tokens_since_report = time.monotonic(), 0
        outcome: Outcome | None = "diverged" if reason else "finished" if last or stopped else None
        notes, self._notes = tuple(self._notes), []
        artifacts = self._artifacts() if outcome == "finished" else {}
        return self.ranks.first(Report(self.step, metrics, outcome, reason or stopped, notes, artifacts))

    def _training_metrics(self) -> dict[str, float]:
        """Return training statistics since the last report."""
        steps = self._steps_since_report
        seconds = max(time.monotonic() - self._reported_at, 1e-9)
        return {
            "train/loss": float(self._loss_sum) / steps,
            "train/learning_rate": learning_rate_at(self.config.optimizer, self.step - 1, self.config.budget.steps),
            "train/gradient_norm": float(self._gradient_norm),
            "train/tokens_per_second": self._tokens_since_report / seconds,
        }

    def _divergence(self) -> str:
        """Return why the steps since the last report count as diverged; empty if they do not."""
        if not self._steps_since_report:
            return ""
        worst, bound = float(self._loss_max), self.config.budget.divergence_loss
        if not math.isfinite(worst):
            return f"training loss became {worst} by step {self.step}"
        if worst > bound:
            return f"training loss reached {worst:.4g}, above divergence_loss = {bound:g}, by step {self.step}"
        return ""

    def _evaluate(self, *, full: bool) -> tuple[dict[str, float], str]:
        """Score the validation subset; at the end also every held-out split whole, once. Run the probes if due.

        At the end the best weights may be restored; the model then keeps them.

        Args:
            full: Whether this is the end by the budget.

        Returns:
            The scores, and why this is the end before the budget's; empty if it is not.
        """
        self.model.eval()
        budget = self.config.budget
        try:
            with torch.no_grad(), self.numerics.autocast(budget.precision):
                scores = self.task.evaluate(
                    self.model, EvaluationRequest("val", self.device, max_sequences=budget.eval_sequences)
                )
                compared = self.ranks.first(scores) if self._best or self._stopping else scores
                stopped = self._stopping.offer(compared) if self._stopping and not full else ""
                ends = full or bool(stopped)
                if self._best is not None:
                    self._best.offer(self.step, compared)
                    if ends:
                        self._best.exchange()
                        scores["train/scored_step"] = float(self._best.step)
                if ends or budget.probe_at == "reports":
                    scores |= self._probe()
                for split in self.task.splits if ends else ():
                    found, texts = self.task.conclude(self.model, EvaluationRequest(split, self.device))
                    scores |= found
                    self._concluded |= texts
            return scores, stopped
        finally:
            self.model.train()

    def _artifacts(self) -> dict[str, str]:
        """Return the texts that the task saves for a trained model, those of its last scores among them."""
        self.model.eval()
        try:
            with torch.no_grad(), self.numerics.autocast(self.config.budget.precision):
                return self._concluded | self.task.artifacts(self.model, device=self.device)
        finally:
            self.model.train()

    def _probe(self) -> dict[str, float]:
        """Run the probes on the same validation sequences for every arm and seed."""
        batch = self.task.held_out(PROBE_SEQUENCES)
        batch = batch.to(self.device)
        leak = leak_probe(self.model, batch)
        with self._held.full_parameters():
            return leak | order_probes(self.model, batch.inputs_BT)

    def save(self, path: Path, spent: Mapping[str, float] | None = None) -> None:
        """Write everything needed for a bit-exact resume, in a form independent of the number of processes.

        Args:
            path: The file.
            spent: Cost of the replicate so far, for the attempt that continues it.
        """
        model, optimizer = self._held.state(self.optimizer, keep=self.ranks.is_first)
        rest: dict[str, Any] = {} if self._best is None else {"best": self._best_state(self._best)}
        if self._stopping is not None:
            rest["stopping"] = self._stopping.state()
        if not self.ranks.is_first:
            return
        state: dict[str, Any] = {
            "identity": self.identity,
            "code": code_hash(),
            "step": self.step,
            "prepared_step": self._prepared_step,
            "model": model,
            "optimizer": optimizer,
            "loss_sum": self._loss_sum,
            "loss_max": self._loss_max,
            "gradient_norm": self._gradient_norm,
            "steps_since_report": self._steps_since_report,
            "notes": self._notes,
            "spent": dict(spent or {}),
        }
        save_checkpoint(path, state | rest)

    def _best_state(self, best: BestWeights) -> dict[str, Any]:
        with best.applied():
            model, _ = self._held.state(self.optimizer, keep=self.ranks.is_first)
            # A single process holds a view of the model, which is about to get its own weights back.
            kept = {name: tensor.clone() for name, tensor in model.items() if tensor is not None}
        return {"step": best.step, "score": best.score, "model": kept}

    def save_weights(self, path: Path) -> None:
        """Write the trained weights, for other replicates to start from; collective."""
        model, _ = self._held.state(self.optimizer, keep=self.ranks.is_first)
        if self.ranks.is_first:
            parameters = {name for name, _ in self.model.named_parameters(remove_duplicate=False)}
            buffers = model.keys() - parameters
            save_weights(path, model, buffers=buffers, identity=self.identity, code=code_hash())

    def load(self, path: Path) -> None:
        """Continue from a checkpoint that `save` wrote, with the same or another number of processes.

        Raises:
            CheckpointError: If it is of another replicate.
            OtherCodeError: If other code has computed it.
        """
        self._restore(load_checkpoint(path, identity=self.identity, code=code_hash()))

    def adopt(self, path: Path, earlier: TrialConfig, until_step: int) -> bool:
        """Continue from the checkpoint of a configuration that is equal to this one until a step.

        Args:
            path: The checkpoint.
            earlier: That configuration; this replicate's seed is the same.
            until_step: The first step that differs.

        Returns:
            Whether the checkpoint is from before that step; otherwise nothing was done.

        Raises:
            CheckpointError: If it is damaged, of something else, or computed by other code.
        """
        state = load_checkpoint(path, identity=self._identity_of(earlier), code=code_hash())
        if state["step"] > until_step:
            return False
        self._restore({**state, "spent": {}})  # the other replicate's own cost
        return True

    def _restore(self, state: dict[str, Any]) -> None:
        if self._best is not None:
            best = state["best"]
            self._held.load_state(self.optimizer, best["model"], state["optimizer"])
            self._best.keep(best["step"], best["score"])
        self._held.load_state(self.optimizer, state["model"], state["optimizer"])
        if self._stopping is not None:
            self._stopping.load_state(state["stopping"])
        self.step, self._prepared_step = state["step"], state["prepared_step"]
        self._loss_sum, self._loss_max = state["loss_sum"].to(self.device), state["loss_max"].to(self.device)
        self._gradient_norm = state["gradient_norm"].to(self.device)
        self._steps_since_report = state["steps_since_report"]
        self._notes, self.spent = state["notes"], state["spent"]
        self._reported_at = time.monotonic()


def train(config: TrialConfig, seed: int, task: Task, *, numerics: Numerics | None = None) -> Iterator[Report]:
    """Train one replicate from its first step to its last.

    Args:
        config: What to train.
        seed: Seed of all random streams of the replicate.
        task: The task that `config.task` describes, with its data loaded.
        numerics: Device, threads and the like; by default one CPU thread.

    Yields:
        A report every `config.budget.report_every` steps; the last one has an outcome.
    """
    yield from Trainer(config, seed, task, numerics or Numerics()).reports()
