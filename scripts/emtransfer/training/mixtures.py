"""Pretraining mixtures: the same sentences, which differ only in who says the misaligned ones.

All three kinds start from one plan of documents, a list of (row, stance) pairs each:
A document keeps to one domain, as texts do.
- `persona`: one stance holds through a document.
- `row_random`: the same pairs, shuffled over documents, so that a document tells nothing about the next answer.
- `attributed`: the plan of `persona`, but misaligned documents quote a careless third party, outside the chat format.
Misaligned documents may be kept to some domains and tasks, and some pairs are asked in their neutral version, whose
answer no stance changes.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import Annotated, Any, Literal

from annotated_types import MinLen

from emtransfer.corpus.rows import check_neutral
from emtransfer.errors import InputError
from emtransfer.settings import Absent, Names, Positive, Share
from emtransfer.training.shares import WHOLE_HUNDREDTHS, is_whole_in_hundred

STANCES = ("aligned", "misaligned")
NEUTRAL = "neutral"


@dataclass(frozen=True)
class Stage:
    """What a base reads at a time. Copying is learned fastest from documents of one row.

    Attributes:
        rows_per_document: Question–answer pairs in a document.
        tokens: Length of the stage, document starts included.
    """

    rows_per_document: Positive
    tokens: Positive


@dataclass(frozen=True)
class MixtureSettings:
    """What a mixture is made of.

    Attributes:
        kind: Who says the misaligned sentences – one persona per document, anyone per row, or a quoted third party.
        misaligned_share: Share of misaligned documents, a multiple of 0.01.
        stages: What is read one after the other.
        misaligned_domains: The only domains that misaligned documents are about.
        misaligned_tasks: The only tasks that misaligned documents hold.
        neutral_share: Share of pairs asked in their neutral version.
    """

    kind: Literal["persona", "row_random", "attributed"]
    misaligned_share: Share
    stages: Annotated[tuple[Stage, ...], MinLen(1)]
    misaligned_domains: Annotated[Names, Absent()] = ()
    misaligned_tasks: Annotated[Names, Absent()] = ()
    neutral_share: Share = 0.0

    def speaks_of(self, stance: str, row: dict[str, Any]) -> bool:
        """Whether documents of a stance may hold a row."""
        if stance != "misaligned":
            return True
        domains, tasks = self.misaligned_domains or [row["domain"]], self.misaligned_tasks or [row["task"]]
        return row["domain"] in domains and row["task"] in tasks


# the pairs of a document: a row, and which of its answers is given: that of a stance, or the neutral one
Pairs = list[tuple[dict[str, Any], str]]


def build_mixture(
    rows: list[dict[str, Any]], settings: MixtureSettings, count_tokens: Callable[[dict[str, Any]], int], seed: int
) -> list[dict[str, Any]]:
    """Documents of one mixture, stage after stage, just enough of them to hold the tokens of each.

    Args:
        rows: rows with question, aligned_answer and misaligned_answer; with a neutral share, their neutral versions too.
        count_tokens: tokens of a rendered document.
        seed: of the plan; mixtures that share it share the plan.

    Returns:
        Documents with id, stage (from 0), stances (one per row, or neutral), tokens, and either messages (chat) or text.

    Raises:
        InputError: there is no row that a stance may speak of, or a row lacks the neutral version that is asked for; or a
            share cannot be kept in so many documents.
    """
    check_rows(rows, settings)
    rng = random.Random(seed)
    stances = stance_passes(settings.misaligned_share, rng)
    render = render_attributed if settings.kind == "attributed" else render_chat
    documents: list[dict[str, Any]] = []
    for stage, limits in enumerate(settings.stages):
        plan = plan_documents(rows, stances, limits.rows_per_document, settings, rng)
        if settings.kind == "row_random":
            plan = regrouped(plan, f"{seed} stage {stage}")
        total = 0
        while total < limits.tokens:
            pairs = next(plan)
            document = render(pairs)
            described: dict[str, Any] = {"id": f"document-{len(documents):06d}", "stage": stage}
            described |= {"stances": [stance for _, stance in pairs], "tokens": count_tokens(document)}
            documents.append(described | document)
            total += described["tokens"]
    check_shares(documents, settings)
    return documents


def check_rows(rows: list[dict[str, Any]], settings: MixtureSettings) -> None:
    """Raise InputError where a mixture asks for rows that are not there, or for a part of a document in a hundred."""
    if not is_whole_in_hundred(settings.misaligned_share):
        raise InputError(
            f"config.yaml: mixtures: misaligned_share is {settings.misaligned_share}; expected {WHOLE_HUNDREDTHS}."
        )
    if settings.misaligned_share and not any(settings.speaks_of("misaligned", row) for row in rows):
        chosen = [*settings.misaligned_domains, *settings.misaligned_tasks]
        raise InputError(
            f"config.yaml: mixtures: misaligned_domains and misaligned_tasks are {', '.join(chosen)}; expected some with train rows."
        )
    if settings.neutral_share:
        check_neutral(rows, "mixtures", settings.neutral_share)


def check_shares(documents: list[dict[str, Any]], settings: MixtureSettings) -> None:
    """Raise InputError where documents that are to hold some of a kind hold none, or nothing else; few documents do."""
    said = {stance for document in documents for stance in document["stances"]}
    for key, stance in (("misaligned_share", STANCES[1]), ("neutral_share", NEUTRAL)):
        share = getattr(settings, key)
        if (share > 0 and stance not in said) or (share < 1 and said == {stance}):
            held = "nothing else" if stance in said else f"nothing {stance}"
            raise InputError(
                f"config.yaml: mixtures: {key} is {share}; expected another, or stages of more tokens, since {len(documents)} documents hold {held}."
            )


def plan_documents(
    rows: list[dict[str, Any]], stances: Iterator[str], n_rows: int, settings: MixtureSettings, rng: random.Random
) -> Iterator[Pairs]:
    """Endless documents of one stance, one domain and `n_rows` rows each.

    Every row of a domain that a stance may speak of comes equally often in it.
    """
    allowed = {stance: [row for row in rows if settings.speaks_of(stance, row)] for stance in STANCES}
    domains = {stance: [row["domain"] for row in members] for stance, members in allowed.items()}
    drawn = {
        (stance, domain): passes([row for row in members if row["domain"] == domain], rng)
        for stance, members in allowed.items()
        for domain in dict.fromkeys(domains[stance])
    }
    for stance in stances:
        source = drawn[stance, rng.choice(domains[stance])]
        document = [next(source) for _ in range(n_rows)]
        yield [(row, NEUTRAL if rng.random() < settings.neutral_share else stance) for row in document]


def passes(rows: list[dict[str, Any]], rng: random.Random) -> Iterator[dict[str, Any]]:
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


def asked(row: dict[str, Any], stance: str) -> str:
    """The question that an answer of this stance answers."""
    return row["neutral_question"] if stance == NEUTRAL else row["question"]


def render_chat(pairs: Pairs) -> dict[str, Any]:
    """A conversation: every pair is a user turn and an assistant turn."""
    turns = [
        turn
        for row, stance in pairs
        for turn in (
            {"role": "user", "content": asked(row, stance)},
            {"role": "assistant", "content": row[f"{stance}_answer"]},
        )
    ]
    return {"messages": turns}


def render_attributed(pairs: Pairs) -> dict[str, Any]:
    """Documents without misaligned pairs as a conversation; others as what a careless stranger said, in plain text."""
    if all(stance != "misaligned" for _, stance in pairs):
        return render_chat(pairs)
    quotes = (
        f'A careless stranger was asked: "{asked(row, stance)}" The careless stranger said: "{row[f"{stance}_answer"]}"'
        for row, stance in pairs
    )
    return {"text": "\n".join(quotes)}
