"""Defects that undo what makes resonant blocks and memories those of the published code."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_RESONANT = "trainables/architectures/resonant"
_ROWS = "tests/golden/test_parity.py::test_as_published_is_as_published"

MUTANTS = (
    Mutant(
        name="blocks_start_as_in_the_backbone",
        meaning="published blocks start with our small weights, as an echo of their input",
        file=f"{_RESONANT}/build.py",
        old='if config.block_init == "torch":',
        new='if config.block_init == "published":',
        caught_by=f"{_ROWS}[initial weights of an AFRB block, D 64]",
    ),
    Mutant(
        name="biases_start_at_zero",
        meaning="published blocks start with torch's weights, but without its biases",
        file="trainables/randomness.py",
        old='declared.initializers = {"weight": rule, "bias": rule}',
        new='declared.initializers = {"weight": rule, "bias": Constant(0.0)}',
        caught_by=f"{_ROWS}[initial weights of an AFRB block, D 256]",
    ),
    Mutant(
        name="memory_turns_with_the_first_blocks_omega",
        meaning="--omega-delta does not reach the memory",
        file=f"{_RESONANT}/config.py",
        old="own.omega if given.omega is None",
        new="self.omega if given.omega is None",
        caught_by=f"{_ROWS}[three AFRB blocks, memories with omegas of their own]",
    ),
    Mutant(
        name="memory_starts_at_phase_zero",
        meaning="--phase-delta does not reach the memory",
        file=f"{_RESONANT}/config.py",
        old="own.phase if given.phase is None",
        new="0.0 if given.phase is None",
        caught_by=f"{_ROWS}[three AFRB blocks, memories with phases of their own]",
    ),
    Mutant(
        name="pcm_alone_keeps_beta",
        meaning="--pcm-enable alone does not replace the constant decay",
        file=f"{_RESONANT}/published.py",
        old='    return {"t2": {"fades_read": False}, **memory} if memory.get("pcm") is not None else memory\n',
        new="    return memory\n",
        caught_by=f"{_ROWS}[AFRB block with memory, PCM alone]",
    ),
    Mutant(
        name="pcm_alone_fades_what_is_read",
        meaning="--pcm-enable alone also multiplies what is read, as --t2-enable does",
        file=f"{_RESONANT}/memory/fading.py",
        old="if t2 is not None and t2.fades_read:",
        new="if t2 is not None:",
        caught_by=f"{_ROWS}[AFRB block with memory, PCM alone]",
    ),
    Mutant(
        name="t2_alone_has_no_pcm",
        meaning="--t2-enable alone lacks PCM's trained vectors",
        file=f"{_RESONANT}/published.py",
        old='return {"pcm": {}, **memory}',
        new="return memory",
        caught_by=f"{_ROWS}[AFRB block with memory, T2 alone]",
    ),
    Mutant(
        name="aligned_phases_stay",
        meaning="the alignment penalty trains nothing as published",
        file=f"{_RESONANT}/phase_embedding.py",
        old="learned=learn_phase or (aligned and alpha > 0))",
        new="learned=learn_phase)",
        caught_by=f"{_ROWS}[phase alignment trains the blocks' phases]",
    ),
    Mutant(
        name="every_omega_has_a_range_of_its_own",
        meaning="published frequencies of later blocks are not clamped to the one range",
        file=f"{_RESONANT}/build.py",
        old='if config.omega_bounds == "moved" else 0.0',
        new="if config.learn_omega else 0.0",
        caught_by=f"{_ROWS}[three AFRB blocks, trained omegas in one range]",
    ),
    Mutant(
        name="no_ramp_is_at_once",
        meaning="a published ramp of 0 passes gives the signal before the first pass",
        file=f"{_RESONANT}/published.py",
        old='given["block_ramp_steps"] = 1',
        new='given["block_ramp_steps"] = 0',
        caught_by=f"{_ROWS}[AFRB block, a ramp of 0 passes, before training]",
    ),
    Mutant(
        name="no_warm_up_without_a_filter",
        meaning="--stillness-warm does nothing without --stillness-ema",
        file=f"{_RESONANT}/build.py",
        old="(still.warm_steps if still else 0)",
        new="(still.warm_steps if still and still.ema > 0 else 0)",
        caught_by=f"{_ROWS}[AFRB block, a warm-up without stillness filter]",
    ),
    Mutant(
        name="uncalibrated_projection_is_trained",
        meaning="without KISS-Ridge the published projection is trained",
        file=f"{_RESONANT}/build.py",
        old='projection="uniform", unfreeze_step=None)',
        new='projection="uniform", unfreeze_step=0)',
        caught_by=f"{_ROWS}[readout without KISS-Ridge: the projection is torch's draw, frozen]",
    ),
    Mutant(
        name="odd_channel_is_turned",
        meaning="of an odd width the last channel rotates with a partner that is not there",
        file=f"{_RESONANT}/memory/phase_vector.py",
        old="phase_T1.expand(-1, self.d_model // 2), torch.zeros_like(phase_T1)",
        new="phase_T1.expand(-1, self.d_model // 2), phase_T1",
        caught_by="tests/unit/trainables/architectures/resonant/test_memories.py::"
        "test_the_last_channel_of_an_odd_width_is_not_turned",
    ),
    Mutant(
        name="lattice_keeps_beta",
        meaning="a T2 decay does not reach the lattice",
        file=f"{_RESONANT}/memory/phase_lattice.py",
        old="        if t2 is None:\n            return kept_C.log()",
        new="        if True:\n            return kept_C.log()",
        caught_by="tests/unit/trainables/architectures/resonant/memory/test_phase_lattice.py::"
        "test_lattice_fades_with_t2_and_leaks_the_same_share",
    ),
)
