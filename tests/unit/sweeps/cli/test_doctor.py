import http.server
import socket
import subprocess
import sys
import threading

import pytest

from cluster.inventory import GpuGroup, Inventory
from sweeps.cli import doctor
from tests.support.sweeps.guides import ROOT


def test_all_checks_run_and_every_failure_has_a_fix(tmp_path):
    environ = {"HF_HUB_OFFLINE": "1", "TMPDIR": str(tmp_path)}
    checks = doctor.run_checks(
        results_root=tmp_path / "results", data_dir=None, tracking_uri="sqlite:////x/m.db", environ=environ
    )
    names = [check.name for check in checks]
    assert len(set(names)) == len(names)
    assert {"machine", "torch", "ray", "results", "mlflow store", "hub"} <= set(names)
    assert all(check.fix for check in checks if check.ok is False)
    assert not (tmp_path / "results").exists()


def test_the_doctor_imports_nothing_heavy():
    code = (
        "import sys, sweeps.cli.doctor\n"
        "print(sorted({'torch', 'ray', 'mlflow', 'datasets', 'transformers'} & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_packages_are_held_against_the_declared_requirements():
    wanted = [f"{name}>=2.0" for name in doctor.CHECKED_PACKAGES] + ['pytest>=9; extra == "dev"']
    versions = dict.fromkeys(doctor.CHECKED_PACKAGES, "2.13.0+cpu") | {"ray": "1.9", "mlflow": None}
    found = {check.name: check for check in doctor.check_packages(wanted, versions.__getitem__)}
    assert found["torch"].ok is True
    assert (found["ray"].ok, found["ray"].detail) == (False, "1.9; needs >=2.0")
    assert found["mlflow"].detail == "not installed; needs >=2.0"
    assert "pytest" not in found


def test_without_metadata_the_cure_is_to_install():
    (check,) = doctor.check_packages(None, lambda name: "1")
    assert (check.ok, check.fix) == (False, "make setup")


def test_machine():
    gpu = GpuGroup(kind="H100", memory_mib=81_559, free_mib=80_000, count=2)
    assert doctor.check_machine(Inventory(cpus=1, memory_mib=100)).ok is False
    assert doctor.check_machine(Inventory(cpus=1, memory_mib=2000)).ok is True
    assert doctor.check_gpus(Inventory(cpus=1, memory_mib=1)).ok is None
    assert doctor.check_gpus(Inventory(cpus=1, memory_mib=1, gpus=(gpu,))).detail == "2 x H100, 80000 MiB free"
    broken = Inventory(cpus=1, memory_mib=1, notes=("nvidia-smi failed: no driver",))
    assert "no driver" in doctor.check_gpus(broken).detail


def test_limited_cores_say_so(monkeypatch):
    monkeypatch.setattr(doctor.os, "cpu_count", lambda: 64)
    assert doctor.check_machine(Inventory(cpus=2, memory_mib=1)).detail.startswith("2 of 64 (affinity")


def test_shared_memory_holds_what_the_session_asks_for(monkeypatch, tmp_path):
    from cluster.connection.session import OBJECT_STORE_BYTES

    assert doctor.MIN_SHARED_MEMORY_MIB * 2**20 == OBJECT_STORE_BYTES
    usage = doctor.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: usage._replace(free=64 * 2**20))
    small = doctor.check_shared_memory(tmp_path)
    assert (small.ok, small.fix) == (None, "in a container: docker run --shm-size=1g")
    assert doctor.check_shared_memory(tmp_path / "absent").ok is None


def test_results(tmp_path, monkeypatch):
    assert doctor.check_results(tmp_path / "a/b").ok is True
    assert list(tmp_path.iterdir()) == []
    assert "relative" in doctor.check_results("results").detail
    assert doctor.check_results("s3://bucket/results").ok is None
    file = tmp_path / "file"
    file.touch()
    assert doctor.check_results(file / "results").ok is False
    usage = doctor.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: usage._replace(free=2**20))
    assert doctor.check_results(tmp_path).ok is False


def test_results_that_may_not_be_written(tmp_path, monkeypatch):
    def refuse(dir):  # noqa: A002  the name tempfile uses
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(doctor.tempfile, "TemporaryFile", refuse)
    check = doctor.check_results(tmp_path)
    assert (check.ok, "Permission denied" in check.detail) == (False, True)


@pytest.mark.parametrize(
    ("uri", "ok"),
    [
        ("sqlite:////abs/mlflow.db", True),
        ("http://127.0.0.1:5000", True),
        ("postgresql+psycopg2://me@host/db", True),
        ("./mlruns", False),
        ("/abs/mlruns", False),
        ("file:///abs/mlruns", False),
    ],
)
def test_tracking_store(uri, ok):
    assert doctor.check_tracking(uri).ok is ok


def test_passwords_are_not_shown():
    check = doctor.check_tracking("postgresql://me:secret@host:5432/db")
    assert check.detail == "postgresql://me:***@host:5432/db"


def test_a_dead_clusters_address_is_found_with_its_fix(tmp_path):
    environ = {"RAY_TMPDIR": str(tmp_path), "TMPDIR": "/nowhere"}
    assert doctor.check_ray_address_file(environ, 0.5).ok is True
    file = tmp_path / "ray" / "ray_current_cluster"
    file.parent.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        file.write_text(address, encoding="utf-8")
        assert doctor.check_ray_address_file(environ, 0.5).ok is True
    stale = doctor.check_ray_address_file(environ, 0.5)
    assert (stale.ok, stale.fix) == (None, f"rm {file}")
    assert address in stale.detail
    file.write_text("garbage", encoding="utf-8")
    assert doctor.check_ray_address_file(environ, 0.5).fix == f"rm {file}"


def test_ray_address(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert doctor.check_ray_address({}, 0.5).ok is True
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        assert doctor.check_ray_address({"RAY_ADDRESS": address}, 5.0).ok is True
    gone = doctor.check_ray_address({"RAY_ADDRESS": address}, 0.5)
    assert (gone.ok, gone.fix) == (False, "correct or unset RAY_ADDRESS")
    assert doctor.check_ray_address({"RAY_ADDRESS": f"http://{address}"}, 0.5).ok is False
    assert doctor.check_ray_address({"RAY_ADDRESS": "auto"}, 0.5).ok is True
    client = doctor.check_ray_address({"RAY_ADDRESS": "ray://head:10001"}, 0.5)
    assert client.ok is False
    assert "submit --address http://head:8265" in client.detail


def test_ray_token(tmp_path):
    there = {"RAY_ADDRESS": "10.0.0.1:6379"}
    assert doctor.check_ray_token({}, tmp_path).ok is True
    assert doctor.check_ray_token(there, tmp_path).ok is None
    assert doctor.check_ray_token({**there, "RAY_AUTH_MODE": "token"}, tmp_path).ok is False
    assert doctor.check_ray_token({**there, "RAY_AUTH_MODE": "disabled"}, tmp_path).ok is None
    assert doctor.check_ray_token({**there, "RAY_AUTH_TOKEN_PATH": "/nowhere"}, tmp_path).ok is False
    secret = doctor.check_ray_token({**there, "RAY_AUTH_TOKEN": "hunter2"}, tmp_path)
    assert secret.ok is True
    assert "hunter2" not in secret.detail
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray/auth_token").write_text("hunter2", encoding="utf-8")
    found = doctor.check_ray_token(there, tmp_path)
    assert str(tmp_path) in found.detail
    assert "hunter2" not in found.detail


def test_local_data(tmp_path):
    assert doctor.check_data(None).ok is None
    assert doctor.check_data(str(tmp_path / "absent")).ok is False
    assert doctor.check_data(str(tmp_path)).detail.endswith(": 0 entries")
    for number in range(10):
        (tmp_path / f"corpus{number}.txt").touch()
    assert doctor.check_data(str(tmp_path)).detail.endswith(": 10 entries")


class _Refuses(http.server.BaseHTTPRequestHandler):
    def do_HEAD(self):
        self.send_response(403)
        self.end_headers()

    def log_message(self, *args):
        pass


def test_hub_answers_even_with_an_error_status(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with http.server.HTTPServer(("127.0.0.1", 0), _Refuses) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        check = doctor.check_hub({"HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}"}, 5.0)
        server.shutdown()
        thread.join()
    assert check.ok is True


def test_hub_that_hangs_is_a_note_in_time(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as server:
        check = doctor.check_hub({"HF_ENDPOINT": f"http://127.0.0.1:{server.getsockname()[1]}"}, 0.3)
    assert check.ok is None
    assert "does not answer" in check.detail


def test_hub_offline_is_not_asked():
    assert "HF_HUB_OFFLINE" in doctor.check_hub({"HF_HUB_OFFLINE": "1", "HF_ENDPOINT": "not a url"}, 0.1).detail
    assert doctor.check_hub({"HF_ENDPOINT": "not a url"}, 0.5).ok is None


def test_the_last_line_says_what_will_not_work():
    fine = doctor.Check("torch", True, "2.13")
    hub = doctor.check_hub({"HF_HUB_OFFLINE": "1"}, 1.0)
    no_gpu = doctor.check_gpus(Inventory(cpus=1, memory_mib=100))
    assert doctor.summary([fine]) == "all is well"
    assert doctor.summary([fine, no_gpu, hub]) == (
        "sweeps run here, but not with studies and scales that ask for a GPU, nor with data sets and models of the "
        "hub that are neither in its cache nor in PHASESWEEP_DATA"
    )
    assert doctor.summary([hub, doctor.check_machine(Inventory(cpus=1, memory_mib=1))]).startswith(
        "something is wrong"
    )
