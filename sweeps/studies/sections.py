"""Sections of a study beside its arms: merged from the file, the scale and `--set`, with the place of each key."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from pydantic import ValidationError

from sweeps.errors import UserError
from sweeps.fields import KeyPath
from sweeps.studies.validation import explain_first
from trainables.schema import Schema

if TYPE_CHECKING:
    from sweeps.studies.draft import Draft

T = TypeVar("T", bound=Schema)


class SectionReader:
    """Reads sections of a draft; it knows where each key was written.

    Args:
        draft: The study.
        fallback: The section whose place stands for keys that are written nowhere.
    """

    def __init__(self, draft: Draft, fallback: str) -> None:
        self._draft, self._fallback = draft, fallback

    def read(self, name: str, kind: type[T]) -> T:
        """Return a section.

        Raises:
            UserError: If it is not valid.
        """
        data = self._draft.section(name)
        try:
            return kind.model_validate(data)
        except ValidationError as error:
            text = explain_first(error, kind, lambda key: self._place((name, *key)), data=data, prefix=(name,))
            raise UserError(text) from error

    def _place(self, key: KeyPath) -> str:
        dotted = ".".join(map(str, key))
        for override in self._draft.overrides:
            if dotted == override or dotted.startswith(f"{override}."):
                return f"--set {override}"
        source = self._draft.source
        for root in (("scales", self._draft.scale), ()):
            if place := source.locate((*root, *key)):
                return place
        # What is written nowhere is a default of a section.
        return source.where(key) if source.locate(key[:1]) else source.where((self._fallback,))

    def where(self, *key: str | int) -> str:
        """Return `file:line: key`, or the `--set` that set it."""
        place, dotted = self._place(key), ".".join(map(str, key))
        return place if place.startswith("--set") else f"{place}: {dotted}"

    @contextmanager
    def located(self, *key: str | int) -> Iterator[None]:
        """Add the place to an error raised in the block."""
        try:
            yield
        except ValueError as error:
            raise UserError(f"{self.where(*key)}: {error}") from error
