"""Rows of an experiment on an MLflow server, read by its REST interface: importing MLflow takes seconds."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any

from analysis.results.export import Row, What

_PAGE = 1000
_SECONDS = 30.0
_NUMERICS = "numerics."
_RESOURCES = ("seconds", "peak_memory_mib")


def rows_of_server(address: str, what: What) -> list[Row]:
    """Return the rows of an experiment, as a journal gives them but for seconds of CPU and numbers of starts.

    Args:
        address: `http://SERVER:PORT/#STUDY@SCALE`.
        what: `replicates` or `curves`.

    Raises:
        ValueError: If the address names no experiment, the server has none of this name, or `what` is another.
        OSError: If the server does not answer.
    """
    base, _, experiment = address.partition("#")
    if not experiment:
        raise ValueError(f"{address}: name the experiment, as {base.rstrip('/')}/#STUDY@SCALE")
    if what == "configurations":
        raise ValueError("intervals are computed from a journal; MLflow has replicates and curves")
    server = _Server(base.rstrip("/"))
    runs = sorted(server.replicates(experiment), key=_order)
    if what == "replicates":
        return [_replicate(run) for run in runs]
    return [row for run in runs for row in _curve(server, run)]


class _Server:
    def __init__(self, base: str) -> None:
        self._api = f"{base}/api/2.0/mlflow"

    def replicates(self, experiment: str) -> Iterator[dict[str, Any]]:
        """Yield the runs of replicates that are not deleted."""
        found = self._ask("experiments/get-by-name", {"experiment_name": experiment})
        query: dict[str, Any] = {
            "experiment_ids": [found["experiment"]["experiment_id"]],
            "filter": "tags.`phasesweep.level` = 'replicate'",
            "max_results": _PAGE,
        }
        token: str | None = None
        while token != "":
            page = self._ask("runs/search", None, {**query, **({"page_token": token} if token else {})})
            yield from page.get("runs", [])
            token = page.get("next_page_token", "")

    def history(self, run_id: str, metric: str) -> list[dict[str, Any]]:
        """Return every value of a metric of a run."""
        found = self._ask("metrics/get-history", {"run_id": run_id, "metric_key": metric, "max_results": "25000"})
        return list(found.get("metrics", []))

    def _ask(self, what: str, parameters: dict[str, str] | None, body: Any = None) -> Any:
        query = f"?{urllib.parse.urlencode(parameters)}" if parameters else ""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"{self._api}/{what}{query}", data, {"Content-Type": "application/json"} if data else {}
        )
        try:
            with urllib.request.urlopen(request, timeout=_SECONDS) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise ValueError(f"{self._api}/{what}: {error.read().decode(errors='replace')}") from error


def _texts(entries: list[dict[str, Any]]) -> dict[str, Any]:
    return {entry["key"]: entry["value"] for entry in entries}


def _order(run: dict[str, Any]) -> tuple[int, str]:
    return int(run["info"]["start_time"]), run["info"]["run_id"]


def _identity(run: dict[str, Any]) -> Row:
    tags, parameters = _texts(run["data"].get("tags", [])), _texts(run["data"].get("params", []))
    return {
        "study": tags.get("phasesweep.study"),
        "scale": tags.get("phasesweep.scale"),
        "arm": tags.get("phasesweep.arm"),
        "config_id": tags.get("phasesweep.config_id"),
        "seed": int(parameters["seed"]),
        "status": tags.get("phasesweep.status"),
    }


def _replicate(run: dict[str, Any]) -> Row:
    data = run["data"]
    tags, parameters, metrics = (_texts(data.get(name, [])) for name in ("tags", "params", "metrics"))
    steps = [int(one["step"]) for one in data.get("metrics", []) if one["key"] not in _RESOURCES]
    return {
        **_identity(run),
        "step": max(steps, default=None),
        **{name: metrics.get(name) for name in _RESOURCES},
        "message": tags.get("phasesweep.message", ""),
        **{name: _value(text) for name, text in parameters.items() if "." in name},
        **{name: float(value) for name, value in metrics.items() if "/" in name},
        **{name: _value(text) for name, text in tags.items() if name.startswith(_NUMERICS)},
    }


def _curve(server: _Server, run: dict[str, Any]) -> Iterator[Row]:
    points: dict[int, Row] = {}
    for one in run["data"].get("metrics", []):
        if "/" not in one["key"]:
            continue
        for value in server.history(run["info"]["run_id"], one["key"]):
            point = points.setdefault(int(value["step"]), {"time": int(value["timestamp"]) / 1000})
            point[one["key"]] = float(value["value"])
    for step, metrics in sorted(points.items()):
        yield {**_identity(run), "step": step, **metrics}


def _value(text: str) -> Any:
    """Return a setting: MLflow keeps texts, which are JSON unless they are plain words."""
    try:
        return json.loads(text)
    except ValueError:
        return text
