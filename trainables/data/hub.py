"""Text from the Hugging Face hub, or from a local folder of parquet files, through `datasets`.

Current `datasets` refuses repositories that are scripts, but the hub keeps a parquet copy of nearly every
public data set on the branch `refs/convert/parquet`. That branch is downloaded into the hub's own cache
(`HF_HOME`) and read as a local folder of parquet files.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from trainables.data.errors import DataError

PARQUET_BRANCH = "refs/convert/parquet"
REQUEST_TIMEOUT_SECONDS = 5.0

_SPLIT_NAMES = {"train": ("train",), "val": ("validation", "valid", "val", "dev"), "test": ("test",)}


class HubText(NamedTuple):
    """The splits that a data set declares, and where they came from."""

    train: str
    val: str | None
    test: str | None
    provenance: dict[str, Any]


def is_local_repository(spec: str) -> bool:
    """Return whether `REPOSITORY[:CONFIGURATION]` names a local folder."""
    return spec.startswith(("/", "./", "../", "~"))


def load_hub(spec: str, *, known_as: str | None = None, also_looked_for: str | None = None) -> HubText:
    """Load the text of a hub data set, or of a local folder laid out like one.

    Args:
        spec: `REPOSITORY[:CONFIGURATION]`. REPOSITORY is `owner/name`, or the path of a folder (it then
            begins with `/`, `./`, `../` or `~`) with parquet files, split by split. The configuration may
            be left out if there is only one or one is called `default`.
        known_as: What the user called the corpus, for messages.
        also_looked_for: Where else it was looked for, for messages.

    Returns:
        Its splits. Rows are joined so that each ends in a newline; a split of one row is kept as it is.

    Raises:
        DataError: If there is no such folder, repository, configuration or text column, or the hub cannot
            be reached and its cache has no copy.
    """
    name = known_as or f"hub:{spec}"
    repository, _, wanted = spec.partition(":")
    if is_local_repository(repository):
        folder = _local_folder(repository, name)
        provenance: dict[str, Any] = {"source": "parquet folder", "path": str(folder)}
    else:
        folder = _download(repository, wanted, name, also_looked_for)
        provenance = {
            "source": "hub",
            "repository": repository,
            "branch": PARQUET_BRANCH,
            "revision": folder.name,  # the cache names a snapshot by the commit that the branch resolved to
        }
    configuration = _choose_configuration(_parquet_files(folder), wanted, name)
    texts, column = _read_splits(folder, configuration, name)
    provenance |= {"configuration": configuration, "column": column}
    return HubText(texts["train"], texts.get("val"), texts.get("test"), provenance)


def check_hub(spec: str, *, known_as: str | None = None, also_looked_for: str | None = None) -> None:
    """Check that the text of a hub data set, or a local folder, exists; nothing is read.

    What the hub's cache lacks is downloaded into it.

    Args:
        spec: As for `load_hub`.
        known_as: As for `load_hub`.
        also_looked_for: As for `load_hub`.

    Raises:
        DataError: If it does not.
    """
    name = known_as or f"hub:{spec}"
    repository, _, wanted = spec.partition(":")
    if is_local_repository(repository):
        _choose_configuration(_parquet_files(_local_folder(repository, name)), wanted, name)
    elif not _is_cached(repository, wanted):
        _download(repository, wanted, name, also_looked_for)


def _local_folder(repository: str, name: str) -> Path:
    folder = Path(repository).expanduser().resolve()
    if not folder.is_dir():
        raise DataError(
            f"corpus '{name}': no folder {folder}; name a folder with parquet files, or a repository OWNER/NAME"
        )
    return folder


def _parquet_files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.parquet"))


def _is_cached(repository: str, wanted: str) -> bool:
    """Return whether the hub's cache has a copy, without network access."""
    try:
        _snapshot(repository, wanted or "default", is_offline=True)
    except (OSError, ValueError):  # no copy, or no name of a repository
        return False
    return True


def _download(repository: str, wanted: str, name: str, also_looked_for: str | None) -> Path:
    """Fetch one configuration of the parquet branch and return its snapshot in the hub's cache."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]

    problem, configuration = "", wanted or "default"
    try:
        # A separate request first, because snapshot_download sets no time limit on it.
        info = HfApi().dataset_info(repository, revision=PARQUET_BRANCH, timeout=REQUEST_TIMEOUT_SECONDS)
    except (HTTPError, OSError, ValueError) as error:
        problem = _one_line(error)
    else:
        files = [sibling.rfilename for sibling in info.siblings or ()]
        configuration = _choose_configuration(files, wanted, name) or ""
    try:
        return _snapshot(repository, configuration, is_offline=bool(problem))
    except (HTTPError, OSError, ValueError) as error:
        hub = f"the hub ({problem or _one_line(error)})"
        places = ", ".join(filter(None, [also_looked_for, "the hub's cache (HF_HOME)", hub]))
        fix = "put it into PHASESWEEP_DATA" if also_looked_for else "name a text of your own with file:PATH"
        raise DataError(
            f"corpus '{name}' was not found. Looked for it in {places}. With a network, check the name "
            f"'{repository}'; without one, {fix}, or set HF_HOME to a cache that has it. "
            "The corpus 'synthetic' needs neither"
        ) from None


def _snapshot(repository: str, configuration: str, *, is_offline: bool) -> Path:
    """Return the copy in the hub's cache, offline as it is and otherwise up to date; "": of all configurations."""
    from huggingface_hub import snapshot_download

    snapshot = snapshot_download(
        repository,
        repo_type="dataset",
        revision=PARQUET_BRANCH,
        allow_patterns=[f"{configuration}/**" if configuration else "**.parquet"],
        local_files_only=is_offline,
    )
    return Path(snapshot)


def _one_line(error: BaseException) -> str:
    """Return an exception's type and the first line of its message."""
    return f"{type(error).__name__}: {(str(error).strip() or 'no reason given').splitlines()[0]}"


def _choose_configuration(files: Iterable[str], wanted: str, name: str) -> str | None:
    """Choose among the folders of `CONFIGURATION/SPLIT/*.parquet`; None if the files are laid out otherwise."""
    paths = [file.split("/") for file in files if file.endswith(".parquet")]
    if not paths:
        raise DataError(f"corpus '{name}': the repository has no parquet files")
    known = sorted({parts[0] for parts in paths if len(parts) == 3})
    if wanted:
        if wanted in known:
            return wanted
        raise DataError(
            f"corpus '{name}': no configuration '{wanted}'; known: {', '.join(known) or 'none, leave it out'}"
        )
    if not known:
        return None
    if "default" in known or len(known) == 1:
        return "default" if "default" in known else known[0]
    raise DataError(f"corpus '{name}' has several configurations; add one of :{', :'.join(known)}")


def _read_splits(folder: Path, configuration: str | None, name: str) -> tuple[dict[str, str], str]:
    """Return the text of each split that exists, and the name of its column."""
    import datasets

    show_progress = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        found = datasets.load_dataset(str(folder), data_dir=configuration)
    except (datasets.exceptions.DatasetsError, OSError, ValueError) as error:
        reason = _one_line(error.__cause__ or error)
        raise DataError(f"corpus '{name}': cannot read {folder}: {reason}") from None
    finally:
        if show_progress:
            datasets.enable_progress_bars()

    texts: dict[str, str] = {}
    column = ""
    for split, names in _SPLIT_NAMES.items():
        present = next((given for given in names if given in found), None)
        if present is not None:
            column = _text_column(found[present].features, name)
            texts[split] = _join_rows(found[present][column], f"corpus '{name}', split '{present}'")
    if "train" not in texts:
        raise DataError(f"corpus '{name}' has no training split, only {', '.join(found)}")
    return texts, column


def _text_column(features: dict[str, Any], name: str) -> str:
    """Return `text`, or the only column of strings."""
    kinds = {"string", "large_string"}
    strings = [column for column, kind in features.items() if getattr(kind, "dtype", None) in kinds]
    if "text" in strings:
        return "text"
    if len(strings) == 1:
        return strings[0]
    raise DataError(f"corpus '{name}' needs a column 'text' or exactly one of strings, has {', '.join(features)}")


def _join_rows(rows: Iterable[str | None], where: str) -> str:
    """Join rows into one text; rows are lines that may have lost their newline in the conversion."""
    given = list(rows)
    parts = [row for row in given if row is not None]
    if len(parts) < len(given):
        raise DataError(f"{where}: a row has no text")
    if len(parts) == 1:
        return parts[0]
    return "".join(part if part.endswith("\n") else part + "\n" for part in parts)
