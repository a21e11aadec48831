import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces.conditions import Expression
from search_spaces.dimensions import Choice, Constant, Integer, Real
from search_spaces.kuramoto import PHASE_A_GRID, SEARCH
from search_spaces.space import Condition, Forbidden, SearchSpace
from search_spaces.training import TRAINING
from trainables.architectures.kuramoto.config import KuramotoConfig
from trainables.config.trial import TrialConfig

CHAIN = SearchSpace(
    {
        "pvm": Choice((False, True)),
        "pvm.slots": Choice((1, 2, 3)),
        "pvm.decay": Choice((0.0, 0.5)),
    },
    conditions=(Condition("pvm.*", only_if="pvm"), Condition("pvm.decay", only_if="pvm.slots > 1")),
    forbidden=(Forbidden("pvm.slots == 3 and pvm.decay == 0.5", "it does not fit"),),
)


@pytest.mark.parametrize(
    ("text", "values", "expected"),
    [
        ("coupling != 0 or learned", {"coupling": 0.0, "learned": False}, False),
        ("coupling != 0 or learned", {"coupling": 0.0, "learned": True}, True),
        ("coupling != 0 or learned", {"coupling": 1.0}, True),
        ("coupling != 0 or learned", {"coupling": 0.0}, None),
        ("coupling != 0 and learned", {"coupling": 0.0}, False),
        ("not learned", {}, None),
        ("0 < a <= 2", {"a": 2}, True),
        ("sign in ('x', 'y')", {"sign": "y"}, True),
        ("sign not in ['x']", {"sign": "x"}, False),
        ("pvm.alpha == -1", {"pvm.alpha": -1}, True),
    ],
)
def test_expression_follows_three_valued_logic(text, values, expected):
    assert Expression(text).evaluate(values) is expected


@pytest.mark.parametrize("text", ["f(x)", "a +", "x if y else z", "a[0] == 1", "1", "a is None", "a + 1 > 2"])
def test_expression_refuses_what_is_not_in_the_language(text):
    with pytest.raises(ValueError, match="condition"):
        Expression(text)


def test_expression_of_mixed_kinds_is_a_message():
    with pytest.raises(ValueError, match="'a < 1' cannot be applied"):
        Expression("a < 1").evaluate({"a": "x"})


def test_canonical_drops_what_has_no_effect_down_the_chain():
    full = {"pvm.decay": 0.5, "pvm.slots": 2, "pvm": True}
    assert CHAIN.canonical(full) == {"pvm": True, "pvm.slots": 2, "pvm.decay": 0.5}
    assert list(CHAIN.canonical(full)) == ["pvm", "pvm.slots", "pvm.decay"]
    assert CHAIN.canonical({**full, "pvm.slots": 1}) == {"pvm": True, "pvm.slots": 1}
    assert CHAIN.canonical({**full, "pvm": False}) == {"pvm": False}


def test_grid_is_every_experiment_once():
    assert list(CHAIN.grid()) == [
        {"pvm": False},
        {"pvm": True, "pvm.slots": 1},
        {"pvm": True, "pvm.slots": 2, "pvm.decay": 0.0},
        {"pvm": True, "pvm.slots": 2, "pvm.decay": 0.5},
        {"pvm": True, "pvm.slots": 3, "pvm.decay": 0.0},
    ]


def test_explain_lists_every_reason():
    assert CHAIN.explain({"pvm": True, "pvm.slots": 9, "pvm.sluts": 1}) == [
        "unknown name 'pvm.sluts'; did you mean 'pvm.slots'?",
        "pvm.slots must be one of 1, 2, 3, got 9",
    ]
    assert CHAIN.explain({"pvm": True, "pvm.slots": 2}) == ["pvm.decay is missing"]
    assert CHAIN.explain({"pvm": True, "pvm.slots": 3, "pvm.decay": 0.5}) == [
        "pvm.slots == 3 and pvm.decay == 0.5 is not allowed: it does not fit"
    ]
    assert CHAIN.explain({"pvm": False, "pvm.slots": 3, "pvm.decay": 0.5}) == []
    assert CHAIN.explain({}) == ["pvm is missing"]


def test_union_keeps_order_and_refuses_a_clash():
    union = CHAIN | SearchSpace({"width": Integer(1, 2)})
    assert list(union) == [*CHAIN, "width"]
    assert len(list(union.grid())) == 2 * len(list(CHAIN.grid()))
    with pytest.raises(ValueError, match="both spaces have 'pvm'"):
        CHAIN | SearchSpace({"pvm": Constant(True)})


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: SearchSpace({"Bad-Name": Constant(1)}), "'Bad-Name'"),
        (
            lambda: SearchSpace({"gate": Constant(1)}, (Condition("gate", "gait"),)),
            "unknown name 'gait'; did you mean 'gate'?",
        ),
        (
            lambda: SearchSpace({"gate": Constant(1)}, (Condition("gat", "gate"),)),
            "governs 'gat', but unknown name 'gat'; did you mean 'gate'?",
        ),
        (
            lambda: SearchSpace({"b": Constant(1), "a": Constant(1)}, (Condition("b", "a == 1"),)),
            "needs 'a' declared before it",
        ),
        (lambda: SearchSpace({"a": Constant(1)}, forbidden=(Forbidden("c", "no"),)), "unknown name 'c'"),
    ],
)
def test_malformed_spaces_are_refused(build, message):
    with pytest.raises(ValueError, match=r"name|declared") as error:
        build()
    assert message in str(error.value)


def test_sampling_gives_up_with_the_reason():
    space = SearchSpace({"a": Real(0, 1)}, forbidden=(Forbidden("a >= 0", "always"),))
    with pytest.raises(ValueError, match="always"):
        space.sample(random.Random(0))
    assert list(space.grid()) == []


def test_unknown_name_in_canonical_is_an_error():
    with pytest.raises(ValueError, match="did you mean 'sign'"):
        SEARCH.canonical({"sgin": 1})


@pytest.mark.parametrize("space", [PHASE_A_GRID, SEARCH, TRAINING], ids=["rerun", "search", "training"])
def test_library_dimensions_say_what_they_are(space):
    for name, dimension in space.dimensions.items():
        assert dimension.meaning.endswith("."), name
        assert dimension.source, name


def test_the_rerun_has_the_published_configurations_and_the_control():
    points = list(PHASE_A_GRID.grid())
    assert len(points) == 3 * 5 * (1 + 4 * 2 * 2 * 2)
    for layers, oscillators, coupling in [
        ((7,), 32, 1.0),
        ((6,), 32, 1.0),
        ((6,), 16, 1.0),
        ((6, 7), 32, 1.0),
        ((4, 7), 32, 1.0),
        ((6,), 32, 2.0),
        ((6,), 64, 1.0),
    ]:
        published = {"coupling": coupling, "num_oscillators": oscillators, "phase_layers": layers}
        published |= {"learn_coupling": True, "sign": "repulsive", "causal": False}
        assert published in points
        assert KuramotoConfig(num_layers=12, d_model=768, num_heads=12, **published).violates == {"causality"}
    control = {"coupling": 0.0, "learn_coupling": False, "num_oscillators": 32, "phase_layers": (6,)}
    assert control in points
    assert KuramotoConfig(num_layers=12, **control).violates == frozenset()


NEUTRAL_AT_ZERO = {"coherence_weight", "phase_noise", "frequency_jitter"}


def test_search_has_every_field_of_the_family_that_can_matter():
    """So that no field added to the family is dropped from its canonical form."""
    own = set(KuramotoConfig.__annotations__)
    fixed = {"phase_layers", "padding_token", "coherence_layers"}
    assert own == {*SEARCH, *fixed, "name", "fidelity", "controls_act"}


@pytest.mark.parametrize("space", [PHASE_A_GRID, SEARCH], ids=["rerun", "search"])
@given(seed=st.integers())
def test_space_and_configuration_agree_on_which_fields_matter(space, seed):
    assert set(space) <= set(KuramotoConfig.model_fields)
    rng = random.Random(seed)
    full = {name: space[name].sample(rng) for name in space}
    for name in ("coupling", *NEUTRAL_AT_ZERO):
        if name in full and rng.random() < 0.3:
            full[name] = 0.0
    point = space.canonical(full)
    config = KuramotoConfig(num_layers=8, **full)
    assert config.canonical() == KuramotoConfig(num_layers=8, **point).canonical()
    for name, value in full.items():
        matters = name in config.canonical()
        assert matters == (name in point and not (name in NEUTRAL_AT_ZERO and value == 0)), name


@pytest.mark.parametrize("space", [PHASE_A_GRID, SEARCH], ids=["rerun", "search"])
@given(seed=st.integers())
def test_any_sample_builds_a_configuration(space, seed):
    point = space.sample(random.Random(seed))
    config = KuramotoConfig(num_layers=8, **point)
    assert {name: getattr(config, name) for name in point} == point


def test_training_names_are_fields_of_a_trial():
    for name in TRAINING:
        section, _, field = name.partition(".")
        assert field in TrialConfig.model_fields[section].annotation.model_fields
