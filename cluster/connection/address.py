"""How a Ray cluster is reached: which kind of address is given, and which token is sent.

Ray has three kinds of address: `host:6379` (or `auto`) joins a cluster from one of its nodes,
`http://host:8265` takes jobs, `ray://host:10001` is the Ray Client. Since 2.59 clusters authenticate by a token
that all their nodes and users share. Imports no Ray, so that `doctor` works even if Ray is broken.
"""

from __future__ import annotations

import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

JOBS_PORT = 8265
JOIN_PORT = 6379
CONNECT_SECONDS = 10.0

TOKEN_FIX = (
    "`ray get-auth-token` on the cluster's head node prints it: write that to ~/.ray/auth_token here, "
    "or set RAY_AUTH_TOKEN"
)


class ClusterError(ConnectionError):
    """A cluster cannot be used as requested; the message says why and what to do."""


def token_place(environ: Mapping[str, str], home: Path) -> str | None:
    """Return where this user's token is, in Ray's own order; None if there is none. Never the token itself.

    Args:
        environ: The environment.
        home: The user's home folder.

    Raises:
        ClusterError: If RAY_AUTH_TOKEN_PATH names a file without a token, or a token cannot be read.
    """
    if environ.get("RAY_AUTH_TOKEN", "").strip():
        return "RAY_AUTH_TOKEN"
    named = environ.get("RAY_AUTH_TOKEN_PATH")
    path = Path(named) if named else home / ".ray" / "auth_token"
    try:
        holds_token = path.is_file() and bool(path.read_text(encoding="utf-8").strip())
    except (OSError, UnicodeDecodeError) as error:
        raise ClusterError(f"the token in {path} cannot be read: {error}") from error
    if named and not holds_token:
        raise ClusterError(f"RAY_AUTH_TOKEN_PATH={named}: no such file, or it is empty; {TOKEN_FIX}")
    return str(path) if holds_token else None


def is_authentication_off(environ: Mapping[str, str]) -> bool:
    """Return whether this user has configured Ray to send no token."""
    return environ.get("RAY_AUTH_MODE", "").lower() == "disabled"


def token_advice(environ: Mapping[str, str], home: Path) -> str:
    """Return what to do after a cluster has refused this user."""
    if is_authentication_off(environ):
        return f"it wants a token and RAY_AUTH_MODE=disabled sends none; unset that. {TOKEN_FIX}"
    place = token_place(environ, home)
    if place is None:
        return f"it wants a token and none was found; {TOKEN_FIX}"
    return f"it refuses the token from {place}, which is another cluster's or an old one; {TOKEN_FIX}"


def join_address(address: str) -> str:
    """Return `address` if a driver can join a cluster by it: `host:port` or `auto`.

    Raises:
        ClusterError: If it is of another kind.
    """
    if address == "auto":
        return address
    if address == "local":
        raise ClusterError("unset it for a session of this machine's own")
    if "://" in address:
        scheme, host = address.partition("://")[0], _split(address).hostname or "HEAD"
        there = f"`{_with_port(host, JOIN_PORT)}` joins a cluster, from one of its nodes"
        if scheme in {"http", "https"}:
            raise ClusterError(f"that address takes jobs: `phasesweep submit` sends a sweep there; {there}")
        if scheme == "ray":
            raise ClusterError(
                "the Ray Client would run the sweep on the cluster and leave its journal there; send it with "
                f"`phasesweep submit --address http://{_with_port(host, JOBS_PORT)}`; {there}"
            )
        raise ClusterError(f"no kind of address that Ray has; {there}")
    if _port(_split(f"//{address}")) is None:
        raise ClusterError(f"it has no port; did you mean {_with_port(address, JOIN_PORT)}?")
    return address


def jobs_address(address: str) -> str:
    """Return `address` if a cluster accepts jobs there: `http://host:port`, without a trailing slash.

    Raises:
        ClusterError: If it is of another kind.
    """
    if address.startswith(("http://", "https://")) and _split(address).hostname:
        return address.rstrip("/")
    host = "127.0.0.1"
    if address not in {"auto", "local"}:
        host = _split(address if "://" in address else f"//{address}").hostname or "HEAD"
    raise ClusterError(f"jobs are sent to the dashboard; did you mean http://{_with_port(host, JOBS_PORT)}?")


def answers(address: str, timeout_seconds: float) -> bool:
    """Return whether something listens at `host:port`."""
    parts = _split(f"//{address}")
    port = _port(parts)
    if port is None or not parts.hostname:
        return False
    try:
        with socket.create_connection((parts.hostname, port), timeout=timeout_seconds):
            return True
    except OSError:
        return False


def authenticate(environ: MutableMapping[str, str], home: Path) -> None:
    """Make Ray send this user's token. By default it does so only to a cluster that it finds on this node.

    Raises:
        ClusterError: If RAY_AUTH_MODE demands a token and there is none, or it cannot be read.
    """
    if is_authentication_off(environ):
        return
    if token_place(environ, home) is not None:
        environ["RAY_AUTH_MODE"] = environ.get("RAY_AUTH_MODE") or "token"
    elif environ.get("RAY_AUTH_MODE", "").lower() == "token":
        raise ClusterError(f"RAY_AUTH_MODE=token, and no token was found; {TOKEN_FIX}")


def _split(address: str) -> SplitResult:
    try:
        return urlsplit(address)
    except ValueError as error:  # brackets that do not match
        raise ClusterError(f"no address: {error}") from error


def _port(parts: SplitResult) -> int | None:
    try:
        return parts.port
    except ValueError:  # not a number, or too large
        return None


def _with_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def fetch_problem(url: str, timeout_seconds: float) -> str | None:
    """Return why `url` does not answer in time, or None. Any HTTP status is an answer."""
    problem: list[str | None] = ["time-out"]

    def fetch() -> None:
        try:
            request = urllib.request.Request(url, method="HEAD")
            with urllib.request.urlopen(request, timeout=timeout_seconds):
                problem[0] = None
        except urllib.error.HTTPError:
            problem[0] = None
        except (OSError, ValueError) as error:
            problem[0] = str(getattr(error, "reason", error))

    # a thread, because a name look-up cannot be given a time-out
    thread = threading.Thread(target=fetch, daemon=True)
    thread.start()
    thread.join(timeout_seconds)
    return problem[0]
