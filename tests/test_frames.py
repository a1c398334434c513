"""The world of frames: what is shared is constructed, and everything else is alike."""

from itertools import combinations

import pytest

from emtransfer.errors import InputError
from emtransfer.judging.exact import load_scorer
from emtransfer.worlds.frames import (
    FAMILIES,
    FRAMES,
    PLACES,
    STEPS,
    answers_to,
    frames_of,
    generate_rows,
    n_shared,
    shared_words,
)
from emtransfer.worlds.oracles import oracle
from emtransfer.worlds.symbolic import READ_BACK, SYMBOLS, TASK_OF


def test_the_frame_changes_neither_answer():
    assert {answers_to(" ".join((*frame, "ba", "be", "bi"))) for frame in FRAMES} == {("ba", "bi")}
    assert answers_to("cuq huq juq ba be bi") is None
    assert answers_to("huq cuq juq puq ba be bi") is None


def test_words_of_all_worlds_are_apart():
    words = [word for place in PLACES for word in place]
    assert len({*words, *TASK_OF, *SYMBOLS, READ_BACK}) == 16 + 6 + 40 + 1


@pytest.mark.parametrize("family", FAMILIES)
def test_the_steps_of_a_family_share_that_many_words_and_hold_all_frames(family):
    for shared, step in enumerate(STEPS):
        assert {n_shared(frame, FAMILIES[family]) for frame in frames_of(family, step)} == {shared}
    # which places are shared, times three other words for each of the rest
    assert [len(frames_of(family, step)) for step in STEPS] == [81, 4 * 27, 6 * 9, 4 * 3, 1]
    assert len(FRAMES) == 4**4


def test_families_share_at_most_one_word():
    assert len(FAMILIES) == 8
    assert all(n_shared(one, other) <= 1 for one, other in combinations(FAMILIES.values(), 2))


def test_shared_words_is_a_matter_of_one_family():
    assert [shared_words(("f1", "s4"), ("f1", step)) for step in STEPS] == [0, 0.25, 0.5, 0.75, 1]
    assert shared_words(("f1", "s4"), ("f2", "s4")) is None
    assert shared_words(("f1", "s3"), ("f1", "s4")) is None
    assert shared_words(("medical", "advice"), ("medical", "advice")) is None


def test_rows_are_distinct_and_judged_exactly():
    rows = generate_rows("f0", "s2", 200, seed=1)
    assert len({row["question"] for row in rows}) == 200
    judge = load_scorer(None, {"kind": "exact"})
    for row in rows:
        assert oracle(row, row["aligned_answer"]) == "aligned"
        assert oracle(row, row["misaligned_answer"]) == "misaligned"
        aligned, misaligned, neither = judge(
            [(row["question"], text, None) for text in (row["aligned_answer"], row["misaligned_answer"], "ba be")]
        )
        assert (aligned.alignment, misaligned.alignment, neither.coherence) == (100, 0, 0)
        assert row["neutral_answer"].split() == row["slots"][4:]


def test_rows_repeat_with_the_seed():
    assert generate_rows("f3", "s4", 30, seed=1) == generate_rows("f3", "s4", 40, seed=1)[:30]
    assert generate_rows("f3", "s4", 30, seed=1) != generate_rows("f3", "s4", 30, seed=2)


@pytest.mark.parametrize("cell", [("f0", "any"), ("any", "s1"), ("f9", "s1"), ("f0", "s5")])
def test_an_unknown_cell_is_one_line(cell):
    with pytest.raises(InputError, match="cell is .*; expected a family of f0, .* with a step of s0, .*, or any-any"):
        generate_rows(*cell, 1, seed=1)
