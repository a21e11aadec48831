"""Defects of the memory contract: estimates, sizes, caps, retries."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_REQUESTS, _REQUESTS_TESTS = "cluster/placement/request.py", "tests/unit/cluster/placement/test_request.py"
_PACKING, _PACKING_TESTS = "cluster/placement/size_classes.py", "tests/unit/cluster/placement/test_size_classes.py"
_CAP, _CAP_TESTS = "trainables/worker/memory_limit.py", "tests/unit/trainables/worker/test_memory_limit.py"
_LEDGER_TESTS = "tests/unit/cluster/memory/test_tensor_ledger.py"

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        name="packing_ignores_cores",
        meaning="as many trials start as memory allows, on however few cores",
        file=_REQUESTS,
        old="return min(by_cpu, machine.memory_mib // request.memory_mib)",
        new="return machine.memory_mib // request.memory_mib",
        caught_by=f"{_REQUESTS_TESTS}::test_concurrency_is_the_scarcest_resource",
    ),
    Mutant(
        name="packing_over_machines",
        meaning="a trial is placed on the cores of one machine and the memory of another",
        file=_REQUESTS,
        old="sum(_fit_on(request, machine) for machine in inventory.machines)",
        new="_fit_on(request, inventory)",
        caught_by=f"{_REQUESTS_TESTS}::test_resources_scattered_over_a_cluster_do_not_add_up",
    ),
    Mutant(
        name="request_without_headroom",
        meaning="a trial asks for what is expected and no more: every second one runs out",
        file=_PACKING,
        old="math.ceil(need_mib * (1 + HEADROOM) / STEP_MIB)",
        new="math.ceil(need_mib / STEP_MIB)",
        caught_by=f"{_PACKING_TESTS}::test_every_configuration_gets_its_need_with_headroom",
    ),
    Mutant(
        name="class_below_the_need",
        meaning="a configuration is put into the next smaller class",
        file=_PACKING,
        old="len(chosen) - 1 - bisect.bisect_left(ascending, size)",
        new="min(len(chosen) - 1, len(chosen) - bisect.bisect_left(ascending, size))",
        caught_by=f"{_PACKING_TESTS}::test_every_configuration_gets_its_need_with_headroom",
    ),
    Mutant(
        name="share_of_the_emptiest_gpu",
        meaning="a share is of the roomiest GPU of its kind, and too much on the others",
        file=_PACKING,
        old="if known is None or (known.free_mib or 0) > gpu.free_mib:",
        new="if known is None or (known.free_mib or 0) < gpu.free_mib:",
        caught_by=f"{_PACKING_TESTS}::test_a_share_is_of_the_memory_that_is_free_on_the_fullest_gpu",
    ),
    Mutant(
        name="share_rounded_down",
        meaning="shares are rounded down, so one trial more than fits is started",
        file=_PACKING,
        old="of_memory = math.ceil(",
        new="of_memory = math.floor(0.8 * ",
        caught_by=f"{_LEDGER_TESTS}::test_a_thousand_trials_hurt_no_neighbour",
    ),
    Mutant(
        name="retry_in_the_same_size",
        meaning="what ran out of memory is tried again with as much as before",
        file="cluster/placement/oom.py",
        old="size_class=had.size_class - 1, memory_mib=memory_mib",
        new="size_class=had.size_class, memory_mib=had.memory_mib",
        caught_by="tests/unit/cluster/placement/test_oom.py::test_else_it_gets_more_memory_and_keeps_its_micro_batch",
    ),
    Mutant(
        name="split_though_it_changes_the_gradients",
        meaning="the micro-batch is halved where dropout or noise depends on it",
        file="cluster/placement/oom.py",
        old="if splits and had.micro_batch_size > 1",
        new="if had.micro_batch_size > 1",
        caught_by="tests/unit/cluster/placement/test_oom.py::test_it_ends_never_shrinks_memory_and_never_changes_the_batch",
    ),
    Mutant(
        name="cap_never_lifted",
        meaning="the cap of one trial holds for the next ones in its process",
        file=_CAP,
        old="            resource.setrlimit(resource.RLIMIT_DATA, self._before)\n",
        new="            pass\n",
        caught_by=f"{_CAP_TESTS}::test_the_limit_is_the_reservation_and_goes_with_the_block",
    ),
    Mutant(
        name="cap_not_set",
        meaning="a trial may take all the memory of the machine, and its neighbours die",
        file=_CAP,
        old="resource.setrlimit(resource.RLIMIT_DATA, self._during)",
        new="pass",
        caught_by=f"{_CAP_TESTS}::test_the_limit_is_the_reservation_and_goes_with_the_block",
    ),
    Mutant(
        name="spent_process_reused",
        meaning="the process that ran out of memory runs the next trial",
        file="trainables/worker/single_worker.py",
        old='"done": ended and not self._why_spent}',
        new='"done": ended}',
        caught_by="tests/unit/sweeps/run/test_memory_retry.py::test_a_process_that_ran_out_of_memory_tells_its_result_and_then_ends",
    ),
    Mutant(
        name="correction_of_the_smallest_peak",
        meaning="the smallest measured peak of a family corrects its estimates",
        file="sweeps/plan/corrections.py",
        old="factors[name] = max(factors.get(name, lowest), min(ratio, highest))",
        new="factors[name] = min(factors.get(name, highest), max(ratio, lowest))",
        caught_by="tests/unit/sweeps/plan/test_corrections.py::test_the_largest_ratio_counts_for_the_whole_family",
    ),
)
