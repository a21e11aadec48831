"""The model of the `tpi` family: the shared backbone, with the probes that need the whole model."""

from __future__ import annotations

import statistics

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.architectures.gpt.model import BackboneModel, Block
from trainables.architectures.tpi.mixer import TemporalPhaseMixer
from trainables.architectures.tpi.phases import PhaseTrajectory

GRADIENT_SEQUENCES = 8
"""Sequences for which gradients are computed, each separately: one backward pass per sequence, at every probe."""


class TPIModel(BackboneModel):
    """The backbone with temporal phase integration in all layers."""

    @torch.no_grad()
    def probes(self, tokens_BT: Tensor) -> dict[str, float]:
        """Measure the mixers, the largest logit and the loss gradients of each kind of phase.

        Everything but the mixers is measured in evaluation mode, sequence by sequence, and then averaged:
        ratios geometrically.
        """
        found = super().probes(tokens_BT)
        was_training = self.training
        self.eval()
        try:
            found["probe/tpi_largest_logit"] = float(self(tokens_BT).logits_BTV.abs().amax((1, 2)).mean())
            rows = tokens_BT[:GRADIENT_SEQUENCES].split(1)
            ratios = _means([gradient_ratios(self, row_1T) for row_1T in rows])
        finally:
            self.train(was_training)
        return found | {f"probe/{name}": ratio for name, ratio in ratios.items()}


def gradient_ratios(model: BackboneModel, tokens_BT: Tensor) -> dict[str, float]:
    """Return ratios of loss gradients, reading phases to frequency, as the geometric mean over layers.

    The loss is that of the next token of `tokens_BT`, whatever the task scores. A gradient's strength is the root
    of the sum of squares over the weights of one D×D map. The weights of the frequency reach the phase through the
    small factor |a|, those of an offset do not, so the plain ratio is larger by 1/|a|. At *equalised* scale both
    gradients are those of maps that give radians: that of W_ω is divided by |a|, as if a·W_ω were the parameter.

    Returns:
        Those that exist: `tpi_offset_gradient_ratio`, offset to frequency at equalised scale, and
        `tpi_offset_gradient_ratio_plain`, as published; `tpi_query_gradient_ratio`, a free reading frequency to the
        writing one, which share their scale. A layer in which one of the two has no gradient at all has no ratio.
    """
    trained = [one for one in _trajectories(model) if one.form.frequency in ("linear", "gated")]
    phases = [one for one in trained if one.form.query_offset != "none" or one.form.decoupling == "free"]
    if not phases or tokens_BT.shape[1] < 2:
        return {}
    with torch.enable_grad():
        logits_BTV = model(tokens_BT[:, :-1]).logits_BTV
        loss = functional.cross_entropy(logits_BTV.flatten(0, 1).float(), tokens_BT[:, 1:].flatten())
    return _means([_of_layer(loss, one) for one in phases])


def _means(found: list[dict[str, float]]) -> dict[str, float]:
    """Return the geometric mean of each ratio over those that have it, so that 2 and 1/2 average to 1."""
    by_name: dict[str, list[float]] = {}
    for measured in found:
        for name, value in measured.items():
            by_name.setdefault(name, []).append(value)
    return {name: statistics.geometric_mean(values) for name, values in by_name.items()}


def _trajectories(model: BackboneModel) -> list[PhaseTrajectory]:
    blocks = [block for block in model.blocks if isinstance(block, Block)]
    return [block.mixer.phases for block in blocks if isinstance(block.mixer, TemporalPhaseMixer)]


def _of_layer(loss: Tensor, phases: PhaseTrajectory) -> dict[str, float]:
    """Return the ratios of one layer; the graph of `loss` is kept."""

    def pull(linear: nn.Linear) -> Tensor:
        gradient: Tensor = torch.autograd.grad(loss, linear.weight, retain_graph=True)[0]
        return gradient.float()

    frequency_DD = pull(phases.to_frequency)
    equalised_DD = frequency_DD / phases.scale_D.detach().abs().float().unsqueeze(1)
    found: dict[str, Tensor] = {}
    if phases.form.query_offset != "none":
        offset = pull(phases.to_offset).norm()
        found["tpi_offset_gradient_ratio"] = offset / equalised_DD.norm()
        found["tpi_offset_gradient_ratio_plain"] = offset / frequency_DD.norm()
    if phases.form.decoupling == "free":
        found["tpi_query_gradient_ratio"] = pull(phases.to_query_frequency).norm() / frequency_DD.norm()
    return {name: float(ratio) for name, ratio in found.items() if ratio.isfinite() and ratio > 0}
