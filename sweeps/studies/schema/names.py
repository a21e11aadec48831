"""Names that a study file gives: they stand in `--set`, in tables and in the names of files."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import StringConstraints

LABEL = re.compile(r"[A-Za-z0-9_-]*")
"""A part of a name, which may be empty."""

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+$")]
"""The name of an arm, of a component or of a claim."""

STUDY_NAME = r"^[a-z][a-z0-9_]{0,99}$"
"""The name of a study or of a campaign, after which folders are named."""

PATTERNS = {
    STUDY_NAME: "a small letter, then small letters, digits and _, at most 100 together",
    f"^{LABEL.pattern}$": "letters, digits, _ and - only",
    r"^[A-Za-z0-9_-]+$": "at least one character, of letters, digits, _ and - only",
}
"""What each pattern asks for, in words."""
