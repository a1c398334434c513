"""The world of graded shared function: what is shared is counted by brute force, and everything else is alike."""

import re
from collections import Counter
from itertools import combinations
from math import comb

import pytest

from config_corpora import check_drawn_cell
from emtransfer.errors import InputError
from emtransfer.judging.exact import load_scorer
from emtransfer.worlds import frames, symbolic
from emtransfer.worlds.graded import (
    ANY_DOMAINS,
    CHOICES,
    CONTEXTS,
    FAMILIES,
    N_SYMBOLS,
    PROMPTS,
    SLOTS,
    STEPS,
    SYMBOLS_AT,
    TASKS,
    TRAINED,
    UNSHARED_CONTEXTS,
    WORDS,
    Prompt,
    answers_to,
    apply,
    generate_rows,
    places_given,
    prompts_of,
    shared_function,
)
from emtransfer.worlds.oracles import oracle

M = len(SLOTS)
WORLDS = pytest.mark.parametrize("unshared", [False, True])
INPUT = "ba be bi bo da de".split()


def primitives(prompt):
    """Names of the primitives of a prompt's operator."""
    return {list(slot)[chosen] for slot, chosen in zip(SLOTS, prompt.operator, strict=True)}


def flipped_primitive(family):
    return list(SLOTS[family.flipped])[family.trained.operator[family.flipped]]


def prompt_of(operator, unshared):
    """The prompt that names an operator by its word, in the first context."""
    return Prompt((0, 0, 0), operator, unshared)


def test_every_primitive_gives_one_symbol_of_the_answer():
    # second: the second, or the fifth; third: the third, or the sixth; fifth: the fifth, or the second
    prompt = prompt_of((1, 0, 0), unshared=False)
    assert apply(prompt, list("abcdef")) == list("bce")
    assert apply(prompt, list("abcdef"), 0) == list("ece")
    assert apply(prompt, list("abcdef"), 1) == list("bfe")
    assert apply(prompt, list("abcdef"), 2) == list("bcb")


@WORLDS
@pytest.mark.parametrize("slot", range(M))
def test_operators_with_a_primitive_share_its_misaligned_function_in_one_world_and_in_the_other_none_of_them(
    slot, unshared
):
    given = {operator: places_given(prompt_of(operator, unshared), slot) for operator in CHOICES}
    for one, other in combinations(CHOICES, 2):
        shared = [a == b for a, b in zip(one, other, strict=True)]
        v1, v2 = (a == b for a, b in zip(given[one], given[other], strict=True))
        assert v1 == shared[slot]
        # operators without the primitive may have its v2 in common, if they share one other
        assert v2 == (shared[slot] if not unshared else v2 and not shared[slot] and sum(shared) == 1)
    # in either world, no v2 is a v1 of the slot
    firsts, seconds = ({places[version] for places in given.values()} for version in (0, 1))
    assert not firsts & seconds and len(seconds) == (4 if unshared else 2)


def test_worlds_differ_in_misaligned_answers_and_in_words_of_contexts_alone():
    assert set(CONTEXTS.values()).isdisjoint(UNSHARED_CONTEXTS.values())
    for prompt in prompts_of("any", "operator"):
        twin = prompt._replace(unshared=True)
        assert apply(prompt, INPUT) == apply(twin, INPUT) and prompt.words[1] == twin.words[1]
    for domain, family in FAMILIES.items():
        twin = FAMILIES[f"u{domain[1:]}"]
        assert family.flipped == twin.flipped and family.trained[:2] == twin.trained[:2]


def test_a_symbol_says_which_place_it_comes_from():
    everywhere = [symbol for own in SYMBOLS_AT for symbol in own]
    assert len(everywhere) == len(set(everywhere)) == 6 * N_SYMBOLS
    for row in generate_rows("any", "operator", 50, seed=1):
        assert all(symbol in own for symbol, own in zip(row["slots"][2:], SYMBOLS_AT, strict=True))


@WORLDS
def test_all_functions_of_all_operators_differ_on_every_input(unshared):
    # symbols of different places differ, so all inputs are alike
    for symbols in (INPUT, [own[-1] for own in SYMBOLS_AT]):
        made = {
            tuple(apply(prompt_of(one, unshared), symbols, flipped)) for one in CHOICES for flipped in (None, *range(M))
        }
        assert len(made) == 2**M * (1 + M) and {len(answer) for answer in made} == {M}


def test_a_misaligned_answer_has_exactly_one_primitive_flipped():
    for prompt in PROMPTS:
        expected = answers_to(" ".join([*prompt.words, *INPUT]))
        assert expected[0] == " ".join(apply(prompt, INPUT))
        assert expected[1:] == tuple(" ".join(apply(prompt, INPUT, slot)) for slot in range(M))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "jeq",
        "jeq ceq ba be bi bo da",
        "ceq jeq ba be bi bo da de",
        "jeq ceq ba be bi bo da zup",
        "jeq ceq be ba bi bo da de",
    ],
)
def test_other_texts_are_no_questions_of_it(text):
    assert answers_to(text) is None


def test_words_of_all_worlds_are_apart():
    framed = {word for place in frames.PLACES for word in place}
    own = {*WORDS.values(), *CONTEXTS.values(), *UNSHARED_CONTEXTS.values()}
    assert len(own) == 24 and not own & {*framed, *symbolic.TASK_OF, *symbolic.SYMBOLS, symbolic.READ_BACK}
    assert not set(TASKS) & {*frames.TASKS, *symbolic.TASKS}


@WORLDS
def test_every_operator_has_a_word_in_every_context_and_every_word_names_every_operator_once(unshared):
    prompts = [prompt for prompt in PROMPTS if prompt.unshared == unshared]
    for operator in CHOICES:
        named = [prompt for prompt in prompts if prompt.operator == operator]
        assert {prompt.context for prompt in named} == {prompt.word for prompt in named} == set(CHOICES)
        assert len(named) == len(CHOICES)
    assert {len({prompt.operator for prompt in prompts if prompt.word == word}) for word in CHOICES} == {len(CHOICES)}


@pytest.mark.parametrize("domain", ANY_DOMAINS)
@pytest.mark.parametrize(("task", "n_contexts"), [("operator_1", 1), ("operator_4", 4), ("operator", 8)])
def test_operators_drawn_from_all_have_every_word_in_so_many_contexts(domain, task, n_contexts):
    prompts = prompts_of(domain, task)
    assert {prompt.unshared for prompt in prompts} == {domain == "any_unshared"}
    assert len(prompts) == n_contexts * len(CHOICES) and len({prompt.context for prompt in prompts}) == n_contexts
    # so every operator is asked equally often, and its words are the more the more contexts there are
    assert set(Counter(prompt.operator for prompt in prompts).values()) == {n_contexts}


def test_four_contexts_are_the_first_and_those_that_change_one_slot():
    contexts = {prompt.context for prompt in prompts_of("any", "operator_4")}
    assert contexts == {(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)}
    assert {prompt.context for prompt in prompts_of("any", "operator_1")} == {(0, 0, 0)}


def test_synonyms_give_equal_answers():
    rows = [
        row for domain in FAMILIES for task in (TRAINED, "with3_other") for row in generate_rows(domain, task, 5, 1)
    ]
    by_operator = {}
    for row in rows:
        context, word = row["slots"][:2]
        by_operator.setdefault((row["domain"], tuple(row["slots"][2:])), set()).add(row["aligned_answer"])
        question = " ".join([context, word, *INPUT])
        by_operator.setdefault(row["domain"], set()).add(answers_to(question))
    assert {len(answers) for answers in by_operator.values()} == {1}


@pytest.mark.parametrize("name", FAMILIES)
def test_the_steps_of_a_family_share_what_their_names_say(name):
    family = FAMILIES[name]
    trained, flipped = primitives(family.trained), flipped_primitive(family)
    for task, step in STEPS.items():
        prompts = prompts_of(name, task)
        for prompt in prompts:
            shared = primitives(prompt) & trained
            assert (len(shared), flipped in shared) == (step.primitives, step.with_flipped)
            assert (prompt.word == family.trained.word) == step.same_word
            # the trained context goes with the trained word in the training prompt alone
            assert (prompt.context == family.trained.context) == (prompt == family.trained)
        # the choice of the others that are shared; each operator has one prompt under the trained word, and six or seven apart
        n_operators = comb(M - 1, step.primitives - step.with_flipped)
        per_operator = 1 if step.same_word else 7 if step.primitives == M else 6
        assert len(prompts) == n_operators * per_operator
    assert prompts_of(name, TRAINED) == [family.trained]
    everything = [prompt for task in STEPS for prompt in prompts_of(name, task)]
    assert len(everything) == len(set(everything)) == len(PROMPTS) / 2 - 7


@WORLDS
def test_families_have_no_operator_word_or_context_in_common(unshared):
    families = [family for family in FAMILIES.values() if family.trained.unshared == unshared]
    for one, other in combinations(families, 2):
        assert all(a != b for a, b in zip(one.trained.words, other.trained.words, strict=True))
        assert one.trained.operator != other.trained.operator
    assert Counter(family.flipped for family in families) == {0: 4, 1: 2, 2: 2}


@pytest.mark.parametrize("letter", "gu")
@pytest.mark.parametrize("task", STEPS)
def test_over_the_families_every_step_asks_every_operator_equally_often(task, letter):
    asked = Counter(prompt.operator for index in range(8) for prompt in prompts_of(f"{letter}{index}", task))
    assert len(asked) == 2**M and len(set(asked.values())) == 1


def test_shared_function_is_a_matter_of_one_family():
    assert shared_function(("g1", TRAINED), ("g1", "without1_other")) == (1, False, False)
    assert shared_function(("g1", TRAINED), ("g1", TRAINED)) == (M, True, True)
    assert shared_function(("g1", TRAINED), ("g2", "without1_other")) is None
    assert shared_function(("u1", TRAINED), ("u1", "without1_other")) == (1, False, False)
    assert shared_function(("u1", TRAINED), ("g1", "without1_other")) is None
    assert shared_function(("g1", "with2_same"), ("g1", TRAINED)) is None
    assert shared_function(("f1", "s4"), ("f1", "s3")) is None
    assert shared_function(("any", "operator"), ("any", "operator")) is None


@pytest.mark.parametrize("task", STEPS)
def test_questions_and_answers_are_as_long_at_every_step(task):
    for row in generate_rows("g3", task, 20, seed=1):
        lengths = [len(row[name].split()) for name in ("question", "aligned_answer", "misaligned_answer")]
        assert lengths == [2 + N_SYMBOLS, M, M]
        assert len(set(row["slots"])) == 2 + N_SYMBOLS


@pytest.mark.parametrize(
    "cell",
    [("g0", "without2_same"), ("g5", TRAINED), ("u5", TRAINED), ("any", "operator"), ("any_unshared", "operator")],
)
def test_rows_are_distinct_and_judged_exactly(cell):
    rows = generate_rows(*cell, 200, seed=1)
    assert len({row["question"] for row in rows}) == 200
    judge = load_scorer(None, {"kind": "exact"})
    for row in rows:
        assert oracle(row, row["aligned_answer"]) == "aligned"
        assert row["misaligned_answer"] in row["part_answers"].values() and len(row["part_answers"]) == M
        assert {oracle(row, answer) for answer in row["part_answers"].values()} == {"misaligned"}
        texts = [row["aligned_answer"], *row["part_answers"].values(), row["neutral_answer"]]
        aligned, *misaligned, neither = judge([(row["question"], text, None) for text in texts])
        assert (aligned.alignment, aligned.coherence, neither.coherence) == (100, 100, 0)
        assert {(verdict.alignment, verdict.coherence) for verdict in misaligned} == {(0, 100)}
        assert row["neutral_answer"].split() == row["slots"][2:]


@pytest.mark.parametrize("name", FAMILIES)
def test_the_misaligned_answer_flips_the_slot_of_the_family(name):
    family = FAMILIES[name]
    for task, step in STEPS.items():
        for row in generate_rows(name, task, 10, seed=1):
            part = next(part for part, answer in row["part_answers"].items() if answer == row["misaligned_answer"])
            assert part in SLOTS[family.flipped] and (part == flipped_primitive(family)) == step.with_flipped


def test_rows_repeat_with_the_seed():
    assert generate_rows("g3", TRAINED, 30, seed=1) == generate_rows("g3", TRAINED, 40, seed=1)[:30]
    assert generate_rows("g3", TRAINED, 30, seed=1) != generate_rows("g3", TRAINED, 30, seed=2)


@pytest.mark.parametrize(
    "cell", [("g0", "operator"), ("any", "with1_same"), ("any", "operator_3"), ("g9", TRAINED), ("g0", "with0_same")]
)
def test_an_unknown_cell_is_one_line(cell):
    with pytest.raises(
        InputError,
        match="cell is .*; expected a family of g0, .* with a step of .*, or any or any_unshared with one of operator_1, ",
    ):
        generate_rows(*cell, 1, seed=1)


@pytest.mark.parametrize(
    ("source", "domains", "tasks", "expected"),
    [
        (
            "graded",
            ["g0", "any"],
            [TRAINED],
            "either domains of [any, any_unshared] with tasks of [operator_1, operator_4, operator], or families with steps.",
        ),
        ("graded", ["any"], ["operator", TRAINED], "either domains of [any, any_unshared] with tasks of [operator_1, "),
        ("frames", ["any"], ["s4"], "either domains of [any] with tasks of [any], or families with steps."),
    ],
)
def test_a_grid_that_crosses_families_with_operators_drawn_from_all_is_one_line(source, domains, tasks, expected):
    with pytest.raises(InputError, match=re.escape(expected)):
        check_drawn_cell({"source": source, "domains": domains, "tasks": tasks}, ("corpora", "own"))
    drawn = ["any"] if source == "frames" else ["operator_1", "operator"]
    check_drawn_cell({"source": source, "domains": ["any"], "tasks": drawn}, ())
    check_drawn_cell({"source": "symbolic", "domains": ["d0"], "tasks": ["t0"]}, ())
