"""Mistakes in the sections of a study about a search, and in the verbs that show one."""

from __future__ import annotations

from tests.golden.mistake import Mistake, edit, sets
from tests.golden.verb_mistakes import after_a_run

SPACE = "space: {fields: {optimizer.learning_rate: {log: [1e-4, 1e-2]}}}\n"
"""Both arms of the study have this field."""


def searching(more: str = "", space: str = SPACE) -> Mistake:
    """Return the mistake of adding a search like this to the study."""
    return edit("scales:", f"{space}{more}scales:")


def field(name: str, values: str) -> Mistake:
    """Return the mistake of a space with this one field."""
    return searching(space=f"space: {{fields: {{{name}: {values}}}}}\n")


MISTAKES = {
    "test metric chooses": searching("search: {metric: test/bits_per_char}\n"),
    "metric that chooses is unknown": searching("search: {metric: val/bits_per_chr}\nscheduler: {first: 1}\n"),
    "confirm seeds that meet search seeds": searching("confirm: {seeds: [7, 8, 9]}\n"),
    "confirm seeds beyond all time": searching("confirm: {seeds: 10000000000}\n"),
    "look beyond all time": searching("confirm: {looks: [5, 10000000000]}\n"),
    "search of too many configurations": searching("search: {budget: {configurations: 10000000000}}\n"),
    "search of too many replicates": searching("search: {budget: {replicates: 1e30}}\n"),
    "no confirm seeds": searching("confirm: {seeds: 0}\n"),
    "looks that spend too much": searching("confirm: {looks: [5, 10, 20], alphas: [0.05, 0.05, 0.05]}\n"),
    "looks beside seeds": searching("confirm: {seeds: 5, looks: [5, 10]}\n"),
    "one look": searching("confirm: {looks: [10]}\n"),
    "levels of fewer looks": searching("confirm: {looks: [5, 10, 20], alphas: [0.01, 0.04]}\n"),
    "levels without looks": searching("confirm: {alphas: [0.01, 0.04]}\n"),
    "looks with weights of another arm": edit(
        "num_oscillators: 4, num_steps: 1}}\nscales:",
        "num_oscillators: 4, num_steps: 1}}\n  again: {architecture: {name: transformer}, resume_from: {source: "
        "'arm:transformer'}}\n"
        f"{SPACE}search: {{arms: [kuramoto]}}\nconfirm: {{looks: [5, 10]}}\nscales:",
    ),
    "field that no searched arm has": field("architecture.couplin", "{real: [0, 4]}"),
    "misspelt field that a condition names rightly": searching(
        space="space: {fields: {architecture.couplin: {real: [0, 4]}, "
        "architecture.sign: {choice: [attractive, repulsive]}}, "
        "when: [{fields: [architecture.sign], only_if: architecture.coupling != 0}]}\n"
    ),
    "field of the task": field("task.context_length", "{integer: [8, 16]}"),
    "steps in a space": field("budget.steps", "{integer: [10, 20]}"),
    "rung without a report": searching("scheduler: {first: 0.1}\n"),
    "budget below one climb": searching("search: {budget: {replicates: 4}}\n"),
    "field of a grid in a space": searching(
        "grid: {name: lr, architecture: {name: transformer}, fields: {optimizer.learning_rate: "
        "{values: [1e-3, 2e-3]}}}\n"
    ),
    "range the wrong way round": field("optimizer.learning_rate", "{log: [1e-2, 1e-4]}"),
    "logarithm of nothing": field("optimizer.learning_rate", "{log: [0, 1e-2]}"),
    "values of two kinds": field("optimizer.learning_rate", "{log: [1e-4, 1e-2], real: [0, 1]}"),
    "values of no kind": field("optimizer.learning_rate", "{}"),
    "values of an unknown kind": field("optimizer.learning_rate", "{logarithmic: [1e-4, 1e-2]}"),
    "unknown space to use": searching(space="space: {use: [trainig]}\n"),
    "unknown method": searching("search: {method: tpee}\n"),
    "several objectives by a ladder": searching(
        "search: {method: nsga2, objectives: [val/bits_per_char, num_parameters]}\n"
    ),
    "one objective for NSGA-II": searching("search: {method: nsga2, objectives: [val/bits_per_char]}\n"),
    "objectives of what has one": searching("search: {objectives: [val/bits_per_char, num_parameters]}\n"),
    "unknown objective": searching(
        "search: {method: nsga2, objectives: [val/bits_per_char, num_parametrs]}\n"
        "scheduler: {name: fifo, seeds: 1}\n"
    ),
    "simulate several objectives": Mistake(
        arguments=("simulate", "tiny.yaml"),
        replace=(
            "scales:",
            f"{SPACE}search: {{method: nsga2, objectives: [val/bits_per_char, num_parameters]}}\n"
            "scheduler: {name: fifo, seeds: 1}\nscales:",
        ),
    ),
    "CMA-ES": searching("search: {method: cmaes}\n"),
    "unknown scheduler": searching("scheduler: {name: lader}\n"),
    "unknown searched arm": searching("search: {arms: [kuramotto]}\n"),
    "searched arm without a field": searching(
        "search: {arms: [transformer]}\n",
        "space: {fields: {architecture.coupling: {real: [0, 4]}}}\n",
    ),
    "searched arm whose weights another one starts with": edit(
        "num_oscillators: 4, num_steps: 1}}\nscales:",
        "num_oscillators: 4, num_steps: 1}}\n  again: {architecture: {name: transformer}, resume_from: {source: "
        "'arm:transformer'}}\n"
        f"{SPACE}search: {{arms: [transformer]}}\nscales:",
    ),
    "searched arm that starts with weights": edit(
        "num_oscillators: 4, num_steps: 1}}\nscales:",
        "num_oscillators: 4, num_steps: 1}}\n  again: {architecture: {name: transformer}, resume_from: {source: "
        "'arm:transformer'}}\n"
        f"{SPACE}scales:",
    ),
    "start with what does not vary": searching("search: {start_with: [{optimizer.weight_decay: 0.1}]}\n"),
    "start outside of the space": searching("search: {start_with: [{optimizer.learning_rate: 1.0}]}\n"),
    "search without a space": edit("scales:", "search: {method: tpe}\nscales:"),
    "condition on a field that does not vary": searching(
        space="space: {fields: {optimizer.learning_rate: {log: [1e-4, 1e-2]}}, when: [{fields: "
        "[optimizer.learning_rate], only_if: optimizer.warmup_steps > 1}]}\n"
    ),
    "corner that is no configuration": field("optimizer.warmup_steps", "{integer: [0, 20]}"),
    "override of an unknown method": Mistake(
        arguments=(*sets("search.method=tpee").arguments,), replace=("scales:", f"{SPACE}scales:")
    ),
    "override of an unknown field of a section": Mistake(
        arguments=sets("scheduler.firts=0.5").arguments, replace=("scales:", f"{SPACE}scales:")
    ),
    "told by a search that there is not": searching("search: {warm_start: [results/other/laptop]}\n"),
    "told to what learns nothing": searching("search: {method: sobol, warm_start: [results/other/laptop]}\n"),
    "population that a model proposes": searching("scheduler: {name: pbt}\n"),
    "population too small to replace any": searching(
        "search: {method: sobol, budget: {replicates: 3}}\nscheduler: {name: pbt, eta: 2}\n"
    ),
    "population in which nothing can change": searching(
        "search: {method: sobol, arms: [kuramoto]}\nscheduler: {name: pbt}\n",
        "space: {fields: {architecture.coupling: {real: [0, 4]}}}\n",
    ),
    "population that cannot leave 0": searching(
        "search: {method: sobol}\nscheduler: {name: pbt}\n",
        "space: {fields: {optimizer.weight_decay: {real: [0, 0.1]}}}\n",
    ),
    "population that is compared before a report": searching(
        "search: {method: sobol}\nscheduler: {name: pbt, first: 0.01}\n"
    ),
    "simulate a population": Mistake(
        arguments=("simulate", "tiny.yaml"),
        replace=("scales:", f"{SPACE}search: {{method: sobol}}\nscheduler: {{name: pbt}}\nscales:"),
    ),
    "optimiser that changes nothing": sets("optimizer.changes=[{from_step: 3}]"),
    "optimiser that changes after the end": sets("optimizer.changes=[{from_step: 3000000, learning_rate: 1e-3}]"),
    "median of three": searching("scheduler: {name: median, eta: 3}\n"),
    "enqueue where nothing is searched": after_a_run("enqueue", "tiny.yaml", "--try", "architecture.coupling=1"),
    "importance of what does not search": after_a_run("importance", "tiny.yaml"),
    "unknown evaluator of importance": after_a_run("importance", "tiny.yaml", "--evaluator", "fannova"),
    "importance over unknown candidates": after_a_run("importance", "tiny.yaml", "--over", "al"),
    "simulate what does not search": Mistake(arguments=("simulate", "tiny.yaml")),
    "simulate in an unknown world": Mistake(
        arguments=("simulate", "tiny.yaml", "--world", "nul"), replace=("scales:", f"{SPACE}scales:")
    ),
}
