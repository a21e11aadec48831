"""Declares the probes of Kuramoto layers: names, units, meanings and nulls."""

from __future__ import annotations

from trainables.metric import probe

PROBES = (
    probe("coupling", "rad/time", "coupling strength K, mean over layers and heads"),
    probe(
        "order_oscillators", "1", "order parameter over the oscillators of a head", null="order_oscillators_null"
    ),
    probe(
        "order_oscillators_null", "1", "order parameter over the oscillators of a head, for uniform random phases"
    ),
    probe("order_positions", "1", "order parameter over the positions of a window", null="order_positions_null"),
    probe("order_positions_null", "1", "order parameter over the positions of a window, for uniform random phases"),
    probe("order_pooled", "1", "order parameter over oscillators and positions together", null="order_pooled_null"),
    probe(
        "order_pooled_null",
        "1",
        "order parameter over oscillators and positions together, for uniform random phases",
    ),
    probe(
        "order_published",
        "1",
        "PhaseGPT's statistic: angles averaged over heads, then over oscillators",
        null="order_published_null",
    ),
    probe(
        "order_published_null",
        "1",
        "PhaseGPT's statistic: angles averaged over heads, then over oscillators, for uniform random phases",
    ),
)
