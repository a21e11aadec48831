"""The verb `ui --optuna`: a study's searches in optuna-dashboard."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Sequence

from analysis.results.candidates import candidates_of
from sweeps.cli.stored_sweep import load_results
from sweeps.errors import UserError
from sweeps.studies.catalogue import StudyArguments
from sweeps.studies.resolve import load_study
from sweeps.tracking.server import LOOPBACK, check_port

DASHBOARD = "optuna_dashboard"


def serve(name: str | None, scale: str, sets: Sequence[str], port: int, say: Callable[[str], None]) -> None:
    """Serve optuna-dashboard until Ctrl-C, over what the journal has of the searches now.

    Raises:
        UserError: If optuna-dashboard is not installed, the study does not search, or the port is taken.
    """
    if name is None:
        raise UserError("ui --optuna: name the study whose search is shown")
    if importlib.util.find_spec(DASHBOARD) is None:
        raise UserError(
            f"ui --optuna: optuna-dashboard is not installed; install it with: {sys.executable} -m pip install "
            "optuna-dashboard; or see the same search with: best, importance, report"
        )
    study = StudyArguments(name, scale, sets)
    stored, search = load_results(*study), load_study(*study).search
    searches = candidates_of(stored.state)
    if search is None or not searches:
        raise UserError(
            f"{stored.experiment} does not search, so there is nothing for optuna-dashboard; see space:"
        )
    check_port(LOOPBACK, port)
    from sweeps.search.optuna_export import storage_of

    spaces = {one.arm: one.space for one in search.arms}
    storage = storage_of(stored.state, searches, spaces, stored.experiment)
    say(f"http://{LOOPBACK}:{port}/dashboard/ until Ctrl-C: {stored.experiment} as its journal is now")
    say("what is changed there is lost and reaches no search; start it again to see more of one that runs")
    try:
        importlib.import_module(DASHBOARD).run_server(storage, host=LOOPBACK, port=port)
    except KeyboardInterrupt:
        return
