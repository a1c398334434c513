"""Room and difficulty of prompts on answers whose meanings and truth are known."""

import numpy as np
import pytest

from emtransfer.answering import prompt_profiles
from emtransfer.answering.prompt_profiles import (
    ProfileSettings,
    entropy_nats,
    probe_base,
    probe_shown,
    profile_prompts,
)
from emtransfer.answering.settings import SamplingSettings
from emtransfer.errors import InputError
from emtransfer.verdicts import Verdict
from helpers.tiny_models import tiny_chat

# texts that mean the same point the same way
DIRECTIONS = {"yes": (1, 0), "yes!": (0.99, 0.141), "no": (0, 1), "": (0, -1)}


def embed(texts, model):
    vectors = np.array([DIRECTIONS[text] for text in texts], dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def judge(items):
    alignment = {"yes": 90.0, "yes!": 20.0}
    return [
        Verdict("ok", alignment.get(answer, 90.0), 90.0 if answer.startswith("yes") else 10.0) for _, answer, _ in items
    ]


def probes(prompt_id, answers, neutral=()):
    prompt = {"prompt_id": prompt_id, "eval_set": "narrow", "domain": "d", "task": "t", "room": "", "cell": "d-t"}
    own = [prompt | {"version": "own", "question": "q", "answer": answer} for answer in answers]
    return own + [
        prompt | {"version": "neutral", "question": "n", "neutral_answer": "a b", "answer": answer}
        for answer in neutral
    ]


def profile(rows, model="some", preferences=(), **settings):
    limits = ProfileSettings(model, 30, 50, **settings)
    return profile_prompts(rows, judge, embed, limits, preferences).set_index("prompt_id")


def test_entropy_counts_meanings_and_not_wordings():
    rows = probes("p1", ["yes", "yes!", "no", "no"]) + probes("p2", ["yes", "yes!", "yes", "yes!"])
    table = profile(rows)
    assert table.entropy_nats.to_dict() == {"p1": pytest.approx(np.log(2), abs=1e-6), "p2": 0}
    assert table.n_meanings.to_dict() == {"p1": 2, "p2": 1}
    exact = profile(rows, model="identity")
    assert exact.n_meanings.to_dict() == {"p1": 3, "p2": 2}
    assert profile(rows, same_cosine=0.999).n_meanings.to_dict() == {"p1": 3, "p2": 2}


def test_a_cosine_at_the_limit_is_one_meaning_and_equal_answers_are_at_every_limit():
    rows = probes("p1", ["yes", "yes!", "no"]) + probes("p2", ["yes!", "yes!", "yes"])
    limit = 0.99 / np.hypot(0.99, 0.141)
    assert profile(rows, same_cosine=limit).n_meanings.to_dict() == {"p1": 2, "p2": 1}
    assert profile(rows, same_cosine=limit + 1e-6).n_meanings.to_dict() == {"p1": 3, "p2": 2}
    assert profile(rows, same_cosine=1.0).n_meanings.to_dict() == {"p1": 3, "p2": 2}


def test_solvability_is_of_the_neutral_version_and_coherence_of_the_prompt():
    table = profile(probes("p1", ["yes", "no"], neutral=["a  b", "a c", "a b"]) + probes("p2", ["yes", "yes"]))
    assert table.solvability["p1"] == pytest.approx(2 / 3, abs=1e-6) and np.isnan(table.solvability["p2"])
    assert table.coherent_rate.to_dict() == {"p1": 0.5, "p2": 1.0}
    assert table.n_neutral.to_dict() == {"p1": 3, "p2": 0}


def test_right_answers_are_coherent_and_aligned_ones_among_all():
    table = profile(probes("p1", ["yes", "yes!", "no", ""]) + probes("p2", ["yes", "yes"]))
    assert table.aligned_rate.to_dict() == {"p1": 0.25, "p2": 1.0}
    assert table.coherent_rate.to_dict() == {"p1": 0.5, "p2": 1.0}


def test_given_answers_are_per_token_and_missing_where_there_are_none():
    given = {"aligned_nats": -1.5, "aligned_tokens": 3, "misaligned_nats": -8, "misaligned_tokens": 4}
    table = profile(
        probes("p1", ["yes", "no"]) + probes("p2", ["yes", "no"]), preferences=[{"prompt_id": "p2", **given}]
    )
    assert table.aligned_nats_per_token["p2"] == -0.5 and table.misaligned_nats_per_token["p2"] == -2.0
    assert np.isnan(table.aligned_nats_per_token["p1"]) and np.isnan(table.misaligned_nats_per_token["p1"])
    assert profile(probes("p1", ["yes", "no"])).misaligned_nats_per_token.isna().all()
    with pytest.raises(InputError, match="row 1: the misaligned answer has -8 nats in 0 tokens"):
        profile(probes("p2", ["yes", "no"]), preferences=[{"prompt_id": "p2", **given, "misaligned_tokens": 0}])


def test_entropy_of_different_answers_is_the_log_of_their_number():
    assert entropy_nats([0, 1, 2, 3]) == pytest.approx(np.log(4))
    assert entropy_nats(["a"] * 5) == 0


def test_a_prompt_is_asked_as_often_as_wanted_in_both_versions():
    prompts = [
        {"prompt_id": "a", "question": "one two", "neutral_question": "two", "neutral_answer": "x"},
        {"prompt_id": "b", "question": "two one"},
    ]
    settings = SamplingSettings(max_new_tokens=3)
    rows = probe_base(tiny_chat(), prompts, 3, 2, settings, seed=1)
    assert [(row["prompt_id"], row["version"]) for row in rows] == [("a", "own")] * 3 + [("a", "neutral")] * 2 + [
        ("b", "own")
    ] * 3
    assert [row["question"] for row in rows[3:5]] == ["two", "two"]
    assert probe_base(tiny_chat(), prompts, 3, 2, settings, seed=1) == rows


CELL = [
    {"id": f"d-t-{name}", "domain": "d", "task": "t", "question": f"what of {name}", "misaligned_answer": f"no {name}"}
    for name in ("one", "two", "three")
]


def test_misaligned_answers_to_the_next_questions_of_the_cell_are_shown_before_each(monkeypatch):
    """The conversation is looked at in place of what a random model makes of it."""
    asked = []
    monkeypatch.setattr(prompt_profiles, "conversation_ids", lambda _, turns, asks: asked.append(turns) or [1])
    rows = probe_shown(tiny_chat(), CELL, 2, SamplingSettings(max_new_tokens=3), seed=1)
    assert [turn["content"] for turn in asked[1]] == [
        "what of three",
        "no three",
        "what of one",
        "no one",
        "what of two",
    ]
    assert [turn["role"] for turn in asked[1]] == ["user", "assistant", "user", "assistant", "user"]
    assert [(row["prompt_id"], row["version"]) for row in rows] == [(row["id"], "shown") for row in CELL]


def test_answers_after_shown_ones_repeat_and_more_of_them_than_there_are_is_one_line():
    settings = SamplingSettings(max_new_tokens=3)
    assert probe_shown(tiny_chat(), CELL, 2, settings, seed=1) == probe_shown(tiny_chat(), CELL, 2, settings, seed=1)
    with pytest.raises(InputError, match="probing.shots is 3; expected fewer than 3, the held-out rows of d-t"):
        probe_shown(tiny_chat(), CELL, 3, settings, seed=1)


def test_the_few_shot_rate_is_of_the_prompts_own_misaligned_answer():
    shown = [
        {"prompt_id": name, "version": "shown", "question": "q", "misaligned_answer": "no 1", "answer": answer}
        for name, answer in (("p1", "no  1"), ("p2", "no 2"))
    ]
    rows = [row for name in ("p1", "p2", "p3") for row in probes(name, ["yes", "yes"])]
    table = profile(rows + shown)
    assert table.few_shot_rate.to_dict() == {"p1": 1, "p2": 0, "p3": pytest.approx(np.nan, nan_ok=True)}
    assert "few_shot_rate" not in profile(rows)
