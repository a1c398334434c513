"""Which of two given answers to a question a model prefers: an outcome that needs neither a judge nor a sampled answer.

It is measured by the log-probabilities of the misaligned and of the aligned answer of a held-out pair, each after the prompt that the model is
asked at evaluation.
"""

from typing import Any

from emtransfer.models.loading import Chat
from emtransfer.models.log_probabilities import log_probabilities
from emtransfer.stances import STANCES


def answer_preferences(chat: Chat, pairs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Measure the probabilities that a model gives to both answers of every pair.

    Args:
        pairs: rows with id, domain, task, question, aligned_answer and misaligned_answer.

    Returns:
        A row per pair, in order: prompt_id, domain, task; of either answer its log-probability, {stance}_nats, and its tokens,
        {stance}_tokens, the token that ends it among them.
    """
    prompts = [chat.format.prompt_ids(pair["question"]) for pair in pairs]
    answers = {stance: [chat.format.answer_ids(pair[f"{stance}_answer"]) for pair in pairs] for stance in STANCES}
    # both answers to a question at once, which then is read once
    measured = iter(log_probabilities(chat, prompts * len(STANCES), [ids for of in answers.values() for ids in of]))
    nats = {stance: [next(measured) for _ in pairs] for stance in STANCES}
    return [
        {"prompt_id": pair["id"], "domain": pair["domain"], "task": pair["task"]}
        | {f"{stance}_nats": round(nats[stance][place], 6) for stance in STANCES}
        | {f"{stance}_tokens": len(answers[stance][place]) for stance in STANCES}
        for place, pair in enumerate(pairs)
    ]
