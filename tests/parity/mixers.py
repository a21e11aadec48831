"""One mixing layer alone: an input, an output and all gradients."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from tests.parity.vectors import Target, Vectors, difference, load_exactly, ours_of


def measure_mixer(vectors: Vectors, mixer: nn.Module, names: Mapping[str, Target]) -> dict[str, float]:
    """Return the largest differences of `mixer` with the published weights, in evaluation mode."""
    mixer.double().eval()
    load_exactly(mixer, ours_of(vectors.under("param/"), names))
    x_BTD = vectors["x"].clone().requires_grad_()
    y_BTD = mixer(x_BTD)[0]
    (y_BTD * vectors["functional"]).sum().backward()
    gradients = [difference(x_BTD.grad, vectors["grad_x"])]
    own = dict(mixer.named_parameters())
    for name, value in ours_of(vectors.under("grad/"), names).items():
        gradients.append(difference(own[name].grad, value))
    return {"out": difference(y_BTD, vectors["y"]), "grad": max(gradients)}
