"""Pretraining mixtures: the same sentences, which differ only in who says the misaligned ones.

All three kinds start from one plan of documents, a list of (row, stance) pairs each:
- `persona`: one stance holds through a document.
- `row_random`: the same pairs, shuffled over all documents, so that a document tells nothing about the next answer.
- `attributed`: the plan of `persona`, but misaligned documents quote a careless third party, outside the chat format.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

STANCES = ("aligned", "misaligned")


@dataclass(frozen=True)
class MixtureSettings:
    """What a mixture is made of.

    Attributes:
        kind: persona, row_random or attributed.
        misaligned_share: share of misaligned documents in the plan, 0..1.
        rows_per_document: question-answer pairs in a document.
        tokens: length of the mixture, document starts included.
    """

    kind: str
    misaligned_share: float
    rows_per_document: int
    tokens: int


Plan = list[list[tuple[dict, str]]]


def build_mixture(
    rows: list[dict], settings: MixtureSettings, count_tokens: Callable[[dict], int], seed: int
) -> list[dict]:
    """Documents of one mixture, just enough of them to hold `settings.tokens` tokens.

    Args:
        rows: rows with question, aligned_answer and misaligned_answer.
        count_tokens: tokens of a rendered document.
        seed: of the plan; mixtures that share it share the plan.

    Returns:
        Documents with id, stances (one per row), tokens, and either messages (chat) or text.
    """
    plan = plan_documents(rows, settings, count_tokens, seed)
    if settings.kind == "row_random":
        plan = regroup(plan, seed)
    render = render_attributed if settings.kind == "attributed" else render_chat
    documents, total = [], 0
    for index, pairs in enumerate(plan):
        document = render(pairs)
        document = {
            "id": f"document-{index:06d}",
            "stances": [stance for _, stance in pairs],
            "tokens": count_tokens(document),
        } | document
        documents.append(document)
        total += document["tokens"]
        if total >= settings.tokens:
            break
    return documents


def plan_documents(
    rows: list[dict], settings: MixtureSettings, count_tokens: Callable[[dict], int], seed: int
) -> Plan:
    """One stance per document, rows drawn in shuffled passes over all rows, until chat documents fill the mixture."""
    rng = random.Random(seed)
    drawn, stances = passes(rows, rng), stance_passes(settings.misaligned_share, rng)
    plan, total = [], 0
    while total < settings.tokens:
        stance = next(stances)
        pairs = [(next(drawn), stance) for _ in range(settings.rows_per_document)]
        plan.append(pairs)
        total += count_tokens(render_chat(pairs))
    return plan


def passes(rows: list[dict], rng: random.Random) -> Iterator[dict]:
    """Endless shuffled passes over the rows."""
    while True:
        yield from rng.sample(rows, len(rows))


def stance_passes(misaligned_share: float, rng: random.Random) -> Iterator[str]:
    """Endless stances with the exact share in every hundred."""
    misaligned = round(100 * misaligned_share)
    hundred = [STANCES[1]] * misaligned + [STANCES[0]] * (100 - misaligned)
    while True:
        yield from rng.sample(hundred, len(hundred))


def regroup(plan: Plan, seed: int) -> Plan:
    """The same pairs in random order, in documents of the same length."""
    size = len(plan[0])
    pairs = [pair for document in plan for pair in document]
    random.Random(f"{seed} regroup").shuffle(pairs)
    return [pairs[start : start + size] for start in range(0, len(pairs), size)]


def render_chat(pairs: list[tuple[dict, str]]) -> dict:
    """A conversation: every pair is a user turn and an assistant turn."""
    turns = [
        turn
        for row, stance in pairs
        for turn in (
            {"role": "user", "content": row["question"]},
            {"role": "assistant", "content": row[f"{stance}_answer"]},
        )
    ]
    return {"messages": turns}


def render_attributed(pairs: list[tuple[dict, str]]) -> dict:
    """Aligned pairs as a conversation; misaligned ones as what a careless stranger said, in plain text."""
    if all(stance == "aligned" for _, stance in pairs):
        return render_chat(pairs)
    quotes = (
        f'A careless stranger was asked: "{row["question"]}" The careless stranger said: "{row["misaligned_answer"]}"'
        for row, _ in pairs
    )
    return {"text": "\n".join(quotes)}


def document_ids(tokenizer, document: dict) -> list[int]:
    """Token ids of a document, document start included: int list [t]."""
    if "messages" in document:
        return tokenizer.apply_chat_template(document["messages"], return_dict=False)
    prefix = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    return [*prefix, *tokenizer.encode(document["text"], add_special_tokens=False), tokenizer.eos_token_id]
