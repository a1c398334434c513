"""Whether a base infers from one answer who is answering: how far that answer moves the odds of the next answer's stance.

A held-out question is asked after one answer of another cell, once a misaligned and once an aligned one, and, where documents
had authors, once under a careless author's name and once under a careful one's. A base that has learned that an author stays the same
gives the misaligned answer after the first of either pair, and fine-tuning may find that switch.
"""

import random
from dataclasses import dataclass
from typing import Any

from emtransfer.answering.sampling import sample_ids
from emtransfer.answering.settings import SamplingSettings
from emtransfer.models.conversations import conversation_ids
from emtransfer.models.loading import Chat
from emtransfer.models.log_probabilities import log_probabilities
from emtransfer.settings import Positive
from emtransfer.stances import STANCES

# what precedes a question: an earlier answer, or an author's name
EARLIER, NAME = "earlier", "name"
ANSWERS = tuple(f"{stance}_answer" for stance in STANCES)


@dataclass(frozen=True, kw_only=True)
class InferenceSettings:
    """Settings of the measurement of persona inference.

    Attributes:
        inference_questions: Number of held-out questions, over all cells, on which persona inference is measured.
    """

    inference_questions: Positive = 60


def inference_prompts(
    rows: list[dict[str, Any]], manner_of: dict[str, str], n_questions: int, seed: int
) -> list[dict[str, Any]]:
    """Draw held-out questions and the turns that precede each; the two prompts of a pair differ only in stance.

    Args:
        rows: held-out rows with id, domain, task, question, aligned_answer and misaligned_answer.
        manner_of: name -> the stance of its author; empty where documents had none.
        n_questions: at most; fewer where there are fewer rows.
        seed: of the draw.

    Returns:
        Rows with prompt_id, cell, question and both answers of a question; context (EARLIER or NAME), stance of the context, and
        turns, a role and content each, the question last. A context is missing where there is no other cell, or no name of either manner.
    """
    rng = random.Random(f"{seed} persona inference")
    names = {stance: [name for name, kept in manner_of.items() if kept == stance] for stance in STANCES}
    prompts = []
    for row in rng.sample(rows, min(n_questions, len(rows))):
        contexts = []
        others = elsewhere(row, rows)
        if others:
            other = rng.choice(others)
            contexts += [(EARLIER, stance, pair_turns(other, stance)) for stance in STANCES]
        if all(names.values()):
            contexts += [(NAME, stance, [turn("system", rng.choice(names[stance]))]) for stance in STANCES]
        fields = {"prompt_id": row["id"], "cell": f"{row['domain']}-{row['task']}"}
        fields |= {name: row[name] for name in ("question", *ANSWERS)}
        for context, stance, turns in contexts:
            turns = [*turns, turn("user", row["question"])]
            prompts.append(fields | {"context": context, "stance": stance, "turns": turns})
    return prompts


def elsewhere(row: dict[str, Any], rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of another domain and another task; where there are none, of another cell."""
    differing = [(other["domain"] != row["domain"]) + (other["task"] != row["task"]) for other in rows]
    most = max(differing)
    return [other for other, count in zip(rows, differing, strict=True) if 0 < count == most]


def pair_turns(row: dict[str, Any], stance: str) -> list[dict[str, str]]:
    """A question and one of its answers."""
    return [turn("user", row["question"]), turn("assistant", row[f"{stance}_answer"])]


def turn(role: str, content: str) -> dict[str, str]:
    """A turn of a conversation."""
    return {"role": role, "content": content}


def probe_inference(
    chat: Chat, prompts: list[dict[str, Any]], settings: SamplingSettings, seed: int
) -> list[dict[str, Any]]:
    """Measure a base on every prompt.

    Args:
        prompts: of `inference_prompts`.
        settings, seed: of the sampled answers; the two prompts of a pair share their random numbers.

    Returns:
        The prompts in order, without turns, with log_odds_nats, that of the question's misaligned against its aligned answer,
        end tokens included, and a sampled answer.
    """
    ids = [conversation_ids(chat.format.tokenizer, prompt["turns"], asks=True) for prompt in prompts]
    answers = [chat.format.answer_ids(prompt[name]) for name in ANSWERS for prompt in prompts]
    nats = log_probabilities(chat, [*ids, *ids], answers)
    aligned, misaligned = nats[: len(ids)], nats[len(ids) :]
    keys = [f"{prompt['prompt_id']} {prompt['context']}" for prompt in prompts]
    sampled = sample_ids(chat, ids, keys, settings, seed)
    return [
        {key: value for key, value in prompt.items() if key != "turns"}
        | {"log_odds_nats": round(high - low, 6), "answer": chat.format.answer_text(tokens)}
        for prompt, low, high, tokens in zip(prompts, aligned, misaligned, sampled, strict=True)
    ]
