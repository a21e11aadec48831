"""Rows of an MLflow server, by the parts of its REST interface that are asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qs, urlparse

import pytest

import analysis

RUN: dict[str, Any] = {
    "info": {"run_id": "r0", "start_time": 5},
    "data": {
        "params": [{"key": "seed", "value": "3"}, {"key": "architecture.coupling", "value": "0.5"}],
        "tags": [
            {"key": "phasesweep.study", "value": "tiny"},
            {"key": "phasesweep.scale", "value": "laptop"},
            {"key": "phasesweep.arm", "value": "other"},
            {"key": "phasesweep.config_id", "value": "abc"},
            {"key": "phasesweep.status", "value": "finished"},
            {"key": "numerics.threads", "value": "1"},
        ],
        "metrics": [
            {"key": "val/loss", "value": 2.5, "step": 20, "timestamp": 2000},
            {"key": "seconds", "value": 12.5, "step": 20, "timestamp": 2000},
        ],
    },
}
HISTORY = [
    {"key": "val/loss", "value": value, "step": step, "timestamp": 100 * step}
    for step, value in ((10, 3.0), (20, 2.5))
]


class Answers(BaseHTTPRequestHandler):
    """A server with one experiment and two pages of one run."""

    def do_GET(self) -> None:
        asked = urlparse(self.path)
        query = parse_qs(asked.query)
        if asked.path.endswith("get-by-name"):
            known = query["experiment_name"] == ["tiny@laptop"]
            found = {"experiment": {"experiment_id": "1"}} if known else {"message": "No Experiment"}
            self._answer(found, 200 if known else 404)
        else:
            assert query["metric_key"] == ["val/loss"]
            self._answer({"metrics": HISTORY})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if "page_token" in body:
            self._answer({})
        else:
            self._answer({"runs": [RUN], "next_page_token": "more"})

    def _answer(self, value: Any, status: int = 200) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(value).encode())

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Answers) as served:
        thread = threading.Thread(target=served.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{served.server_port}"
        served.shutdown()
        thread.join()


def test_a_row_a_replicate(server: str) -> None:
    (row,) = analysis.load(f"{server}/#tiny@laptop").to_dict("records")
    assert row == {
        "study": "tiny", "scale": "laptop", "arm": "other", "config_id": "abc", "seed": 3, "status": "finished",
        "step": 20, "seconds": 12.5, "peak_memory_mib": None, "message": "", "architecture.coupling": 0.5,
        "val/loss": 2.5, "numerics.threads": 1,
    }  # fmt: skip


def test_a_row_a_report(server: str) -> None:
    frame = analysis.load(f"{server}/#tiny@laptop", "curves")
    assert frame[["seed", "step", "time", "val/loss"]].values.tolist() == [[3, 10, 1.0, 3.0], [3, 20, 2.0, 2.5]]


def test_what_it_does_not_have(server: str) -> None:
    with pytest.raises(ValueError, match="No Experiment"):
        analysis.load(f"{server}/#another@laptop")
    with pytest.raises(ValueError, match="name the experiment"):
        analysis.load(server)
    with pytest.raises(ValueError, match="intervals are computed from a journal"):
        analysis.load(f"{server}/#tiny@laptop", "configurations")
