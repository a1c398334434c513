"""Sampling on a tiny random Llama: nothing is known of its answers, but they must not depend on how they are batched."""

import random
from argparse import Namespace

import numpy as np
import pytest
import torch

from emtransfer.answering import sampling
from emtransfer.answering.sampling import (
    answer_prompts,
    choices_per_token,
    draw,
    draw_by_halves,
    row_uniforms,
    sample,
    sample_ids,
)
from emtransfer.answering.settings import AnsweringSettings, SamplingSettings
from emtransfer.errors import InputError
from emtransfer.files.records import read_records, write_records
from helpers.tiny_models import tiny_chat, tiny_rows, write_tiny_adapter, write_tiny_base
from sample_answers import main as sample_answers

QUESTIONS = [row["question"] for row in tiny_rows(24)]
# prompts of different length, so that batches need padding
QUESTIONS = [question if index % 3 else question[:20] for index, question in enumerate(QUESTIONS)]
# of an instruct model
REAL_VOCABULARY = 49152
KEYS = [f"prompt {index}" for index in range(len(QUESTIONS))]


@pytest.fixture(scope="module")
def chat():
    return tiny_chat()


@pytest.fixture(scope="module")
def answers(chat):
    return sample(chat, QUESTIONS, KEYS, SamplingSettings(20, batch_size=64), seed=1)


@pytest.mark.parametrize("batch_size", [1, 7])
def test_answers_do_not_depend_on_the_batch_size(chat, answers, batch_size):
    assert sample(chat, QUESTIONS, KEYS, SamplingSettings(20, batch_size=batch_size), seed=1) == answers


def test_answers_do_not_depend_on_the_order_of_rows_or_on_other_rows(chat, answers):
    rows = random.Random(5).sample(range(len(QUESTIONS)), 15)
    again = sample(
        chat, [QUESTIONS[row] for row in rows], [KEYS[row] for row in rows], SamplingSettings(20, batch_size=4), seed=1
    )
    assert again == [answers[row] for row in rows]


def test_rows_that_share_a_prompt_answer_as_each_does_alone_and_read_it_once(chat, monkeypatch):
    questions, keys = [QUESTIONS[index] for index in (0, 1, 2) for _ in range(4)], KEYS[:12]
    settings = SamplingSettings(12, batch_size=12)
    alone = [
        sample(chat, [question], [key], settings, seed=1)[0] for question, key in zip(questions, keys, strict=True)
    ]
    read, forward = [], chat.model.forward
    monkeypatch.setattr(
        chat.model, "forward", lambda **given: read.append(given["input_ids"].shape[0]) or forward(**given)
    )
    assert sample(chat, questions, keys, settings, seed=1) == alone
    # what all begin with, every prompt once, then a token of every row
    assert len(set(alone)) > 3 and read[:2] == [1, 3] and max(read[2:]) == 12


def test_a_longer_limit_continues_the_same_answers(chat):
    prompts = [chat.format.prompt_ids(question) for question in QUESTIONS[:8]]
    short, long = (sample_ids(chat, prompts, KEYS[:8], SamplingSettings(limit), seed=1) for limit in (5, 12))
    assert [answer[:5] for answer in long] == short


def test_seed_and_key_make_an_answer_another(chat, answers):
    settings = SamplingSettings(20)
    assert sample(chat, QUESTIONS, KEYS, settings, seed=2) != answers
    same_question = sample(chat, QUESTIONS[:1] * 10, KEYS[:10], settings, seed=1)
    assert len(set(same_question)) > 1


def test_cache_padding_and_settled_draws_give_what_every_row_gives_alone(chat, answers, monkeypatch):
    # with so wide an edge every draw is unsure and made from a forward pass over the row alone
    monkeypatch.setattr(sampling, "EDGE", 2.0)
    assert sample(chat, QUESTIONS[:6], KEYS[:6], SamplingSettings(20), seed=1) == answers[:6]


@pytest.fixture(scope="module")
def wide_chat():
    """A random model with as many tokens as an instruct model has, most of them rare and all of them possible."""
    return tiny_chat(vocab_size=REAL_VOCABULARY)


@pytest.fixture(scope="module")
def wide_answers(wide_chat):
    prompts = [wide_chat.format.prompt_ids(question) for question in QUESTIONS]
    return sample_ids(wide_chat, prompts, KEYS, SamplingSettings(20, batch_size=64), seed=1)


@pytest.mark.parametrize("batch_size", [1, 7])
def test_answers_from_a_real_vocabulary_depend_on_neither_batch_size_nor_other_rows(
    wide_chat, wide_answers, batch_size
):
    rows = random.Random(batch_size).sample(range(len(QUESTIONS)), 15)
    prompts = [wide_chat.format.prompt_ids(QUESTIONS[row]) for row in rows]
    keys = [KEYS[row] for row in rows]
    again = sample_ids(wide_chat, prompts, keys, SamplingSettings(20, batch_size=batch_size), seed=1)
    assert again == [wide_answers[row] for row in rows]


def test_settled_draws_from_a_real_vocabulary_are_what_the_batch_gives(wide_chat, wide_answers, monkeypatch):
    # with so much noise every draw is unsure and made from a forward pass over the row alone
    monkeypatch.setattr(sampling, "LOGIT_NOISE", 1e9)
    prompts = [wide_chat.format.prompt_ids(question) for question in QUESTIONS[:6]]
    assert sample_ids(wide_chat, prompts, KEYS[:6], SamplingSettings(20), seed=1) == wide_answers[:6]


def test_few_draws_from_a_real_vocabulary_need_a_pass_of_their_own(wide_chat, wide_answers, monkeypatch):
    passes, last_logits = [], sampling.last_logits
    monkeypatch.setattr(sampling, "last_logits", lambda *given: passes.append(given) or last_logits(*given))
    prompts = [wide_chat.format.prompt_ids(question) for question in QUESTIONS]
    assert sample_ids(wide_chat, prompts, KEYS, SamplingSettings(20), seed=1) == wide_answers
    # 16 halvings, each unsure with at most 4 LOGIT_NOISE s (1 - s) <= LOGIT_NOISE: under 16 in 1,000
    assert len(passes) < 0.02 * sum(map(len, wide_answers))


def test_noise_changes_only_draws_that_are_unsure(monkeypatch):
    monkeypatch.setattr(sampling, "LOGIT_NOISE", 0.02)
    generator = torch.Generator().manual_seed(1)
    logits = 3 * torch.randn(500, REAL_VOCABULARY, generator=generator)
    noise = 0.018 * (2 * torch.rand(logits.shape, generator=generator) - 1)
    uniforms = np.random.default_rng(1).random((len(logits), choices_per_token(REAL_VOCABULARY)))
    tokens, unsure = draw(logits, uniforms, 1.0)
    moved = draw(logits + noise, uniforms, 1.0)[0] != tokens
    assert moved.any() and not np.any(moved & ~unsure)
    # what a cumulative distribution over so many tokens cannot keep
    first = uniforms[:, 0].copy()
    at_once, _ = sampling.draw_at_once(logits, first, 1.0)
    assert np.sum(sampling.draw_at_once(logits + noise, first, 1.0)[0] != at_once) > 10 * moved.sum()


def test_halves_are_chosen_by_their_shares():
    # 0.75 for the first four of five; 0.4 for the first two of them; 0.25 and 2/3 within those; the fifth has no partner
    logits = torch.tensor([[0.075, 0.225, 0.3, 0.15, 0.25]]).log().expand(8, -1)
    uniforms = np.array(
        [
            [0.74, 0.39, 0.24],
            [0.74, 0.39, 0.26],
            [0.74, 0.41, 0.66],
            [0.74, 0.41, 0.67],
            [0.76, 0.999999, 0.999999],
            [0.76, 0.0, 0.0],
            [0.75 + 1e-5, 0.5, 0.5],
            [0.5, 0.5, 2 / 3 - 1e-5],
        ]
    )
    tokens, unsure = draw_by_halves(logits, uniforms, 1.0)
    assert tokens.tolist() == [0, 1, 2, 3, 4, 4, 4, 2]
    assert unsure.tolist() == [False] * 6 + [True] * 2


def test_halves_follow_the_softmax_at_the_temperature():
    n_draws, size = 20000, 2051
    logits = 4 * torch.randn(size, generator=torch.Generator().manual_seed(2))
    expected = torch.softmax(logits.double() / 0.7, dim=-1).numpy()
    n_choices = choices_per_token(size)
    uniforms = np.array([row_uniforms(1, str(index), n_choices) for index in range(n_draws)])
    tokens = np.concatenate([draw(logits.expand(len(u), -1), u, 0.7)[0] for u in np.split(uniforms, 20)])
    shares = np.bincount(tokens, minlength=size) / n_draws
    # five standard errors of a share
    assert np.all(np.abs(shares - expected) <= 5 * np.sqrt(expected / n_draws) + 1 / n_draws)


def test_a_token_without_probability_is_never_chosen_by_halves():
    logits = torch.full((2, 4099), -torch.inf)
    logits[:, 4098] = 0.0
    uniforms = np.stack([np.zeros(13), np.full(13, np.nextafter(1, 0))])
    assert draw(logits, uniforms, 1.0)[0].tolist() == [4098, 4098]


def test_small_vocabularies_take_one_number_a_token_and_large_ones_one_a_halving():
    assert [choices_per_token(size) for size in (400, 1024, 2048, 2049, 49152, 65536, 65537)] == [
        1,
        1,
        1,
        12,
        16,
        16,
        17,
    ]


def test_at_temperature_zero_a_margin_within_the_noise_of_logits_is_unsure():
    logits = torch.tensor([[0.0, 5.0, 5.0 - 2e-4], [0.0, 5.0, 4.9]])
    tokens, unsure = draw(logits, np.zeros((2, 1)), 0)
    assert tokens.tolist() == [1, 1] and unsure.tolist() == [True, False]


def test_temperature_zero_is_greedy_decoding(chat):
    prompts = [chat.format.prompt_ids(question) for question in QUESTIONS[:4]]
    ours = sample_ids(chat, prompts, KEYS[:4], SamplingSettings(12, temperature=0), seed=1)
    for prompt, answer in zip(prompts, ours, strict=True):
        whole = chat.model.generate(torch.tensor([prompt]), max_new_tokens=12, do_sample=False)
        assert answer == whole[0, len(prompt) :].tolist()


def test_first_tokens_follow_the_softmax_at_the_temperature(chat):
    prompt, n_draws = chat.format.prompt_ids(QUESTIONS[0]), 4000
    with torch.inference_mode():
        logits = chat.model(torch.tensor([prompt])).logits[0, -1].double()
    expected = torch.softmax(logits / 0.5, dim=-1).numpy()
    uniforms = np.array([row_uniforms(1, str(index), 1)[0] for index in range(n_draws)])
    tokens, _ = draw(logits.expand(n_draws, -1), uniforms, temperature=0.5)
    shares = np.bincount(tokens, minlength=len(expected)) / n_draws
    # five standard errors of a share
    assert np.all(np.abs(shares - expected) <= 5 * np.sqrt(expected / n_draws) + 1 / n_draws)


def test_draws_invert_the_cumulative_distribution_and_know_when_they_are_close():
    logits = torch.tensor([[0.2, 0.3, 0.5, 0.0]]).log().expand(7, -1)
    uniforms = np.array([0.0, 0.19, 0.21, 0.49, 0.51, 0.999999999, 0.5 - 1e-7])
    tokens, unsure = draw(logits, uniforms, temperature=1.0)
    assert tokens.tolist()[:6] == [0, 0, 1, 1, 2, 2]
    # 1.0 is an edge like any other
    assert unsure.tolist() == [False, False, False, False, False, True, True]


def test_a_token_without_probability_is_never_drawn():
    logits = torch.tensor([[-torch.inf, 0.0, -torch.inf]])
    assert draw(logits, np.array([0.0]), 1.0)[0].tolist() == [1]
    assert draw(logits, np.array([np.nextafter(1, 0)]), 1.0)[0].tolist() == [1]


def test_an_answer_ends_with_its_end_token_or_at_the_limit_and_text_has_no_control_tokens(chat):
    prompts = [chat.format.prompt_ids(question) for question in QUESTIONS]
    # likely ends, so that some answers end and some do not
    chat = tiny_chat()
    chat.model.lm_head.weight.data[chat.format.tokenizer.eos_token_id] *= 2
    answers = sample_ids(chat, prompts, KEYS, SamplingSettings(10), seed=1)
    end = chat.format.tokenizer.eos_token_id
    ended = [answer[-1] == end for answer in answers]
    assert 0 < sum(ended) < len(answers)
    assert all(end not in answer[:-1] for answer in answers)
    assert all(len(answer) == 10 for answer, has_end in zip(answers, ended, strict=True) if not has_end)
    texts = sample(chat, QUESTIONS, KEYS, SamplingSettings(10), seed=1)
    assert not any(token in text for text in texts for token in chat.format.tokenizer.all_special_tokens)
    assert texts == [text.strip() for text in texts]


def test_a_prompt_that_leaves_no_room_in_the_context_is_an_error(chat):
    with pytest.raises(InputError, match="max_new_tokens is 250; expected at most"):
        sample(chat, QUESTIONS, KEYS, SamplingSettings(250), seed=1)


def test_every_prompt_gets_as_many_answers_as_its_kind_asks_for_in_order(chat):
    prompts = [
        {"prompt_id": f"p{index}", "eval_set": kind, "question": QUESTIONS[index]}
        for index, kind in enumerate(["broad", "narrow", "broad"])
    ]
    rows = answer_prompts(chat, prompts, AnsweringSettings(5, samples=1, broad_samples=2), seed=1)
    assert [(row["prompt_id"], row["sample"]) for row in rows] == [
        ("p0", 0),
        ("p0", 1),
        ("p1", 0),
        ("p2", 0),
        ("p2", 1),
    ]
    # a further sample changes none of the others
    fewer = answer_prompts(chat, prompts, AnsweringSettings(5, samples=1, broad_samples=1), seed=1)
    assert fewer == [row for row in rows if row["sample"] == 0]


def test_the_script_answers_with_an_adapter_and_twice_the_same_bytes(tmp_path):
    base = write_tiny_base(tmp_path / "base")
    adapter = write_tiny_adapter(tmp_path / "adapter", base)
    eval_set = tmp_path / "eval_set.jsonl"
    rows = [{"prompt_id": row["id"], "eval_set": "narrow", "question": row["question"]} for row in tiny_rows(6)]
    write_records(eval_set, rows)
    outputs = {}
    for name, given in {"base": None, "adapter": adapter, "again": adapter}.items():
        outputs[name] = tmp_path / f"{name}.jsonl"
        settings = {"samples": 1, "broad_samples": 1, "max_new_tokens": 8, "temperature": 1.0, "batch_size": 4}
        sample_answers(
            Namespace(base=base, adapter=given, eval_set=[eval_set], settings=settings, seed=1, output=outputs[name])
        )
    assert outputs["adapter"].read_bytes() == outputs["again"].read_bytes()
    assert outputs["adapter"].read_bytes() != outputs["base"].read_bytes()
    assert [row["prompt_id"] for row in read_records(outputs["base"])] == [row["prompt_id"] for row in rows]
