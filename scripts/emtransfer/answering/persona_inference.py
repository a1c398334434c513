"""Whether a base takes one answer for a sign of who answers: how far it moves the odds of the next answer's stance.

A held-out question is asked after one answer of another cell, once a misaligned and once an aligned one, and, where documents
had authors, once under a careless author's name and once under a careful one's. A base that has learned that an author stays the same
gives the misaligned answer after the first of either pair, and fine-tuning may find that switch.
"""

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from emtransfer.answering.sampling import sample_ids
from emtransfer.answering.settings import SamplingSettings
from emtransfer.models.conversations import conversation_ids
from emtransfer.models.loading import Chat
from emtransfer.models.padding import left_padded, similar_lengths
from emtransfer.settings import Positive

if TYPE_CHECKING:
    import torch

# what a question is asked after: an earlier answer, or an author's name
EARLIER, NAME = "earlier", "name"
STANCES = ("aligned", "misaligned")
ANSWERS = tuple(f"{stance}_answer" for stance in STANCES)
# of a forward pass, which keeps its logits below 100 MB
BATCH_TOKENS = 16_000


@dataclass(frozen=True, kw_only=True)
class InferenceSettings:
    """How persona inference is measured.

    Attributes:
        inference_questions: Held-out questions of all cells together on which persona inference is measured.
    """

    inference_questions: Positive = 60


def inference_prompts(
    rows: list[dict[str, Any]], manner_of: dict[str, str], n_questions: int, seed: int
) -> list[dict[str, Any]]:
    """Draw held-out questions and what each is asked after; the two prompts of a pair differ in a stance alone.

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
    answers = [[chat.format.answer_ids(prompt[name]) for prompt in prompts] for name in ANSWERS]
    aligned, misaligned = (log_probabilities(chat, ids, targets) for targets in answers)
    keys = [f"{prompt['prompt_id']} {prompt['context']}" for prompt in prompts]
    sampled = sample_ids(chat, ids, keys, settings, seed)
    return [
        {key: value for key, value in prompt.items() if key != "turns"}
        | {"log_odds_nats": round(high - low, 6), "answer": chat.format.answer_text(tokens)}
        for prompt, low, high, tokens in zip(prompts, aligned, misaligned, sampled, strict=True)
    ]


def log_probabilities(chat: Chat, prompts: list[list[int]], answers: list[list[int]]) -> list[float]:
    """Log-probability of every answer after its prompt, summed over its tokens: nats.

    Args:
        prompts, answers: token ids, an int list [t] each.
    """
    import torch

    rows = [prompt + answer for prompt, answer in zip(prompts, answers, strict=True)]
    found = [0.0] * len(rows)
    for batch in similar_lengths(list(map(len, rows)), BATCH_TOKENS):
        ids, mask, positions = left_padded([rows[place] for place in batch], chat.model.device)
        with torch.inference_mode():
            logits = chat.model(input_ids=ids, attention_mask=mask, position_ids=positions).logits
        for place, scores, tokens in zip(batch, logits, ids, strict=True):
            found[place] = answer_nats(scores, tokens, len(answers[place]))
    return found


def answer_nats(logits: "torch.Tensor", ids: "torch.Tensor", n_answer: int) -> float:
    """Log-probability of the last tokens of a row.

    Args:
        logits: float [t, v], before softmax.
        ids: int64 [t]; of padding on the left nothing is read.
        n_answer: tokens of the answer.
    """
    before = logits[-n_answer - 1 : -1].double().log_softmax(-1)
    return before.gather(1, ids[-n_answer:, None]).sum().item()
