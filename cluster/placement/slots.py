"""Which kind of GPU the next trial goes to, and whether it may be started now."""

from __future__ import annotations

from cluster.placement.request import Request
from cluster.placement.size_classes import Packing

_ROUNDING = 1e-9


class Slots:
    """Compares the started trials with the number that can run at once, for each kind of GPU.

    A trial of a class of which `n` run at once on a kind of GPU occupies 1/n of that kind. Ray itself decides
    when a started trial gets its resources; this class only decides how many wait for that, and for which kind.

    Args:
        packing: The size classes.
        look_ahead: How many times over each kind may be filled with started trials. With 2, one trial waits for
            each that runs, so that no core idles while a process starts.
    """

    def __init__(self, packing: Packing, *, look_ahead: float) -> None:
        self._packing, self._look_ahead = packing, look_ahead
        self._loads: dict[str | None, float] = {
            request.gpu_kind: 0.0 for size_class in packing.classes for request in size_class.requests
        }
        self._taken: dict[str, tuple[str | None, float]] = {}

    @property
    def is_full(self) -> bool:
        """Whether no trial of any class may be started now."""
        return not any(self.has_room(size_class.index) for size_class in self._packing.classes)

    def has_room(self, size_class: int) -> bool:
        """Return whether one more trial of a class may be started now."""
        request, share = self._best(size_class)
        return self._loads[request.gpu_kind] + share <= self._look_ahead + _ROUNDING

    def acquire(self, trial_id: str, size_class: int) -> Request:
        """Record the start of a trial, and return its request."""
        request, share = self._best(size_class)
        self._loads[request.gpu_kind] += share
        self._taken[trial_id] = (request.gpu_kind, share)
        return request

    def release(self, trial_id: str) -> None:
        """Record the end of a trial, if it was started here."""
        kind, share = self._taken.pop(trial_id, (None, 0.0))
        if share:
            self._loads[kind] -= share

    def _best(self, size_class: int) -> tuple[Request, float]:
        """Return the request whose kind of GPU would be least occupied with it, and the fraction that it takes."""
        chosen = self._packing.classes[size_class]
        options = [(request, 1 / slots) for request, slots in zip(chosen.requests, chosen.slots, strict=True)]
        return min(options, key=lambda option: self._loads[option[0].gpu_kind] + option[1])
