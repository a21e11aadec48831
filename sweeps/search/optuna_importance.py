"""Optuna's evaluators of importance, on points and losses."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.results.importance import Evaluator
from search_spaces.space import SearchSpace
from sweeps.search.optuna_terms import distributions_of, quiet, told
from sweeps.search.samplers import Point

NUM_TREES = 64
"""Optuna's own number."""


def importances(
    space: SearchSpace,
    points: Sequence[Point],
    losses: Sequence[float],
    evaluator: Evaluator,
    *,
    seed: int,
    num_trees: int = NUM_TREES,
) -> dict[str, float]:
    """Return a number for each field that all points have.

    Args:
        space: What varies.
        points: At least 4.
        losses: One a point, not all equal.
        evaluator: `fanova`: shares of the variance of the losses over the space that each field explains by itself,
            by a random forest; the rest of 1 is interactions and noise. `ped_anova`: how differently the best tenth
            of the points is spread along each field; shares of the sum.
        seed: Of the forest.
        num_trees: Of the forest.

    Source:
        Hutter et al. (2014), "An Efficient Approach for Assessing Hyperparameter Importance", ICML; Watanabe et al.
        (2023), "PED-ANOVA", IJCAI.
    """
    import optuna
    from optuna.importance import FanovaImportanceEvaluator, PedAnovaImportanceEvaluator

    distributions = distributions_of(space)
    trials = [
        optuna.create_trial(
            value=loss, params=told(space, point), distributions={name: distributions[name] for name in point}
        )
        for point, loss in zip(points, losses, strict=True)
    ]
    by_forest = evaluator == "fanova"
    with quiet():
        study = optuna.create_study()
        study.add_trials(trials)  # gives each an id, by which PED-ANOVA tells the best ones from the others
        found = optuna.importance.get_param_importances(
            study,
            evaluator=FanovaImportanceEvaluator(n_trees=num_trees, seed=seed)
            if by_forest
            else PedAnovaImportanceEvaluator(),
            normalize=not by_forest,
        )
    return {name: float(found.get(name, 0.0)) for name in space}
