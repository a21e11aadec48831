"""All rows of the table by family, in the order in which they are printed."""

from __future__ import annotations

from tests.parity import initial_weights, kuramoto, optimisers, pi_spiral, synthetic, tpi
from tests.parity.resonant import blocks, phase_alignment, projection, readout
from tests.parity.row import Family

FAMILIES = {
    "resonant": Family(
        published="attention-free-phase-blocks@893071d",
        rows=(
            *blocks.ROWS,
            *initial_weights.ROWS,
            *phase_alignment.ROWS,
            *projection.ROWS,
            *readout.ROWS,
            *optimisers.AFRB_ROWS,
        ),
        nothing_to_compare=(
            "phase-lattice memory (PLM): its code is not public",
            "InfoNCE, the whole loss, hit rate, unshifted perplexity: no numbers of theirs",
            "the learned query, calibration between steps: likewise",
        ),
    ),
    "kuramoto": Family(
        published="PhaseGPT@487f429",
        rows=(*kuramoto.ROWS, *optimisers.PHASEGPT_ROWS),
        nothing_to_compare=(
            "padding mask of PhaseAttention: the published model never passes one",
            "HybridAttention: no numbers of theirs",
        ),
    ),
    "tpi": Family(
        published="hartflow, each version at the commit that its row names; tasks at dfbbc17",
        rows=(*tpi.ROWS, *synthetic.ROWS),
        nothing_to_compare=(
            "V2 to V5, V9 and the diversity loss: in no public commit, known from the notes alone",
        ),
    ),
    "pi_spiral": Family(
        published="pie-spiral@f4f10cd",
        rows=pi_spiral.ROWS,
        nothing_to_compare=(
            "random phases on the fly: the authors seed a generator anew for each position, ours are a hash of it",
            "the hybrid: its attention and its adapter raise; the adaptive one cannot be constructed",
            "cross-attention and residual: never run, so that there are no numbers of theirs",
        ),
    ),
}
