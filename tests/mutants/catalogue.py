"""Every planted defect, by where it is planted."""

from __future__ import annotations

from collections.abc import Iterable

from tests.mutants.mutant import Mutant
from tests.mutants.planted.analysis import MUTANTS as IN_ANALYSIS
from tests.mutants.planted.campaigns import MUTANTS as IN_CAMPAIGNS
from tests.mutants.planted.evidence import MUTANTS as IN_EVIDENCE
from tests.mutants.planted.memory import MUTANTS as IN_MEMORY
from tests.mutants.planted.operations import MUTANTS as IN_OPERATIONS
from tests.mutants.planted.search import MUTANTS as IN_SEARCH
from tests.mutants.planted.sweeps import MUTANTS as IN_SWEEPS
from tests.mutants.planted.trainables.data import MUTANTS as IN_DATA
from tests.mutants.planted.trainables.diagnostics import MUTANTS as IN_DIAGNOSTICS
from tests.mutants.planted.trainables.models import MUTANTS as IN_MODELS
from tests.mutants.planted.trainables.pi_spiral import MUTANTS as IN_PI_SPIRAL
from tests.mutants.planted.trainables.pretrained import MUTANTS as IN_PRETRAINED
from tests.mutants.planted.trainables.resonant import MUTANTS as IN_RESONANT
from tests.mutants.planted.trainables.resonant_blocks import MUTANTS as IN_RESONANT_BLOCKS
from tests.mutants.planted.trainables.retrieval import MUTANTS as IN_RETRIEVAL
from tests.mutants.planted.trainables.tpi import MUTANTS as IN_TPI
from tests.mutants.planted.trainables.training import MUTANTS as IN_TRAINING

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
