"""Decides whether a verb is about a study or a campaign, and refuses options of the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sweeps.campaigns.catalogue import campaign_path
from sweeps.errors import UserError
from sweeps.studies.catalogue import StudyArguments

if TYPE_CHECKING:
    from sweeps.campaigns.campaign import Campaign

OF_CAMPAIGNS = ("through", "past_failed_gates")


def campaign_of(study: StudyArguments, **options: object) -> Campaign | None:
    """Return the campaign that a study's arguments name; None if they name none.

    Args:
        study: As typed.
        options: The verb's further options; None where they are not given.

    Raises:
        UserError: If an option is for studies, or for campaigns, and this is none.
    """
    given = [name for name, value in options.items() if value is not None]
    path = campaign_path(study.name)
    if path is None:
        for name in given:
            if name in OF_CAMPAIGNS:
                raise UserError(f"{_option(name)} is for a campaign, and '{study.name}' is none")
        return None
    if study.sets:
        raise UserError("--set is for a study: the phases of a campaign say what they override")
    for name in given:
        if name not in OF_CAMPAIGNS:
            raise UserError(
                f"{_option(name)} is for a study, and '{study.name}' is a campaign; name one of its studies"
            )
    from sweeps.campaigns.campaign import read_campaign  # which imports every configuration, in most of a second

    return read_campaign(path, study.name)


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
