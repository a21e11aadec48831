"""Tracking URIs of MLflow: the default, a check, and a form without passwords."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from sweeps.errors import UserError

_DATABASES = {"postgresql", "mysql", "mssql"}
_STORES = {"sqlite", "http", "https", "databricks", *_DATABASES}
_PACKAGES = {"psycopg": "psycopg[binary]", "MySQLdb": "mysqlclient"}
"""What to install for the module of a driver, where the name differs."""
ADVICE = "unset MLFLOW_TRACKING_URI, or set it to sqlite:////absolute/path/mlflow.db or a server's address"


def default_tracking_uri(results_root: Path, override: str | None = None) -> str:
    """Return `override` (the value of MLFLOW_TRACKING_URI), or else a database in the results."""
    return override or f"sqlite:///{results_root.absolute()}/mlflow.db"


def tracking_uri_from_environment() -> str:
    """Return `MLFLOW_TRACKING_URI`, or a database in the results root."""
    from sweeps.store.folder import results_root

    return default_tracking_uri(results_root(), os.environ.get("MLFLOW_TRACKING_URI"))


def database_path(tracking_uri: str) -> Path | None:
    """Return the file of a SQLite tracking URI; None for any other."""
    return Path(tracking_uri.removeprefix("sqlite:///")) if tracking_uri.startswith("sqlite:///") else None


def is_server(tracking_uri: str) -> bool:
    """Return whether the URI is a server's, so that none needs to be started."""
    return tracking_uri.startswith(("http://", "https://"))


def check_tracking_uri(uri: str) -> str | None:
    """Return why a tracking URI names no database or server (`ADVICE` says what to do); None if it does."""
    if urlsplit(uri).scheme.split("+")[0] in _STORES or uri == "databricks":
        return None
    return f"{without_password(uri)} is a folder of files, which MLflow no longer writes"


def refuse_bad_tracking_uri(environ: Mapping[str, str]) -> None:
    """Refuse a `MLFLOW_TRACKING_URI` that names no database or server, before anything starts.

    Raises:
        UserError: If it does not.
    """
    problem = check_tracking_uri(environ.get("MLFLOW_TRACKING_URI") or "sqlite://")
    if problem is not None:
        raise UserError(f"MLFLOW_TRACKING_URI: {problem}; {ADVICE}")


def refuse_missing_driver(environ: Mapping[str, str]) -> None:
    """Refuse a database for which this machine has no driver; SQLite's and a server's need none.

    Raises:
        UserError: If the package that speaks to it is not installed.
    """
    uri = environ.get("MLFLOW_TRACKING_URI") or ""
    if urlsplit(uri).scheme.split("+")[0] not in _DATABASES:
        return
    from sqlalchemy import make_url  # MLflow's own; a third of a second

    try:
        make_url(uri).get_dialect().import_dbapi()
    except ModuleNotFoundError as error:
        package = _PACKAGES.get(str(error.name), error.name)
        raise UserError(
            f"MLFLOW_TRACKING_URI={without_password(uri)}: the package '{error.name}' that speaks to this database "
            f"is not installed; pip install '{package}'"
        ) from error


def without_password(text: str) -> str:
    """Return a text with passwords, and tokens in place of a user name, masked in its addresses."""
    masked = re.sub(r"(://[^/@\s:]*):[^/\s]*@", r"\1:***@", text)
    return re.sub(r"://[^/@\s:]+@", "://***@", masked)
