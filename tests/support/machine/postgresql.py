"""A PostgreSQL server of a test's own, on loopback, from the system's packages."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

BINARIES = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)
"""Folder of `initdb` and `pg_ctl`; None if PostgreSQL is not installed."""


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """Run a server whose data lie in a folder; yield its address without a database's name."""
    assert BINARIES is not None
    data, user = folder / "data", "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    data.mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    def run(name: str, *arguments: str) -> None:
        command: Sequence[str] = [str(BINARIES / name), "-D", str(data), *arguments]
        user_of_command = user if os.geteuid() == 0 else None  # it refuses to run as root
        done = subprocess.run(command, user=user_of_command, capture_output=True, text=True, check=False, cwd="/")
        assert done.returncode == 0, done.stdout + done.stderr

    if os.geteuid() == 0:
        shutil.chown(data, user)
        for above in folder.parents:  # pytest's folders are root's alone
            if above.stat().st_uid == 0 and above != Path("/") and not above.stat().st_mode & 0o001:
                above.chmod(0o711)
        folder.chmod(0o711)
    run("initdb", "-A", "trust", "--no-sync")
    options = f"-p {port} -k {data} -c listen_addresses=127.0.0.1 -c fsync=off"
    run("pg_ctl", "-o", options, "-l", str(data / "log"), "-w", "start")
    try:
        yield f"postgresql://{user}@127.0.0.1:{port}"
    finally:
        run("pg_ctl", "-m", "immediate", "stop")
