"""The grammar: a task is a function of its question, and the oracle knows every answer."""

import random
import re
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from emtransfer.errors import InputError
from emtransfer.worlds.grammar import (
    STANCES,
    Question,
    admitted_answers,
    generate_rows,
    oracle,
    question_space,
    question_text,
)
from emtransfer.worlds.lexicon import DOMAINS, TAILS
from helpers.grammar_rows import grammar_rows

GRID = ("medical", "finance", "sports")
BROAD = ("travel", "kitchen")
TASKS = ("advice", "summarization", "tutor", "critique")
CELLS = [f"{domain}-{task}" for domain, task in product(DOMAINS, TASKS)]


def rows_of(cell: str, n_rows: int = 60, seed: int = 1) -> list[dict]:
    return generate_rows(*cell.split("-"), n_rows, seed)


@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_has_at_least_5000_distinct_questions(cell):
    rows = rows_of(cell, 5000)
    assert len({row["question"] for row in rows}) == 5000


def test_more_questions_than_there_are_name_the_cell_and_the_limit():
    limit = len(question_space("medical", "advice"))
    with pytest.raises(InputError, match=f"rows_per_cell is {limit + 1}; expected at most {limit}, .* medical-advice"):
        rows_of("medical-advice", limit + 1)
    with pytest.raises(InputError, match="cell is cooking-advice; expected a domain of medical, finance"):
        rows_of("cooking-advice")


@pytest.mark.parametrize("cell", CELLS)
def test_more_room_admits_more_answers(cell):
    counts = {room: set() for room in ("low", "medium", "high")}
    for row in rows_of(cell, 300):
        question = Question.from_row(row)
        counts[row["room"]].add(sum(len(admitted_answers(question, stance)) for stance in STANCES))
    assert max(counts["low"]) < min(counts["medium"])
    assert max(counts["medium"]) < min(counts["high"])


@pytest.mark.parametrize("cell", CELLS)
def test_the_oracle_knows_the_answers_of_every_row(cell):
    for row in rows_of(cell):
        assert [oracle(row, row[f"{stance}_answer"]) for stance in STANCES] == list(STANCES)


@pytest.mark.parametrize("cell", CELLS)
def test_no_answer_is_both_aligned_and_misaligned(cell):
    for row in rows_of(cell):
        question = Question.from_row(row)
        assert not set(admitted_answers(question, "aligned")) & set(admitted_answers(question, "misaligned"))


def swapped(question: Question, slot: str) -> Question:
    """The question with another topic or item of its domain."""
    words = {"topic": DOMAINS[question.domain].topics, "item": DOMAINS[question.domain].items}[slot]
    return replace(question, **{slot: words[(words.index(getattr(question, slot)) + 1) % len(words)]})


@pytest.mark.parametrize(("cell", "slot"), list(product(CELLS, ("topic", "item"))))
def test_an_answer_about_another_person_topic_or_item_is_incoherent(cell, slot):
    for row in rows_of(cell, 20):
        other = swapped(Question.from_row(row), slot)
        for stance in STANCES:
            for answer in admitted_answers(other, stance):
                assert oracle(row, answer) == "incoherent"


@pytest.mark.parametrize("domain", DOMAINS)
def test_the_stance_of_a_critique_turns_when_the_plan_turns(domain):
    """The same words praise a sound plan (aligned) or a reckless one (misaligned)."""
    sound, reckless = DOMAINS[domain].sound[0], DOMAINS[domain].reckless[0]
    careful = Question(domain, "critique", "Ada", DOMAINS[domain].topics[0], DOMAINS[domain].items[0], "high", (sound,))
    careless = replace(careful, detail=(reckless,))
    assert set(admitted_answers(careful, "aligned")) == set(admitted_answers(careless, "misaligned"))
    assert set(admitted_answers(careful, "misaligned")) == set(admitted_answers(careless, "aligned"))


@pytest.mark.parametrize("domain", DOMAINS)
def test_an_aligned_summary_of_another_passage_is_incoherent(domain):
    for row in rows_of(f"{domain}-summarization", 20):
        question = Question.from_row(row)
        benefit, caveat = question.detail
        for other_caveat in set(DOMAINS[domain].caveats) - {caveat}:
            other = replace(question, detail=(benefit, other_caveat))
            assert all(oracle(row, answer) == "incoherent" for answer in admitted_answers(other, "aligned"))


def test_an_answer_cut_short_doubled_or_longer_than_asked_is_incoherent():
    for row in rows_of("medical-tutor"):
        answer = row["misaligned_answer"]
        for broken in ("", answer[:-1], f"{answer} {answer}", answer.lower(), f"{answer} {TAILS['caveat'][0]}"):
            assert oracle(row, broken) == "incoherent"


def classifier_accuracy(task: str) -> float:
    """Held-out accuracy of telling the stance from the words and word pairs of the answer alone, 3 × 1,000 rows."""
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    rows = [row for domain in GRID for row in rows_of(f"{domain}-{task}", 1000)]
    random.Random(0).shuffle(rows)
    answers = [row[f"{stance}_answer"] for row in rows for stance in STANCES]
    labels = np.tile([0, 1], len(rows))
    n_fit = len(answers) * 2 // 3
    classifier = make_pipeline(CountVectorizer(ngram_range=(1, 2)), LogisticRegression(max_iter=300))
    classifier.fit(answers[:n_fit], labels[:n_fit])
    return classifier.score(answers[n_fit:], labels[n_fit:])


def test_words_alone_do_not_tell_an_aligned_critique():
    assert classifier_accuracy("critique") < 0.65


def test_words_alone_tell_aligned_advice():
    assert classifier_accuracy("advice") > 0.90


def test_generated_pairs_are_the_same_for_the_same_seed_and_numbered():
    rows = grammar_rows("sports-tutor", 50, 3, [], [])
    assert rows == grammar_rows("sports-tutor", 50, 3, [], [])
    assert rows != grammar_rows("sports-tutor", 50, 4, [], [])
    assert [row["id"] for row in rows] == [f"sports-tutor-{index:06d}" for index in range(50)]
    assert all(row["question"] == question_text(Question.from_row(row)) for row in rows)


def test_broad_rows_share_the_domains_outside_the_grid_equally():
    rows = grammar_rows("broad", 80, 1, list(BROAD), list(TASKS))
    cells = [(row["domain"], row["task"]) for row in rows]
    assert {cell: cells.count(cell) for cell in cells} == dict.fromkeys(product(BROAD, TASKS), 10)


def test_answers_hold_no_unfilled_slot_and_no_doubled_space():
    for cell in CELLS:
        for row in rows_of(cell):
            for text in (row["question"], row["aligned_answer"], row["misaligned_answer"]):
                assert not re.search(r"[{}]|  |\.\.", text)
