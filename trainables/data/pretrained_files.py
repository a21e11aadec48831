"""Where a pretrained model's files are, and their hash.

A source is written `hf:PATH` or `hf:OWNER/NAME[@REVISION]`, a folder or a repository of the Hugging Face hub, or
`package:NAME[==VERSION]`, a package of the Python package index that carries a model; see `package_files`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from search_spaces.suggestions import closest
from trainables.data.package_files import PackageRecord, find_package, is_package

HUGGING_FACE = "hf:"

REQUEST_TIMEOUT_SECONDS = 5.0
CONFIG_FILE = "config.json"

_BESIDE_WEIGHTS = ("*.json", "*.model", "*.txt")
"""Configuration and tokenizer: small files that are always fetched."""
_SAFE, _PICKLED = "*.safetensors", "pytorch_model*.bin"
_SHA256_DIGITS = 64


def is_source(text: str) -> bool:
    """Return whether `text` is written as a source; what it names need not exist."""
    return is_package(text) or (text.startswith(HUGGING_FACE) and text != HUGGING_FACE)


def absolute_source(source: str) -> str:
    """Return `source` with the path of a local folder made absolute, because Ray's workers run in other folders."""
    place = _place(source)
    if is_package(source) or not _is_folder(place):
        return source
    return f"{HUGGING_FACE}{Path(place).expanduser().resolve()}"


def _place(source: str) -> str:
    """Return the path of a folder, or the repository."""
    return source.removeprefix(HUGGING_FACE)


def _is_folder(place: str) -> bool:
    """Return whether it names a local folder and not a hub repository."""
    return place.startswith(("/", ".", "~")) or Path(place).is_dir()


def find_source(source: str, *, weights: bool = True, fetch: bool = True) -> Path:
    """Return the folder that holds a pretrained model, downloading it from the hub only if this node has no copy.

    Args:
        source: See the module. Of a repository's name, a folder is preferred; then the hub's cache (`HF_HOME`);
            then the hub. A package is looked for in the cache only.
        weights: Whether the weights are needed; otherwise `config.json` is enough.
        fetch: Whether it may be downloaded from the hub: only what trains it should download gigabytes.

    Raises:
        ValueError: If there is none, or it lacks its configuration or its weights; the message says where it was
            looked for and what to do.
    """
    if is_package(source):
        return find_package(source)
    place = _place(source)
    if _is_folder(place):
        folder = Path(place).expanduser().resolve()
        _check_folder(source, folder, weights=weights)
        return folder
    cached = _cached(source)
    if cached is not None and not _missing(cached, weights=weights):
        return cached
    if not fetch:
        raise ValueError(_what_to_fetch(source, cached))
    folder = _download(source, weights=weights)
    _check_folder(source, folder, weights=weights)
    return folder


def weight_files(folder: Path) -> list[Path]:
    """Return the files that a model's weights are read from: `safetensors` if there are any; sorted by name."""
    return sorted(folder.glob(_SAFE)) or sorted(folder.glob(_PICKLED))


def source_hash(source: str) -> str:
    """Return a hash of a pretrained model's configuration and weights, independent of their location.

    It is part of the identity of every configuration built on that model, instead of the path or name. Nothing is
    downloaded for it. Of a package it is the SHA-256 of the file with its weights, from which the rest was made.

    Raises:
        ValueError: As `find_source` does.
    """
    folder = find_source(source, fetch=False)
    if is_package(source):
        return PackageRecord.read(folder).sha256
    hashes = {path.name: _file_hash(path) for path in [folder / CONFIG_FILE, *weight_files(folder)]}
    return hashlib.sha256("".join(f"{name}:{digest}\n" for name, digest in hashes.items()).encode()).hexdigest()


def _file_hash(path: Path) -> str:
    real = path.resolve()
    if path.is_symlink() and len(real.name) == _SHA256_DIGITS:
        return real.name  # the hub's cache names large files by their SHA-256
    stat = real.stat()
    return _hash_of(real, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=64)
def _hash_of(path: Path, size: int, mtime_ns: int) -> str:
    """Hash a file once until it changes, because a plan needs it for every configuration."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _missing(folder: Path, *, weights: bool) -> str:
    """Return what a folder lacks; empty if it is complete."""
    if not (folder / CONFIG_FILE).is_file():
        return CONFIG_FILE
    if not weights:
        return ""
    for index in sorted(folder.glob("*.safetensors.index.json")) or sorted(folder.glob("*.bin.index.json")):
        if missing := _missing_parts(index):
            return missing
    return "" if weight_files(folder) else f"weights ({_SAFE} or {_PICKLED})"


def _missing_parts(index: Path) -> str:
    """Return which files of a sharded model are missing."""
    parts = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    return ", ".join(sorted(part for part in parts if not (index.parent / part).is_file()))


def _check_folder(source: str, folder: Path, *, weights: bool) -> None:
    fix = "name a folder as save_pretrained writes it, with config.json and the weights"
    if not folder.is_dir():
        beside = [path.name for path in folder.parent.iterdir() if path.is_dir()] if folder.parent.is_dir() else []
        near = closest(folder.name, beside)
        hint = f"did you mean '{folder.parent / near[0]}'?" if near else f"{fix}, or a repository OWNER/NAME"
        raise ValueError(f"backbone '{source}': no folder {folder}; {hint}")
    if missing := _missing(folder, weights=weights):
        raise ValueError(f"backbone '{source}': {folder} has no {missing}; {fix}")


def _repository(source: str) -> tuple[str, str | None]:
    """Return the name and the revision of a hub repository."""
    name, _, revision = _place(source).partition("@")
    return name, revision or None


def _cached(source: str) -> Path | None:
    """Return a repository's snapshot in the hub's cache, without network access; None if there is none."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    repository, revision = _repository(source)
    try:
        found = try_to_load_from_cache(repository, CONFIG_FILE, revision=revision)
    except HFValidationError as error:
        raise ValueError(
            f"backbone '{source}': neither a folder here nor the name of a repository, OWNER/NAME; a relative "
            f"path begins with ./ ({str(error).splitlines()[0]})"
        ) from None
    return Path(found).parent if isinstance(found, str) else None


def _what_to_fetch(source: str, cached: Path | None) -> str:
    """Return how to get a repository that is missing here, or lacks its weights."""
    what = "is not on this machine" if cached is None else f"has no weights on this machine ({cached})"
    return (
        f"backbone '{source}' {what}, and a plan downloads nothing. Looked for a folder "
        f"{Path(_place(source)).absolute()} and in the hub's cache (HF_HOME); fetch it with `phasesweep fetch "
        f"{source}`, or name a local folder as save_pretrained writes it"
    )


def _download(source: str, *, weights: bool) -> Path:
    """Fetch a repository's configuration, tokenizer and, if needed, weights, into the hub's cache."""
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]

    repository, revision = _repository(source)
    patterns = list(_BESIDE_WEIGHTS)
    try:
        # A separate request first, because snapshot_download sets no time limit on it.
        info = HfApi().model_info(repository, revision=revision, timeout=REQUEST_TIMEOUT_SECONDS)
        if weights:
            names = [sibling.rfilename for sibling in info.siblings or ()]
            patterns.append(_SAFE if any(name.endswith(".safetensors") for name in names) else _PICKLED)
        return Path(snapshot_download(repository, revision=revision, allow_patterns=patterns))
    except (HTTPError, OSError, ValueError) as error:
        reason = (str(error).strip() or "no reason given").splitlines()[0]
        raise ValueError(
            f"backbone '{source}' was not found. Looked for a folder {Path(_place(source)).absolute()}, in the "
            f"hub's cache (HF_HOME) and at the hub ({type(error).__name__}: {reason}). With a network, check the "
            "name; without one, name a local folder as save_pretrained writes it, or set HF_HOME to a cache with it"
        ) from None


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Silence progress bars, and what is no error."""
    from transformers.utils import logging

    shown, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if shown:
            logging.enable_progress_bar()


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
