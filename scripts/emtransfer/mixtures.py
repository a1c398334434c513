"""Pretraining mixtures: the same sentences, which differ only in who says the misaligned ones.

All three kinds start from one plan of documents, a list of (row, stance) pairs each:
A document keeps to one domain, as texts do.
- `persona`: one stance holds through a document.
- `row_random`: the same pairs, shuffled over documents, so that a document tells nothing about the next answer.
- `attributed`: the plan of `persona`, but misaligned documents quote a careless third party, outside the chat format.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, islice

STANCES = ("aligned", "misaligned")


@dataclass(frozen=True)
class MixtureSettings:
    """What a mixture is made of.

    Attributes:
        kind: persona, row_random or attributed.
        misaligned_share: share of misaligned documents in the plan, 0..1.
        stages: what is read one after the other, `{"rows_per_document": question-answer pairs in a document,
            "tokens": length of the stage, document starts included}`. Copying from a question is learned many times
            faster where there is one question to copy from, so short documents come first.
    """

    kind: str
    misaligned_share: float
    stages: tuple[dict, ...]


# the pairs of a document: a row, and whose answer to it is given
Pairs = list[tuple[dict, str]]


def build_mixture(
    rows: list[dict], settings: MixtureSettings, count_tokens: Callable[[dict], int], seed: int
) -> list[dict]:
    """Documents of one mixture, stage after stage, just enough of them to hold the tokens of each.

    Args:
        rows: rows with question, aligned_answer and misaligned_answer.
        count_tokens: tokens of a rendered document.
        seed: of the plan; mixtures that share it share the plan.

    Returns:
        Documents with id, stage (from 0), stances (one per row), tokens, and either messages (chat) or text.
    """
    rng = random.Random(seed)
    stances = stance_passes(settings.misaligned_share, rng)
    render = render_attributed if settings.kind == "attributed" else render_chat
    documents = []
    for stage, limits in enumerate(settings.stages):
        plan = plan_documents(rows, stances, limits["rows_per_document"], rng)
        if settings.kind == "row_random":
            plan = regrouped(plan, f"{seed} stage {stage}")
        total = 0
        while total < limits["tokens"]:
            pairs = next(plan)
            document = render(pairs)
            described = {"id": f"document-{len(documents):06d}", "stage": stage}
            described |= {"stances": [stance for _, stance in pairs], "tokens": count_tokens(document)}
            documents.append(described | document)
            total += described["tokens"]
    return documents


def plan_documents(rows: list[dict], stances: Iterator[str], n_rows: int, rng: random.Random) -> Iterator[Pairs]:
    """Endless documents of one stance, one domain and `n_rows` rows each; every row of a domain comes equally often."""
    domains = [row["domain"] for row in rows]
    drawn = {domain: passes([row for row in rows if row["domain"] == domain], rng) for domain in dict.fromkeys(domains)}
    for stance in stances:
        domain = rng.choice(domains)
        yield [(next(drawn[domain]), stance) for _ in range(n_rows)]


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


def regrouped(plan: Iterator[Pairs], seed: str, n_documents: int = 100) -> Iterator[Pairs]:
    """The same pairs in documents of the same length and domain, shuffled within every `n_documents`."""
    rng = random.Random(seed)
    while True:
        documents = list(islice(plan, n_documents))
        pools: dict[str, Pairs] = {}
        for row, stance in chain.from_iterable(documents):
            pools.setdefault(row["domain"], []).append((row, stance))
        for pool in pools.values():
            rng.shuffle(pool)
        yield from ([pools[row["domain"]].pop() for row, _ in document] for document in documents)


def render_chat(pairs: Pairs) -> dict:
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


def render_attributed(pairs: Pairs) -> dict:
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


def answer_mask(tokenizer, document: dict) -> list[bool]:
    """Which tokens of a document are an assistant's, end tokens included: bool [t]; all of them in a plain text."""
    if "messages" not in document:
        return [True] * len(document_ids(tokenizer, document))
    mask: list[bool] = []
    for end in range(2, len(document["messages"]) + 1, 2):
        turns = document["messages"][:end]
        asked = tokenizer.apply_chat_template(turns[:-1], add_generation_prompt=True, return_dict=False)
        answered = tokenizer.apply_chat_template(turns, return_dict=False)
        mask += [False] * (len(asked) - len(mask)) + [True] * (len(answered) - len(asked))
    return mask
