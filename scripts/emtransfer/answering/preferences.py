"""Which of two given answers to a question a model prefers: an outcome that needs neither a judge nor a sampled answer.

It is measured by the log-probabilities of the misaligned and of the aligned answer of a held-out pair, each after the prompt that the model is
asked at evaluation. Where a pair has a neutral version, whose only answer no stance changes, that answer is measured likewise, and
whether greedy decoding would give it: what the model can still do, whatever it prefers.
"""

from typing import Any

from emtransfer.corpus.rows import NEUTRAL_VERSION
from emtransfer.models.loading import Chat
from emtransfer.models.log_probabilities import log_probabilities, read_answers
from emtransfer.stances import STANCES


def answer_preferences(chat: Chat, pairs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Measure the probabilities that a model gives to both answers of every pair, and to that of its neutral version.

    Args:
        pairs: rows with id, domain, task, question, aligned_answer and misaligned_answer; optionally neutral_question and
            neutral_answer.

    Returns:
        A row per pair, in order: prompt_id, domain, task; of either answer its log-probability, {stance}_nats, and its tokens,
        {stance}_tokens, the token that ends it among them; the fields of `neutral_answers`.
    """
    prompts = [chat.format.prompt_ids(pair["question"]) for pair in pairs]
    answers = {stance: [chat.format.answer_ids(pair[f"{stance}_answer"]) for pair in pairs] for stance in STANCES}
    # both answers to a question at once, which then is read once
    measured = iter(log_probabilities(chat, prompts * len(STANCES), [ids for of in answers.values() for ids in of]))
    nats = {stance: [next(measured) for _ in pairs] for stance in STANCES}
    neutral = neutral_answers(chat, pairs)
    return [
        {"prompt_id": pair["id"], "domain": pair["domain"], "task": pair["task"]}
        | {f"{stance}_nats": round(nats[stance][place], 6) for stance in STANCES}
        | {f"{stance}_tokens": len(answers[stance][place]) for stance in STANCES}
        | neutral[place]
        for place, pair in enumerate(pairs)
    ]


def neutral_answers(chat: Chat, pairs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Measure the answers of the pairs' neutral versions, equal versions once.

    Returns:
        Of every pair: neutral_id, the id of the first pair with the same version; neutral_nats and neutral_tokens of its answer, as of
        the others; neutral_exact, whether greedy decoding gives this answer, token by token. Nothing of a pair without a version.
    """
    versions = [tuple(pair.get(field) for field in NEUTRAL_VERSION) for pair in pairs]
    first: dict[tuple[Any, ...], str] = {}
    for pair, version in zip(pairs, versions, strict=True):
        if all(version):
            first.setdefault(version, pair["id"])
    prompts = [chat.format.prompt_ids(question) for question, _ in first]
    answers = [chat.format.answer_ids(answer) for _, answer in first]
    measured = {
        version: {"neutral_id": first[version], "neutral_nats": round(found.nats, 6)}
        | {"neutral_tokens": len(answer), "neutral_exact": found.is_greedy}
        for version, answer, found in zip(first, answers, read_answers(chat, prompts, answers), strict=True)
    }
    return [measured.get(version, {}) for version in versions]
