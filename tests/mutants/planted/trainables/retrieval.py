"""Defects of long-context benchmarks: what is asked, what is read once, what counts as found."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_TESTS = "tests/unit/trainables/tasks"
_NIAH = f"{_TESTS}/niah/test_task.py"
_RULER = f"{_TESTS}/ruler/test_samples.py"

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        name="shared_beginning_too_long",
        meaning="prompts that differ in a token are answered as if they did not",
        file="trainables/tasks/retrieval/prefixes.py",
        old="shared = int(differs_T.int().argmax())",
        new="shared = int(differs_T.int().argmax()) + 1",
        caught_by=f"{_TESTS}/retrieval/test_prefixes.py::test_any_prompts_are_answered_as_alone",
    ),
    Mutant(
        name="haystack_read_again",
        meaning="nothing is shared between depths, which costs time and changes no score",
        file="trainables/tasks/retrieval/prefixes.py",
        old="if shared - trunk.num_read >= LEAST_SHARED:",
        new="if shared - trunk.num_read >= LEAST_SHARED * 1000:",
        caught_by=f"{_TESTS}/retrieval/test_prefixes.py::test_a_haystack_is_read_once",
    ),
    Mutant(
        name="fork_shares_its_state",
        meaning="one prompt's needle is read into the next one's haystack",
        file="trainables/tasks/generation.py",
        old="return copy.deepcopy(self, {id(self.model): self.model})",
        new="return self",
        caught_by=f"{_TESTS}/retrieval/test_prefixes.py::test_a_fork_goes_its_own_way",
    ),
    Mutant(
        name="tie_is_a_hit",
        meaning="a model that knows nothing answers everything",
        file="trainables/tasks/niah/task.py",
        old='"exact_match": float(hits_L.prod()),',
        new='"exact_match": float((hits_L > 0).all()),',
        caught_by="tests/contract/test_tasks.py::test_meets_contract[niah]",
    ),
    Mutant(
        name="answer_of_every_item_the_same",
        meaning="a constant can be learnt by heart, as in the published test",
        file="trainables/tasks/niah/task.py",
        old='self._stream(split, "answer", str(length), _percent(depth), str(number))',
        new='self._stream("answer")',
        caught_by=f"{_NIAH}::test_answers_are_random_and_of_each_item_its_own",
    ),
    Mutant(
        name="needle_after_its_depth",
        meaning="a needle stands deeper than its depth says",
        file="trainables/tasks/niah/haystack.py",
        old='depth * total + 1e-9, side="right")) - 1',
        new='depth * total + 1e-9, side="right"))',
        caught_by=f"{_NIAH}::test_no_later_end_of_a_sentence_is_nearer_from_before",
    ),
    Mutant(
        name="replicates_share_their_items",
        meaning="seeds of an untrained model are one item set, counted several times",
        file="trainables/tasks/retrieval/task.py",
        old='return self._seed is not None and self.config.items == "by_seed"',
        new="return False",
        caught_by=f"{_NIAH}::test_each_seed_may_have_items_of_its_own",
    ),
    Mutant(
        name="ruler_draws_one_number_less",
        meaning="RULER's prompts are others than the published ones from the second on",
        file="trainables/tasks/ruler/needles.py",
        old="self.random.sample(range(1), 1)  # which of the keys is asked for",
        new="",
        caught_by=f"{_RULER}::test_prompts_stay_the_same_without_that_tokenizer",
    ),
    Mutant(
        name="ruler_counts_any_answer",
        meaning="one of several answers counts as all of them",
        file="trainables/tasks/ruler/task.py",
        old="for reference in references) / len(references)",
        new="for reference in references) / 1",
        caught_by=f"{_TESTS}/ruler/test_task.py::test_the_score_is_the_share_of_answers_in_the_text",
    ),
    Mutant(
        name="infinitebench_any_number",
        meaning="a key that is said anywhere counts, where the published scorer takes the first number",
        file="trainables/tasks/infinitebench/scorers.py",
        old="return float(found is not None and found[0] == answers[0])",
        new="return float(answers[0] in text)",
        caught_by=f"{_TESTS}/infinitebench/test_task.py::test_scorers_say_what_the_published_ones_say",
    ),
    Mutant(
        name="harness_limit_of_all_lengths",
        meaning="with a limit only the shortest length is asked",
        file="trainables/tasks/harness/loading.py",
        old="return [place for places in by_length.values() for place in places[:limit]]",
        new="return [place for places in by_length.values() for place in places][:limit]",
        caught_by=f"{_TESTS}/harness/test_task.py::test_a_reader_is_right_and_every_answer_is_kept",
    ),
)
