"""Sweeps as jobs of a real head node with token authentication, started and stopped by the guide's own commands."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import jsonschema
import pytest

from sweeps.cli.schemas.generate import load_schema
from sweeps.store.provenance import git_state
from tests.support.machine.head_node import Head, head_node, obeying_ctrl_c
from tests.support.machine.waiting import wait_for
from tests.support.sweeps import guides
from tests.support.sweeps.guides import ROOT
from tests.support.sweeps.studies import PHASESWEEP, journal_events, write_study

pytestmark = [pytest.mark.ray, pytest.mark.slow]

GUIDE = "on_a_cluster.md"
KINDS = ("cluster", "cluster, in the checkout", "cluster, after it has stopped")


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    with head_node() as node:
        yield node


def phasesweep(arguments: list[str], folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the installed command to its end."""
    environment = {"PHASESWEEP_RESULTS": str(folder / "results"), **environment}
    return subprocess.run(
        [*PHASESWEEP, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def sent(head: Head, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """Send a small sweep of a study file, as a user who has the token's file and no RAY_AUTH_MODE."""
    folder = tmp_path_factory.mktemp("sent")
    write_study(folder)
    arguments = ["submit", "tiny.yaml", "--wait", "--json", "--address", head.address]
    return folder, phasesweep(arguments, folder, head.environment(RAY_ADDRESS="http://127.0.0.1:1"))


def test_a_sweep_runs_as_a_job(head: Head, sent: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, done = sent
    assert done.returncode == 0, done.stdout + done.stderr + head.log
    job = json.loads(done.stdout)
    jsonschema.validate(job, load_schema("submit"))
    assert job["address"] == head.address
    assert job["results"] == str(folder / "results" / "tiny" / "laptop")
    assert job["command"] == "python -m sweeps run brought/tiny.yaml --scale laptop"
    events = journal_events(folder / "results")
    assert Counter(event["event"] for event in events)["finished"] == 4
    provenance = next(event for event in events if "provenance" in event)["provenance"]
    assert provenance["versions"]["phasesweep"] == version("phasesweep")
    assert provenance["git_commit"] == git_state()["git_commit"]


def test_the_token_is_written_nowhere(head: Head, sent: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, done = sent
    assert head.token not in done.stdout + done.stderr
    places = [*(folder / "results").rglob("*"), *head.folder.glob("ray/session_*/logs/job-driver-*")]
    texts = {path: path.read_bytes() for path in places if path.is_file()}
    assert any(path.name.startswith("job-driver-") for path in texts)
    assert not [path for path, text in texts.items() if head.token.encode() in text]


@pytest.mark.parametrize(
    ("verb", "token", "says"),
    [
        ("submit", None, r"cluster http://.*: it wants a token and none was found; .*get-auth-token"),
        ("submit", "wrong", r"cluster http://.*: it refuses the token from RAY_AUTH_TOKEN"),
        (
            "run",
            "wrong",
            r"RAY_ADDRESS=127\.0\.0\.1:\d+: cannot join that cluster: it refuses the token from RAY_A",
        ),
    ],
)
def test_a_missing_or_wrong_token_is_explained(
    verb: str, token: str | None, says: str, head: Head, tmp_path: Path
) -> None:
    write_study(tmp_path)
    (tmp_path / "home").mkdir()
    stranger = head.environment(HOME=str(tmp_path / "home"))
    stranger["RAY_ADDRESS"] = head.address if verb == "submit" else head.join
    if token:
        stranger["RAY_AUTH_TOKEN"] = token
    done = phasesweep([verb, "tiny.yaml"], tmp_path, stranger)
    assert done.returncode == 2, done.stdout + done.stderr
    assert re.search(says, done.stderr), done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert not (tmp_path / "results").exists()


def test_a_node_of_the_cluster_joins_it_by_itself(head: Head, tmp_path: Path) -> None:
    write_study(tmp_path)
    done = phasesweep(["plan", "tiny.yaml", "--json"], tmp_path, head.environment(RAY_ADDRESS=head.join))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["concurrency"] == 2


def test_ctrl_c_leaves_the_job_and_ray_shuts_it_down(head: Head, tmp_path: Path) -> None:
    write_study(tmp_path, seeds=4, steps=5000, report_every=50)
    environment = head.environment(PHASESWEEP_RESULTS=str(tmp_path / "results"), RAY_ADDRESS=head.address)
    with obeying_ctrl_c():
        following = subprocess.Popen(
            [*PHASESWEEP, "submit", "tiny.yaml", "--follow"],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
    wait_for(lambda: any(e["event"] == "report" for e in journal_events(tmp_path / "results")), "the first report")
    os.killpg(following.pid, signal.SIGINT)
    said, _ = following.communicate()
    assert following.returncode == 130, said
    assert "8 of 8 replicates to run" in said, "the sweep's own words were not shown"
    assert "Traceback" not in said
    stop = re.findall(
        r"the job goes on; stop: phasesweep stop .*, or: (RAY_API_SERVER_ADDRESS=.* ray job stop .*)", said
    )
    num_reports = len(journal_events(tmp_path / "results"))
    wait_for(lambda: len(journal_events(tmp_path / "results")) > num_reports, "the job to go on")
    elsewhere = {**environment, "RAY_ADDRESS": "http://127.0.0.1:1"}
    subprocess.run(["bash", "-c", stop[0]], env=elsewhere, check=True, capture_output=True)
    events = journal_events(tmp_path / "results")
    assert any(event["event"] == "interrupted" for event in events)
    assert not list((tmp_path / "results").rglob("*.lease"))


def test_the_guide_is_true(head: Head, tmp_path: Path) -> None:
    """Its commands, one after another in one terminal; then those for a checkout, in this one."""
    blocks = {kind: [b.text for b in guides.blocks(GUIDE) if b.test == kind] for kind in KINDS}
    terminal, checkout, afterwards = ("".join(blocks[kind]) for kind in KINDS)
    there = {"RAY_ADDRESS": head.address, "RAY_AUTH_MODE": "token"}

    def run(text: str, results: str, cwd: Path, **extra: str) -> str:
        text = text.replace("http://127.0.0.1:8265", head.address).replace(
            "/shared/results", str(tmp_path / results)
        )
        command = ["bash", "-eu", "-o", "pipefail", "-c", text]
        environment = head.environment(**extra)
        done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run(terminal, "results", tmp_path)
    assert "transformer" in run(afterwards, "results", tmp_path)
    run(checkout, "plain", ROOT, **there)
    for results in ("results", "plain"):
        ends = [e["event"] for e in journal_events(tmp_path / results / "quickstart" / "smoke")]
        assert ends.count("finished") == 8


def test_the_results_outlive_the_cluster(head: Head, sent: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    """The last test of this file: it stops the cluster."""
    folder, _ = sent
    assert head.stop() == []
    assert head.processes() == []
    done = phasesweep(["results", "tiny.yaml", "--json"], folder, head.environment())
    assert done.returncode == 0, done.stderr
    assert [row["n"] for row in json.loads(done.stdout)["rows"]] == [2, 2]
