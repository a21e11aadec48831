"""Decides what `diagnose` measures: encodings, or the model of an arm."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from sweeps.console import Output
from sweeps.errors import UserError
from sweeps.studies.catalogue import StudyArguments


class OfEncodings(NamedTuple):
    """Options for encodings; None: not given."""

    encoding: Sequence[str] | None
    positions: int | None
    width: int | None


class OfModels(NamedTuple):
    """Options for a model; None: not given."""

    seed: int | None
    length: int | None
    sequences: int | None
    stream_to: int | None
    max_seconds: float | None


def diagnose(
    output: Output,
    study: StudyArguments | None,
    of_encodings: OfEncodings,
    of_models: OfModels,
    *,
    to: Path | None,
    figures: str,
) -> None:
    """Diagnose the encodings that are named, or the model of `STUDY[:ARM]` if one is given.

    Raises:
        UserError: If an option is for the other.
    """
    if study is None:
        _refuse(of_models._asdict(), "is for a model: name its STUDY[:ARM]")
        from sweeps.cli.diagnosis.encodings import DEFAULT_POSITIONS, DEFAULT_WIDTH, diagnose_encodings

        diagnose_encodings(
            output,
            of_encodings.encoding or (),
            positions=_or(of_encodings.positions, DEFAULT_POSITIONS),
            width=_or(of_encodings.width, DEFAULT_WIDTH),
            to=to,
            figures=figures,
        )
        return
    _refuse(of_encodings._asdict(), "is for encodings: leave out the study")
    name, _, arm = (study.name, "", "") if Path(study.name).exists() else study.name.partition(":")
    from sweeps.cli.diagnosis.models import Measuring, diagnose_model

    how = Measuring(
        seed=_or(of_models.seed, 0),
        length=of_models.length,
        num_sequences=_or(of_models.sequences, 64),
        stream_to=_or(of_models.stream_to, 65_536),
        max_seconds=60.0 if of_models.max_seconds is None else of_models.max_seconds,
    )
    diagnose_model(output, study._replace(name=name), arm or None, how, to=to, figures=figures)


def _or(given: int | None, default: int) -> int:
    return default if given is None else given


def _refuse(given: dict[str, object], why: str) -> None:
    for option, value in given.items():
        if value is not None:
            raise UserError(f"--{option.replace('_', '-')} {why}")
