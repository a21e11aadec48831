"""MLflow in a real PostgreSQL: the tracker's contract, and the same contents as in SQLite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sweeps.tracking.contract import CHECKS
from sweeps.tracking.mlflow_store import MlflowTracker, open_client
from sweeps.tracking.sync import sync_journal
from tests.contract.test_trackers import held
from tests.support.machine.mlflow_contents import runs_of
from tests.support.machine.postgresql import BINARIES, server
from tests.support.sweeps.tracked import EXPERIMENT, journal, projected

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BINARIES is None, reason="no PostgreSQL found; on Debian: apt-get install postgresql"),
]


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the address of a server that holds a database `empty` with MLflow's schema."""
    with server(tmp_path_factory.mktemp("postgresql")) as address:
        execute(address, "create database empty")
        open_client(f"{address}/empty")
        yield address


def execute(address: str, statement: str, database: str = "postgres") -> list[Any]:
    with psycopg.connect(f"{address}/{database}", autocommit=True) as connection:
        done = connection.execute(statement.encode())
        return done.fetchall() if done.description else []


def fresh(address: str, name: str) -> str:
    """Return the address of a new database with MLflow's schema."""
    execute(address, "select pg_terminate_backend(pid) from pg_stat_activity where datname = 'empty'")
    execute(address, f"create database {name} template empty")
    return f"{address}/{name}"


@pytest.mark.parametrize("check", CHECKS)
def test_meets_the_contract(postgres: str, check: str) -> None:
    name = f"contract_{list(CHECKS).index(check)}"
    uri = fresh(postgres, name)
    CHECKS[check](lambda: MlflowTracker(uri), lambda: held(runs_of(lambda query: execute(postgres, query, name))))


def test_it_holds_what_sqlite_holds(postgres: str, tmp_path: Path) -> None:
    in_sqlite = projected(tmp_path)
    uri = fresh(postgres, "same")
    assert not sync_journal(journal(tmp_path / "again"), MlflowTracker(uri), EXPERIMENT).needs_attention
    assert dict(runs_of(lambda query: execute(postgres, query, "same"))) == in_sqlite
