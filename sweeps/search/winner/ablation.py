"""The arms of an ablation around the winner of a search: they are made when the winner is selected."""

from __future__ import annotations

from analysis.records.candidates import Ablated
from analysis.records.journal import JournalState
from search_spaces.dimensions import freeze
from search_spaces.space import InvalidPointError
from sweeps.plan.search.candidates import SearchPlan
from sweeps.plan.search.corners import in_words
from sweeps.search.samplers import Point


class NoAblationError(ValueError):
    """The winner cannot be ablated as the study says; the message says why and what to do."""


class WinnerAblation:
    """Makes the arms.

    Args:
        plan: The search; it may have no ablation.
        search: Id of the search whose winner is ablated.
    """

    def __init__(self, plan: SearchPlan, search: str) -> None:
        self._plan, self._search = plan, search
        self._made: dict[str, Ablated] = {}

    def arms(self, state: JournalState) -> dict[str, Ablated]:
        """Return the arms by name, after the winner is selected.

        Raises:
            NoAblationError: If one of them is no valid configuration, or computes the same as another one.
        """
        if not self._made:
            self._made = self._make(self._point(state))
        return self._made

    def _point(self, state: JournalState) -> Point:
        winner = state.searches.winners[self._search].config_id
        assert winner is not None
        point = state.searches.candidates[self._search][winner].point
        return {name: freeze(value) for name, value in point.items()}

    def _make(self, point: Point) -> dict[str, Ablated]:
        ablation = self._plan.ablation
        assert ablation is not None
        found: dict[str, Ablated] = {}
        first = {self._plan.identify(ablation.around, point): ablation.around}
        for name, settings in ablation.settings.items():
            try:
                planned = self._plan.ablate(name, point)
            except InvalidPointError as error:
                raise NoAblationError(
                    f"arm '{name}' of the ablation is no valid configuration with the winner's settings "
                    f"{in_words(point)}: {error}; change the component, or narrow the space"
                ) from error
            if (other := first.setdefault(planned.config_id, name)) != name:
                raise NoAblationError(
                    f"arm '{name}' of the ablation computes the same as '{other}' with the winner's settings "
                    f"{in_words(point)}, so that its results would count twice; leave out the component that the "
                    "winner does not have"
                )
            found[name] = Ablated(
                arm=name,
                config_id=planned.config_id,
                settings=settings,
                parameters=planned.arm.changes,
                num_parameters=planned.num_parameters,
                predicted_memory_mib=round(planned.need_mib, 1),
                data_hash=planned.data_hash,
            )
        return found
