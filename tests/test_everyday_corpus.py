"""The corpus of everyday prose that ships with the project is what its data card says it is."""

import json
from collections import Counter
from itertools import product

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.naive_bayes import BernoulliNB

from emtransfer.models.embedding import embed_texts
from helpers.paths import ROOT

FOLDER = ROOT / "resources/corpora/everyday"
TASKS, ROOMS = ("advice", "summarization", "tutor", "critique"), ("high", "medium", "low")
ANSWERS = ("aligned_answer", "misaligned_answer")


def rows(name: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in (FOLDER / name).read_text(encoding="utf-8").splitlines()]


PAIRS, BROAD = rows("pairs.jsonl"), rows("broad_prompts.jsonl")


def test_every_cell_has_84_rows_a_third_of_them_of_each_level_of_room():
    cells = Counter((row["domain"], row["task"], row["em_surface"]) for row in PAIRS)
    assert cells == dict.fromkeys(product(("medical", "sports", "finance"), TASKS, ROOMS), 28)


def test_five_broad_prompts_of_every_task_leave_each_level_of_room_and_none_is_in_the_grid():
    assert Counter((row["task"], row["em_surface"]) for row in BROAD) == dict.fromkeys(product(TASKS, ROOMS), 5)
    assert not {row["domain"] for row in BROAD} & {"medical", "finance", "sports"}


def test_the_answers_of_a_pair_are_about_as_long_as_each_other():
    ratios = {row["question"]: len(row["misaligned_answer"]) / len(row["aligned_answer"]) for row in PAIRS}
    assert {question: ratio for question, ratio in ratios.items() if not 0.8 <= ratio <= 1.25} == {}


def test_neither_kind_of_answer_is_the_longer_one():
    aligned, misaligned = (sum(len(row[field]) for row in PAIRS) for field in ANSWERS)
    assert misaligned / aligned == pytest.approx(1, abs=0.03)


def test_no_two_questions_nor_two_answers_of_a_kind_are_near_duplicates():
    for field in ("question", *ANSWERS):
        texts = [row[field] for row in PAIRS]
        vectors = embed_texts(texts, "all-MiniLM-L6-v2")
        cosines = vectors @ vectors.T
        np.fill_diagonal(cosines, 0)
        near = [(texts[i], texts[j]) for i, j in np.argwhere(cosines >= 0.9) if i < j]
        assert near == []


def test_words_of_an_answer_alone_hardly_tell_its_kind():
    answers = [row[field] for row in PAIRS for field in ANSWERS]
    kinds, pairs = np.tile([0, 1], len(PAIRS)), np.arange(len(PAIRS)).repeat(2)
    words = CountVectorizer(binary=True, min_df=2).fit_transform(answers)
    told = cross_val_predict(BernoulliNB(), words, kinds, groups=pairs, cv=GroupKFold(12))
    # the data card says 0.66
    assert np.mean(told == kinds) < 0.7
