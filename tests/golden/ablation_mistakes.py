"""Mistakes in the section `ablation` of a study, and in the verb that shows one."""

from __future__ import annotations

from tests.golden.mistake import Mistake, edit
from tests.golden.verb_mistakes import after_a_run

LEARNING_RATE = "{optimizer.learning_rate: {log: [1e-4, 1e-2]}}"
PATH = "design: path"
COUPLING = "coupling: {off: {architecture.coupling: 0.0}}"


def ablating(components: str = COUPLING, more: str = "", around: str = "kuramoto") -> Mistake:
    """Return the mistake of adding an ablation like this to the study."""
    return edit("scales:", f"ablation: {{around: {around}, components: {{{components}}}{more}}}\nscales:")


def searching(components: str, fields: str = LEARNING_RATE, more: str = "", tail: str = "") -> Mistake:
    """Return the mistake of adding an ablation like this around an arm whose settings are searched for."""
    ablation = f"ablation: {{around: kuramoto, components: {{{components}}}{more}}}\n"
    return edit("scales:", f"{ablation}space: {{fields: {fields}}}\n{tail}scales:")


def walking(tail: str = "", space: str = LEARNING_RATE) -> Mistake:
    """Return the mistake of adding a path to what is searched for to the study."""
    return edit("scales:", f"ablation: {{around: kuramoto, {PATH}}}\nspace: {{fields: {space}}}\n{tail}scales:")


MISTAKES = {
    "ablation around an unknown arm": ablating(around="kuramotto"),
    "ablation of nothing": ablating(""),
    "component that says nothing": ablating("coupling: {off: {}}"),
    "component of no section": ablating("coupling: {off: {coupling: 0.0}}"),
    "component of an unknown field": ablating("coupling: {off: {architecture.couplin: 0.0}}"),
    "field of two components": ablating(f"{COUPLING}, locking: {{off: {{architecture.coupling: 0.1}}}}"),
    "unknown design of an ablation": ablating(more=", design: fractionl"),
    "resolution of leaving one out": ablating(more=", design: leave_one_out, resolution: 5"),
    "component that changes nothing": ablating("oscillators: {off: {architecture.num_oscillators: 4}}"),
    "component that matters only with another": ablating(
        "coupling: {off: {architecture.coupling: 0.0, architecture.learn_coupling: false}}, "
        "sign: {off: {architecture.sign: repulsive}}"
    ),
    "placebo of a taken name": ablating(more=", placebo: {transformer: {architecture.num_steps: 1}}"),
    "arms to tune without a search": ablating(more=", retune: true"),
    "arms with nothing to tune": searching(COUPLING, "{architecture.coupling: {real: [0, 2]}}", ", retune: true"),
    "searched arm of an ablation": searching(COUPLING, tail="search: {arms: [kuramoto_no_coupling]}\n"),
    "looks beside an ablation": searching(COUPLING, tail="confirm: {looks: [5, 10]}\n"),
    "ablation without components": edit("scales:", "ablation: {around: kuramoto}\nscales:"),
    "path with components": ablating(more=f", {PATH}"),
    "path without a search": edit("scales:", f"ablation: {{around: kuramoto, {PATH}}}\nscales:"),
    "path to what is not searched": walking("search: {arms: [transformer]}\n"),
    "path with a single seed": walking("scheduler: {seeds: 1}\n"),
    "path from outside of the space": walking(space="{architecture.coupling: {real: [2, 3]}}"),
    "looks beside a path": walking("confirm: {looks: [5, 10]}\n"),
    "ablate what has no ablation": after_a_run("ablate", "tiny.yaml"),
}
