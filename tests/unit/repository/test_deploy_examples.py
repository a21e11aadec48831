"""The examples of clusters: what a schema, a shell and their own references can say of them without a cluster."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import ray
import yaml

from sweeps.studies.resolve import load_study

DEPLOY = Path(__file__).parents[3] / "docs" / "examples" / "deploy"


def read(name: str) -> Any:
    return yaml.safe_load((DEPLOY / name).read_text(encoding="utf-8"))


def test_ray_takes_the_launchers_file() -> None:
    schema = Path(ray.__file__).parent / "autoscaler" / "ray-schema.json"
    jsonschema.validate(read("ray-cluster.yaml"), json.loads(schema.read_text(encoding="utf-8")))


def test_bash_takes_the_slurm_script() -> None:
    subprocess.run(["bash", "-n", str(DEPLOY / "slurm.sh")], check=True)


def pods() -> list[dict[str, Any]]:
    cluster = read("rayjob.yaml")["spec"]["rayClusterSpec"]
    return [group["template"]["spec"] for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"])]


def test_every_pod_has_the_token_and_the_results() -> None:
    job = read("rayjob.yaml")
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    for pod in pods():
        (container,) = pod["containers"]
        environment = {entry["name"]: entry for entry in container["env"]}
        assert environment["RAY_AUTH_MODE"]["value"] == "token"
        assert "secretKeyRef" in environment["RAY_AUTH_TOKEN"]["valueFrom"], "no token in the file"
        volumes = {volume["name"] for volume in pod["volumes"]}
        (mount,) = container["volumeMounts"]
        assert mount["name"] in volumes
        assert environment["PHASESWEEP_RESULTS"]["value"] == mount["mountPath"]
    told = yaml.safe_load(job["spec"]["runtimeEnvYAML"])["env_vars"]
    assert told["PHASESWEEP_RESULTS"] == "/shared/results"


def test_what_they_run_is_a_command_of_ours() -> None:
    program, verb, study, *options = shlex.split(read("rayjob.yaml")["spec"]["entrypoint"])
    assert (program, verb, options) == ("phasesweep", "run", ["--scale", "gpu"])
    assert load_study(study, "gpu", []).scale == "gpu"


def test_the_database_is_open_to_this_machine_only_and_has_no_password_in_the_file() -> None:
    services = read("compose.yaml")["services"]
    assert "ports" not in services["database"]
    assert all(port.startswith("127.0.0.1:") for port in services["mlflow"]["ports"])
    assert services["database"]["environment"]["POSTGRES_PASSWORD"].startswith("${MLFLOW_DATABASE_PASSWORD:?")
