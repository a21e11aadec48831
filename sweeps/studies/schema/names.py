"""Names that a study file gives: they stand in `--set`, in tables and in the names of files."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import StringConstraints

LABEL = re.compile(r"[A-Za-z0-9_-]*")
"""A part of a name, which may be empty."""

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+$")]
"""The name of an arm, of a component or of a claim."""
