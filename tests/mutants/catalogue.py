"""Every planted defect, by where it is planted."""

from __future__ import annotations

from collections.abc import Iterable

from tests.mutants.in_analysis import MUTANTS as IN_ANALYSIS
from tests.mutants.in_campaigns import MUTANTS as IN_CAMPAIGNS
from tests.mutants.in_data import MUTANTS as IN_DATA
from tests.mutants.in_diagnostics import MUTANTS as IN_DIAGNOSTICS
from tests.mutants.in_evidence import MUTANTS as IN_EVIDENCE
from tests.mutants.in_memory import MUTANTS as IN_MEMORY
from tests.mutants.in_models import MUTANTS as IN_MODELS
from tests.mutants.in_operations import MUTANTS as IN_OPERATIONS
from tests.mutants.in_pi_spiral import MUTANTS as IN_PI_SPIRAL
from tests.mutants.in_pretrained import MUTANTS as IN_PRETRAINED
from tests.mutants.in_resonant import MUTANTS as IN_RESONANT
from tests.mutants.in_resonant_blocks import MUTANTS as IN_RESONANT_BLOCKS
from tests.mutants.in_retrieval import MUTANTS as IN_RETRIEVAL
from tests.mutants.in_search import MUTANTS as IN_SEARCH
from tests.mutants.in_sweeps import MUTANTS as IN_SWEEPS
from tests.mutants.in_tpi import MUTANTS as IN_TPI
from tests.mutants.in_training import MUTANTS as IN_TRAINING
from tests.mutants.mutant import Mutant

MUTANTS: tuple[Mutant, ...] = (
    *IN_MEMORY,
    *IN_MODELS,
    *IN_DATA,
    *IN_TRAINING,
    *IN_ANALYSIS,
    *IN_EVIDENCE,
    *IN_RESONANT,
    *IN_RESONANT_BLOCKS,
    *IN_TPI,
    *IN_PI_SPIRAL,
    *IN_PRETRAINED,
    *IN_DIAGNOSTICS,
    *IN_RETRIEVAL,
    *IN_SWEEPS,
    *IN_SEARCH,
    *IN_OPERATIONS,
    *IN_CAMPAIGNS,
)


def named(names: Iterable[str]) -> tuple[Mutant, ...]:
    """Return the mutants called `names`, in the order of the catalogue."""
    wanted = set(names)
    return tuple(mutant for mutant in MUTANTS if mutant.name in wanted)
