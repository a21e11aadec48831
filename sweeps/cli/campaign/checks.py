"""The phases that run no study: the environment, and the contracts of architectures."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from sweeps.cli.doctor import run_checks, summary
from sweeps.errors import UserError
from sweeps.store.folder import results_root
from sweeps.tracking.uri import tracking_uri_from_environment


@dataclass(frozen=True)
class Checked:
    """What a check has found."""

    ok: bool
    text: str


def environment() -> Checked:
    """Check this machine, as `doctor` does."""
    checks = run_checks(
        results_root=results_root(),
        data_dir=os.environ.get("PHASESWEEP_DATA"),
        tracking_uri=tracking_uri_from_environment(),
    )
    wrong = [f"{check.name}: {check.detail}; {check.fix}" for check in checks if check.ok is False]
    return Checked(not wrong, "\n".join(wrong) or summary(checks))


def contracts(architectures: Sequence[str]) -> Checked:
    """Check every contract on every configuration that an architecture gives for it."""
    from trainables.contract.architectures import examine_architecture
    from trainables.registry import ARCHITECTURES

    num_checked, broken = 0, []
    for name in architectures:
        try:
            configs = ARCHITECTURES.get(name).contract_configs()
        except ValueError as error:
            raise UserError(f"contracts: {error}") from error
        for config in configs:
            for finding in examine_architecture(config):
                num_checked += 1
                if finding.outcome == "failed":
                    broken.append(f"{name}, {finding.contract}: {finding.expected}; found: {finding.found}")
    said = f"{num_checked} contracts of {', '.join(architectures)} are met"
    return Checked(not broken, "\n".join(broken) or said)
