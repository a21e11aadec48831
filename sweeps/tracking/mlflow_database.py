"""MLflow's SQLite file: its schema is made in a temporary file and moved into place when complete."""

from __future__ import annotations

import errno
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from filelock import FileLock

from trainables.atomic_write import sync


def ensure_database(database: Path, make: Callable[[Path], None], newest_version: Callable[[], str]) -> str:
    """Make the database if there is none, under a lock; return a notice for the user, empty if there is none.

    MLflow makes its schema in hundreds of statements, in the file itself and without a transaction around them. A
    process that ends midway, for instance on a full disk, leaves a file that MLflow cannot open any more: it fails
    with `table _alembic_tmp_metrics already exists`. Such a file, which holds no runs, is renamed.

    Args:
        database: The file.
        make: Makes a database at a path where there is none.
        newest_version: Returns the version of the schema that `make` makes.

    Raises:
        OSError: If the folder cannot be written.
        sqlalchemy.exc.SQLAlchemyError: If the file cannot be written, as on a full disk; nothing is left then.
    """
    database.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(database.with_name(f"{database.name}.lock"), fallback_to_soft=False):
        notice = ""
        if _is_half_made(database, newest_version):
            aside = _rename_incomplete(database)
            notice = f"{database} was cut off while it was made and held no runs; it is now {aside.name}"
        if not database.exists() or database.stat().st_size == 0:
            _put_in_place(database, make)
        return notice


def _is_half_made(database: Path, newest_version: Callable[[], str]) -> bool:
    """Return whether MLflow has begun a schema here, never finished it, and written no run."""
    if not database.exists() or database.stat().st_size == 0:
        return False
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=rw", uri=True)) as connection:
            tables = {name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")}
            if not {"experiments", "alembic_version"} <= tables:
                return False  # another program's file, or one so new that MLflow can continue with it
            if "runs" in tables and connection.execute("select 1 from runs limit 1").fetchone():
                return False
            return connection.execute("select version_num from alembic_version").fetchall() != [(newest_version(),)]
    except sqlite3.DatabaseError:
        return False  # not a database, or a busy one: MLflow's own error is better


def _rename_incomplete(database: Path) -> Path:
    number = 1
    while (aside := database.with_name(f"{database.name}.broken-{number}")).exists():
        number += 1
    journal = database.with_name(f"{database.name}-journal")
    if journal.exists():  # belongs to the file only under its old name
        journal.rename(aside.with_name(f"{aside.name}-journal"))
    return database.rename(aside)


def _put_in_place(database: Path, make: Callable[[Path], None]) -> None:
    """Make a complete database in a temporary folder next to it, and rename it."""
    for stale in database.parent.glob(f"{database.name}.making-*"):
        shutil.rmtree(stale)
    with tempfile.TemporaryDirectory(prefix=f"{database.name}.making-", dir=database.parent) as folder:
        made = Path(folder) / database.name
        make(made)
        sync(made)
        made.replace(database)
    sync(database.parent, is_folder=True)


def in_one_sentence(error: Exception) -> str:
    """Return an error of the store in one sentence."""
    cause = error.__cause__ or error
    cause = getattr(cause, "orig", None) or cause  # SQLAlchemy wraps SQLite's own
    full = getattr(cause, "errno", None) == errno.ENOSPC or getattr(cause, "sqlite_errorname", "") == "SQLITE_FULL"
    first_line = str(error).partition("\n")[0][:300]
    return "the disk is full; free some of it" if full else f"{type(error).__name__}: {first_line}"
