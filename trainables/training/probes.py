"""Measurements on a trained model besides its score: how much of the score comes from seeing the future, and the
model's own probes, such as order parameters. Both run in small batches, so that they need no more memory than
scoring.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from trainables.architectures.base.model import LanguageModel
from trainables.batch import IGNORED, Batch

PROBE_BATCH = 64
"""Sequences in one forward pass of a probe: as many as are scored at once."""


def _nats(logits_NV: Tensor, targets_N: Tensor) -> Tensor:
    """Return the sum of the losses at scored positions."""
    return functional.cross_entropy(logits_NV.double(), targets_N, ignore_index=IGNORED, reduction="sum")


@torch.no_grad()
def leak_probe(model: LanguageModel, batch: Batch, *, num_positions: int = 8) -> dict[str, float]:
    """Measure how much the model gains from seeing later tokens.

    At the middles of `num_positions` equal parts of the window's scored positions the loss of the next token is
    measured twice: with the whole window as input, and with the input cut after that position, as in generation. A
    causal model scores the same both times. For a model that has only seen whole windows the cut is also
    unfamiliar, so the difference has two components: information from later tokens, and the loss by the cut itself.

    Args:
        model: In evaluation mode.
        batch: Sequences, on the model's device.
        num_positions: How many positions to measure at.

    Returns:
        `probe/loss_future_visible`, `probe/loss_future_withheld` and their difference `probe/leak`, in nats
        a token; a positive leak is a part of the score that is lost in generation.

    Raises:
        ValueError: If no position is scored.
    """
    scored = [t for t, some in enumerate((batch.targets_BT != IGNORED).any(0).tolist()) if some]
    if not scored:
        raise ValueError("no position of the held-out sequences is scored, so none can be probed")
    count = min(num_positions, len(scored))
    positions = [scored[(2 * k + 1) * len(scored) // (2 * count)] for k in range(count)]
    visible, withheld = torch.zeros(2, dtype=torch.float64, device=batch.inputs_BT.device)
    for part in batch.split(min(PROBE_BATCH, model.sequences_at_once)):
        targets_BN = part.targets_BT[:, positions]
        full_BNV = model(part.inputs_BT).logits_BTV[:, positions]
        for n, t in enumerate(positions):
            visible += _nats(full_BNV[:, n], targets_BN[:, n])
            withheld += _nats(model(part.inputs_BT[:, : t + 1]).logits_BTV[:, -1], targets_BN[:, n])
    num_scored = int((batch.targets_BT[:, positions] != IGNORED).sum())
    seen, hidden = float(visible) / num_scored, float(withheld) / num_scored
    return {
        "probe/loss_future_visible": seen,
        "probe/loss_future_withheld": hidden,
        "probe/leak": hidden - seen,
    }


def order_probes(model: LanguageModel, tokens_BT: Tensor) -> dict[str, float]:
    """Return the model's own probes, each the mean over all sequences.

    Args:
        model: In evaluation mode.
        tokens_BT: Sequences, on the model's device.
    """
    parts = tokens_BT.split(min(PROBE_BATCH, model.sequences_at_once))
    found = [(part_BT.shape[0], model.probes(part_BT)) for part_BT in parts]
    return {name: sum(size * part[name] for size, part in found) / tokens_BT.shape[0] for name in found[0][1]}
