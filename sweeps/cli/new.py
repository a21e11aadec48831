"""The verb `new`: write a study to start from."""

from __future__ import annotations

import re
from pathlib import Path

from rich.console import Console

from sweeps.console import Emit, proposed
from sweeps.errors import UserError
from sweeps.studies.library import library
from sweeps.studies.resolve import load_study
from sweeps.studies.schema import StudyFile
from sweeps.studies.template import _NAME, copy_of, scaffold
from sweeps.studies.yaml_file import YamlSource


def new(
    out: Console,
    emit: Emit | None,
    name: str,
    *,
    source: str | None,
    to: Path | None,
    architecture: str | None,
    task: str | None,
) -> None:
    """Write a new study file, and nothing where one is already."""
    path = _destination(name, to)
    if source is not None and (architecture or task):
        raise UserError("--from copies a study as it is; give --architecture and --task without it")
    if source is not None:
        text = copy_of(source, name)
    else:
        text = scaffold(name, architecture or "kuramoto", task or "language", str(path))
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UserError(f"{path} is there already; give another --to, or remove it") from None
    except OSError as error:
        raise UserError(f"--to {path}: cannot be written: {error}") from error
    try:
        scales = list(StudyFile.model_validate(YamlSource.read(path).data).scales)
        studies = [load_study(str(path), scale) for scale in scales]
    except BaseException:
        path.unlink()
        raise
    arms = [arm.name for arm in studies[0].arms]
    following = proposed("plan", str(path), "--scale", scales[0])
    if emit:
        emit({"study": name, "path": str(path.resolve()), "scales": scales, "arms": arms, "next": following})
    else:
        out.print(f"{path}: {len(arms)} arms ({', '.join(arms)}), scales {', '.join(scales)}", markup=False)
        out.print(f"next: {following}", markup=False)


def _destination(name: str, to: Path | None) -> Path:
    if not _NAME.fullmatch(name):
        suggestion = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_0123456789") or "my_study"
        raise UserError(
            f"new {name}: a study's name is a small letter, then small letters, digits and _; try '{suggestion}'"
        )
    if name in library():
        raise UserError(f"new {name}: the library has a study of this name; choose another")
    path = to or Path(f"{name}.yaml")
    if path.is_dir():
        path = path / f"{name}.yaml"
    if path.suffix not in {".yaml", ".yml"}:
        raise UserError(f"--to {path}: a study file ends in .yaml")
    return path
