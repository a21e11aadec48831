"""What a user gets wrong: exit code 2, one message that says where and what to do, nothing started.

The messages stand in tests/golden/mistakes.yaml; `make golden` writes them again, to be read as a stranger would.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cluster.inventory import local_inventory
from tests.golden.mistake import VALID, answer
from tests.golden.mistakes import MISTAKES, entry, golden
from tests.support.sweeps.studies import phasesweep

GOLDEN = golden()


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake(name: str, tmp_path: Path) -> None:
    if name.startswith("more GPUs than there are") and local_inventory().gpus:
        pytest.skip("this machine has a GPU, so asking for one is no mistake")
    mistake = MISTAKES[name]
    found = answer(mistake, tmp_path)
    assert (found.exit_code, found.out) == (2, ""), found.err
    assert entry(mistake, found.err) == GOLDEN[name]
    assert "Traceback" not in found.err
    assert not found.touched, "something was started"


def test_the_golden_file_holds_the_table_and_nothing_else() -> None:
    assert list(GOLDEN) == list(MISTAKES)


def test_no_network_and_no_local_copy_is_said_at_once(tmp_path: Path) -> None:
    """In a process of its own: the hub's client reads its address when it is imported."""
    (tmp_path / "tiny.yaml").write_text(VALID, encoding="utf-8")
    nowhere = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path / "hub")}
    done = phasesweep(["run", "tiny.yaml", "--set", "task.corpus=tiny_shakespeare"], tmp_path, **nowhere)
    assert done.returncode == 2
    assert re.search(r"--set task\.corpus: .*tiny_shakespeare.*PHASESWEEP_DATA", done.stderr.replace("\n", " "))
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "results").exists()


def test_a_cluster_that_cannot_be_joined(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(VALID, encoding="utf-8")
    done = phasesweep(["run", "tiny.yaml"], tmp_path, RAY_ADDRESS="nonsense://nowhere:1")
    assert done.returncode == 2, done.stderr
    assert "RAY_ADDRESS=nonsense://nowhere:1: cannot join that cluster" in done.stderr
    assert not (tmp_path / "results").exists()
