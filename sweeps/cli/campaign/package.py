"""Everything that is needed to check a campaign's results, in one folder."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import yaml

from analysis.records.compact import compact_journal
from analysis.results.export import What, rows_of, write_table
from sweeps.campaigns.campaign import Campaign, StudyRun
from sweeps.campaigns.state import CampaignState
from sweeps.cli.stored_sweep import find_results, load_results, resolved_fields
from sweeps.console import proposed
from sweeps.errors import writing
from sweeps.store.folder import results_root
from sweeps.store.provenance import packages

TABLES: tuple[What, ...] = ("replicates", "configurations")


def write_package(campaign: Campaign, state: CampaignState) -> Path:
    """Write journals, resolved studies, tables, gates, commands and versions; return the folder.

    A study without results has no folder, and its gates in gates.json say so.

    Raises:
        UserError: If it cannot be written.
    """
    folder = results_root() / campaign.name / state.scale / "package"
    with writing(str(folder), "; set PHASESWEEP_RESULTS"):
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(campaign.path, folder / "campaign.yaml")
        (folder / "gates.json").write_text(json.dumps(asdict(state), indent=2, ensure_ascii=False) + "\n", "utf-8")
        (folder / "versions.txt").write_text("".join(f"{line}\n" for line in packages()), "utf-8")
        commands = []
        for run in _once(campaign, state.scale):
            sets = [part for text in run.sets for part in ("--set", text)]
            commands.append(proposed("run", run.name, "--scale", state.scale, *sets))
            _write_study(folder / find_results(run.name, state.scale, run.sets).experiment, run, state.scale)
        (folder / "commands.sh").write_text("".join(f"{command}\n" for command in commands), "utf-8")
    return folder


def _once(campaign: Campaign, scale: str) -> list[StudyRun]:
    return list(dict.fromkeys(run for phase in campaign.phases for run in campaign.studies(phase, scale)))


def _write_study(folder: Path, run: StudyRun, scale: str) -> None:
    if find_results(run.name, scale, run.sets).state().sweep is None:
        return
    stored = load_results(run.name, scale, run.sets)
    folder.mkdir(exist_ok=True)
    (folder / "journal.jsonl").write_text(compact_journal(stored.folder.path), "utf-8")
    resolved = yaml.safe_dump(stored.folder.resolved_study(), sort_keys=False, allow_unicode=True)
    (folder / "study.yaml").write_text(resolved, "utf-8")
    for what in TABLES:
        rows = rows_of(
            what,
            stored.state,
            stored.sweep,
            lambda arm: resolved_fields(stored.folder.path, arm) or arm.parameters,
        )
        write_table(rows, folder / f"{what}.csv", ".csv")
