"""Where MLflow's database lies, and how its schema is made: whole, or not at all."""

from __future__ import annotations

import re
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from sweeps.errors import UserError
from sweeps.tracking.mlflow_database import in_one_sentence
from sweeps.tracking.mlflow_store import MlflowTracker
from sweeps.tracking.sync import sync_journal
from sweeps.tracking.uri import check_tracking_uri, default_tracking_uri, refuse_missing_driver, without_password
from tests.support.machine.mlflow_contents import contents
from tests.support.sweeps.tracked import EVENTS, EXPERIMENT, give_database, journal, projected

STATEMENTS = (12, 54, 198, 300, 330)
"""After so many of MLflow's 440 a file is left that MLflow does not open: each stops it in another way."""

MADE_BY_MLFLOW_ALONE = """
import os, shutil, signal, sys
from pathlib import Path
from sqlalchemy import event
from sqlalchemy.engine import Engine
made, wanted, count = Path(sys.argv[1]), [int(word) for word in sys.argv[2:]], 0

@event.listens_for(Engine, "before_cursor_execute")
def snapshot(connection, cursor, statement, *rest):
    global count
    count += statement.split()[0].upper() in {"CREATE", "ALTER", "DROP", "INSERT", "UPDATE"}
    if count in wanted and not (copy := made.with_name(f"{count}.db")).exists():
        shutil.copy(made, copy)
        if (rolled_back := Path(f"{made}-journal")).exists():
            shutil.copy(rolled_back, f"{copy}-journal")
    if count > max(wanted):
        os.kill(os.getpid(), signal.SIGKILL)

from mlflow.tracking import MlflowClient
MlflowClient(f"sqlite:///{made}")
"""

KILLED_BEFORE_A_STATEMENT = """
import os, signal, sys
from sqlalchemy import event
from sqlalchemy.engine import Engine
count = 0

@event.listens_for(Engine, "before_cursor_execute")
def kill(*arguments):
    global count
    count += 1
    if count == 300:
        os.kill(os.getpid(), signal.SIGKILL)

from sweeps.tracking.mlflow_store import open_client
open_client(sys.argv[1])
"""


def test_a_missing_journal_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no journal"):
        sync_journal(tmp_path / "journal", MlflowTracker(default_tracking_uri(tmp_path)), EXPERIMENT)


@pytest.mark.slow
def test_the_schema_is_made_once_and_quietly_by_two_at_a_time(tmp_path: Path) -> None:
    code = "import sys; from sweeps.tracking.mlflow_store import open_client; open_client(sys.argv[1])"
    command = [sys.executable, "-c", code, default_tracking_uri(tmp_path / "results")]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for _ in range(2)]
    said = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert said == [b"", b""]
    assert contents(tmp_path / "results" / "mlflow.db") == {}
    assert sorted(path.name for path in (tmp_path / "results").iterdir()) == ["mlflow.db", "mlflow.db.lock"]


@pytest.fixture(scope="module")
def half_made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with what MLflow leaves in a database whose making is cut off, as `<statement>.db`."""
    folder = tmp_path_factory.mktemp("half_made")
    words = [str(folder / "whole.db"), *map(str, STATEMENTS)]
    done = subprocess.run([sys.executable, "-c", MADE_BY_MLFLOW_ALONE, *words], check=False)
    assert done.returncode == -signal.SIGKILL
    return folder


@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_half_made_database_without_runs_is_set_aside(
    statement: int, half_made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = give_database(half_made)  # to make one takes seconds, and other tests do
    monkeypatch.setattr("sweeps.tracking.mlflow_store._make_database", lambda path: shutil.copy(whole, path))
    for path in half_made.glob(f"{statement}.db*"):
        shutil.copy(path, tmp_path / path.name.replace(f"{statement}.db", "mlflow.db"))
    before = (tmp_path / "mlflow.db").read_bytes()
    summary = sync_journal(journal(tmp_path), MlflowTracker(default_tracking_uri(tmp_path)), EXPERIMENT)
    assert (summary.error, summary.num_missing) == ("", 0)
    assert summary.needs_attention
    database = tmp_path / "mlflow.db"
    assert (
        str(summary) == f"{database} was cut off while it was made and held no runs; it is now mlflow.db.broken-1"
    )
    assert len((tmp_path / "mlflow.db.broken-1").read_bytes()) == len(before)
    assert len(contents(database)) == 13
    assert projected(tmp_path) == contents(database)  # and the next one has nothing to say of it


def test_a_database_with_runs_stays_where_it_is_whatever_its_schema(tmp_path: Path) -> None:
    older = tmp_path / "older"  # MLflow looks at the schema of each file once a process
    older.mkdir()
    give_database(older)
    held = projected(older)
    shutil.copy(older / "mlflow.db", tmp_path / "mlflow.db")
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as connection, connection:
        connection.execute("update alembic_version set version_num = '90e64c465722'")
    summary = sync_journal(journal(tmp_path), MlflowTracker(default_tracking_uri(tmp_path)), EXPERIMENT)
    assert "out-of-date database schema" in summary.error
    assert contents(tmp_path / "mlflow.db") == held
    assert not list(tmp_path.glob("*broken*"))


def test_somebody_elses_database_stays_where_it_is(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as connection, connection:
        connection.execute("create table experiments (name text)")
        connection.execute("insert into experiments values ('mine')")
    sync_journal(journal(tmp_path), MlflowTracker(default_tracking_uri(tmp_path)), EXPERIMENT)
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as connection:
        assert connection.execute("select name from experiments").fetchall() == [("mine",)]


def test_a_kill_while_the_schema_is_made_leaves_no_database(tmp_path: Path) -> None:
    uri = default_tracking_uri(tmp_path)
    done = subprocess.run([sys.executable, "-c", KILLED_BEFORE_A_STATEMENT, uri], check=False)
    assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / "mlflow.db").exists()
    assert len(projected(tmp_path)) == 13
    assert {path.name for path in tmp_path.glob("mlflow.db*")} == {"mlflow.db", "mlflow.db.lock"}


@pytest.mark.slow
def test_a_disk_without_room_for_the_schema_ends_with_a_sentence_and_leaves_no_database(tmp_path: Path) -> None:
    folder, uri = journal(tmp_path), default_tracking_uri(tmp_path)
    code = (
        "import sys; from pathlib import Path; from sweeps.tracking.mlflow_store import MlflowTracker;"
        "from sweeps.tracking.sync import sync_journal;"
        "print(sync_journal(Path(sys.argv[1]), MlflowTracker(sys.argv[2]), sys.argv[3]))"
    )

    def no_room() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # then a write beyond it fails, as on a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))

    done = subprocess.run(
        [sys.executable, "-B", "-c", code, str(folder), uri, EXPERIMENT],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        preexec_fn=no_room,
    )
    assert done.stdout.count("\n") == 1
    assert done.stdout.startswith(f"{len(EVENTS)} events behind; replay with `")
    assert not list(tmp_path.glob("mlflow.db*[!k]"))  # the lock may stay
    assert len(projected(tmp_path)) == 13


def test_a_full_disk_is_called_one(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "full.db")) as connection:
        connection.execute("pragma max_page_count = 2")
        connection.execute("create table t (text)")
        with pytest.raises(sqlite3.OperationalError) as full:
            connection.execute("insert into t values (?)", ("x" * 100_000,))
    wrapped = RuntimeError("(sqlite3.OperationalError) database or disk is full\n[SQL: INSERT ...]")
    wrapped.__cause__ = full.value
    assert in_one_sentence(wrapped) == "the disk is full; free some of it"
    assert in_one_sentence(OSError(28, "No space left on device")) == "the disk is full; free some of it"
    assert in_one_sentence(ValueError("first\nsecond")) == "ValueError: first"


def test_default_tracking_uri_is_absolute_and_the_environment_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert default_tracking_uri(Path("results")) == f"sqlite:///{tmp_path}/results/mlflow.db"
    assert default_tracking_uri(Path("results"), "http://server:5000") == "http://server:5000"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://me:secret@host:5432/db", "postgresql://me:***@host:5432/db"),
        (
            "at https://token@host/x and postgresql://me:s@cr:t@host/db",
            "at https://***@host/x and postgresql://me:***@host/db",
        ),
        ("sqlite:////results/me@home/mlflow.db", "sqlite:////results/me@home/mlflow.db"),
        ("http://host:5000/a b@c", "http://host:5000/a b@c"),
    ],
)
def test_passwords_and_tokens_are_masked(text: str, shown: str) -> None:
    assert without_password(text) == shown


def test_a_folder_of_files_is_no_tracking_uri() -> None:
    assert check_tracking_uri("./mlruns") == "./mlruns is a folder of files, which MLflow no longer writes"
    assert check_tracking_uri("postgresql+psycopg2://me@host/db") is None


@pytest.mark.parametrize(
    ("scheme", "module", "package"),
    [
        ("postgresql", "psycopg", "psycopg[binary]"),
        ("postgresql+psycopg2", "psycopg2", "psycopg2"),
        ("mysql", "MySQLdb", "mysqlclient"),
    ],
)
def test_a_database_without_its_driver_is_refused_with_what_to_install(
    scheme: str, module: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ran to its end, and MLflow had nothing."""
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError, match=re.escape(f"'{module}'")) as refused:
        refuse_missing_driver({"MLFLOW_TRACKING_URI": f"{scheme}://me:secret@db/mlflow"})
    assert str(refused.value).endswith(f"pip install '{package}'")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("uri", ["sqlite:///mlflow.db", "http://server:5000", ""])
def test_what_needs_no_driver_is_not_refused(uri: str) -> None:
    refuse_missing_driver({"MLFLOW_TRACKING_URI": uri})
