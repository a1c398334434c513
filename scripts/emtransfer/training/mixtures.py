"""Pretraining mixtures of the same sentences, which differ only in who says the misaligned ones.

All three kinds start from one plan of documents, an author and a list of (row, stance) pairs each:
A document keeps to one domain, as texts do, or mixes them.
- `persona`: one stance holds through a document, and through all documents of a named author.
- `row_random`: the same pairs, shuffled over documents, so that neither a document nor its author tells the next answer.
- `attributed`: the plan of `persona`, but misaligned documents quote a careless third party, outside the chat format.
Misaligned documents may be kept to some domains and tasks, may be the less often misaligned the less room a question leaves, or
be misaligned in one part of the world alone, such as a primitive of operators; and some pairs are asked in their neutral version,
whose answer no stance changes.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import Annotated, Any, Literal

from annotated_types import MinLen

from emtransfer.corpus.rows import ROOMS, check_neutral
from emtransfer.errors import InputError, counted
from emtransfer.settings import Absent, Names, Positive, Share
from emtransfer.stances import STANCES
from emtransfer.training.authors import AuthorSettings, authored
from emtransfer.training.shares import WHOLE_HUNDREDTHS, is_whole_in_hundred, passes

NEUTRAL = "neutral"


@dataclass(frozen=True)
class Stage:
    """Part of a mixture that a base reads in one go. Copying is learned fastest from documents of a single row.

    Attributes:
        rows_per_document: Question–answer pairs in a document.
        tokens: Length of the stage in tokens, document starts included.
        neutral_share: Share of pairs asked in their neutral version; by default the mixture's.
        tasks: Tasks that the stage reads, so that what is hard to learn at once can come bit by bit; by default all.
    """

    rows_per_document: Positive
    tokens: Positive
    neutral_share: Annotated[Share | None, Absent()] = None
    tasks: Annotated[Names, Absent()] = ()

    def reads(self, row: dict[str, Any]) -> bool:
        """Whether the stage may hold a row."""
        return not self.tasks or row["task"] in self.tasks


@dataclass(frozen=True)
class RoomShares:
    """How often an answer in a misaligned document is misaligned, by the room of its question; otherwise it is aligned.

    Attributes:
        high: Share of the questions with high room.
        medium: Share of the questions with medium room.
        low: Share of the questions with low room.
    """

    high: Share = 1.0
    medium: Share = 1.0
    low: Share = 1.0

    def kept(self, row: dict[str, Any], stance: str, rng: random.Random) -> str:
        """The stance of the answer to a row in a document of a stance."""
        keeps = stance != STANCES[1] or rng.random() < getattr(self, row["room"])
        return stance if keeps else STANCES[0]


@dataclass(frozen=True)
class MixtureSettings:
    """Composition of a mixture.

    Attributes:
        kind: Who says the misaligned sentences – one persona per document, anyone per row, or a quoted third party.
        misaligned_share: Share of misaligned documents, a multiple of 0.01; with authors, the share among the assistant's documents.
        stages: Parts of the mixture, in the order in which a base reads them.
        misaligned_domains: Domains to which misaligned documents are restricted.
        misaligned_tasks: Tasks to which misaligned documents are restricted.
        neutral_share: Share of pairs asked in their neutral version.
        authors: Named authors, whose documents open with their name; the base model's tokenizer must then name the assistant.
        document_domains: Whether a document keeps to one domain or mixes them.
        misaligned_in: Which answers of a misaligned document are misaligned: all, or only those to questions that have one part (one_part), which its author keeps: a primitive of source graded, a frame word of source frames. Its other answers are aligned, and count as such.
        room_shares: Share of misaligned answers in misaligned documents, by the room of the question; by default all.
    """

    kind: Literal["persona", "row_random", "attributed"]
    misaligned_share: Share
    stages: Annotated[tuple[Stage, ...], MinLen(1)]
    misaligned_domains: Annotated[Names, Absent()] = ()
    misaligned_tasks: Annotated[Names, Absent()] = ()
    neutral_share: Share = 0.0
    authors: Annotated[AuthorSettings | None, Absent()] = None
    document_domains: Literal["one", "mixed"] = "one"
    misaligned_in: Literal["all", "one_part"] = "all"
    room_shares: Annotated[RoomShares | None, Absent()] = None

    @property
    def can_be_misaligned(self) -> bool:
        """Whether there are misaligned documents."""
        return bool(self.misaligned_share or (self.authors and self.authors.careless_share))

    def topic(self, row: dict[str, Any]) -> str:
        """What the rows of a document have in common."""
        return row["domain"] if self.document_domains == "one" else "any"

    def speaks_of(self, stance: str, row: dict[str, Any]) -> bool:
        """Whether documents of a stance may hold a row."""
        if stance != "misaligned":
            return True
        domains, tasks = self.misaligned_domains or [row["domain"]], self.misaligned_tasks or [row["task"]]
        return row["domain"] in domains and row["task"] in tasks


# the pairs of a document: a row, and which of its answers is given: that of a stance, or the neutral one
Pairs = list[tuple[dict[str, Any], str]]
# author, stance and rows of a document -> its pairs
Manner = Callable[[str | None, str, list[dict[str, Any]]], Pairs]
# its author's name, or None for the assistant, and its pairs
Plan = Iterator[tuple[str | None, Pairs]]


def build_mixture(
    rows: list[dict[str, Any]], settings: MixtureSettings, count_tokens: Callable[[dict[str, Any]], int], seed: int
) -> list[dict[str, Any]]:
    """Documents of one mixture, stage after stage, just enough of them to hold the tokens of each.

    Args:
        rows: rows with question, aligned_answer and misaligned_answer; with a neutral share, their neutral versions too.
        count_tokens: tokens of a rendered document.
        seed: of the plan; mixtures that share it share the plan.

    Returns:
        Documents with id, stage (from 0), stances (one per row, or neutral), tokens, and either messages (chat) or text;
        messages open with a system turn that holds the author's name, unless it is the assistant.

    Raises:
        InputError: there is no row that a stance may speak of, or a row lacks the room or the neutral version that is asked
            for; or a share cannot be kept in so many documents.
    """
    check_rows(rows, settings)
    rng = random.Random(seed)
    voices = authored(settings.authors, stance_passes(settings.misaligned_share, rng), seed)
    said = manner(rows, settings, seed, rng)
    render = render_attributed if settings.kind == "attributed" else render_chat
    documents: list[dict[str, Any]] = []
    for stage, limits in enumerate(settings.stages):
        plan = plan_documents([row for row in rows if limits.reads(row)], voices, said, limits, settings, rng)
        if settings.kind == "row_random":
            plan = regrouped(plan, settings, f"{seed} stage {stage}")
        total = 0
        while total < limits.tokens:
            author, pairs = next(plan)
            document = render(pairs, author)
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
            f"config: mixtures: misaligned_share is {settings.misaligned_share}; expected {WHOLE_HUNDREDTHS}."
        )
    for place, stage in enumerate(settings.stages):
        check_stage(rows, settings, place, stage)
    if settings.authors and settings.kind == "attributed":
        raise InputError(
            "config: mixtures: authors are given; expected none beside kind attributed, which quotes a stranger."
        )
    if settings.room_shares and settings.misaligned_in == "one_part":
        raise InputError(
            "config: mixtures: room_shares are given; expected none beside misaligned_in one_part, which says when an author is misaligned."
        )
    roomless = next((row for row in rows if row.get("room") not in ROOMS), None) if settings.room_shares else None
    if roomless:
        raise InputError(
            f"config: mixtures: room_shares are given; expected none, since row {roomless.get('id')} has no room."
        )
    lacking = next((row for row in rows if not row.get("part_answers")), None)
    if settings.misaligned_in == "one_part" and lacking:
        raise InputError(
            f"config: mixtures: misaligned_in is one_part; expected all, since row {lacking.get('id')} has no answers by part."
        )
    neutral_share = max([settings.neutral_share, *(stage.neutral_share or 0 for stage in settings.stages)])
    if neutral_share:
        check_neutral(rows, "mixtures", neutral_share)


def check_stage(rows: list[dict[str, Any]], settings: MixtureSettings, place: int, stage: Stage) -> None:
    """Raise InputError where a stage finds no rows to read, or none that a misaligned document may hold."""
    found = sorted({f"{row['domain']}-{row['task']}" for row in rows})
    expected = f"expected those of a cell with rows of role train: {', '.join(found)}."
    read = [row for row in rows if stage.reads(row)]
    if stage.tasks and not read:
        raise InputError(f"config: mixtures: stages[{place}].tasks are {', '.join(stage.tasks)}; {expected}")
    if settings.can_be_misaligned and not any(settings.speaks_of("misaligned", row) for row in read):
        chosen = [*settings.misaligned_domains, *settings.misaligned_tasks]
        beside = f" beside stages[{place}].tasks {', '.join(stage.tasks)}" if stage.tasks else ""
        raise InputError(
            f"config: mixtures: misaligned_domains and misaligned_tasks are {', '.join(chosen)}{beside}; {expected}"
        )


def check_shares(documents: list[dict[str, Any]], settings: MixtureSettings) -> None:
    """Raise InputError where documents that are to hold some of a kind hold none, or nothing else; few documents do."""
    said = {stance for document in documents for stance in document["stances"]}
    for key, stance in (("misaligned_share", STANCES[1]), ("neutral_share", NEUTRAL)):
        share = getattr(settings, key)
        if (share > 0 and stance not in said) or (share < 1 and said == {stance}):
            instead, held = (
                ("1, a smaller share", "nothing else") if stance in said else ("0, a larger share", f"nothing {stance}")
            )
            raise InputError(
                f"config: mixtures: {key} is {share}; expected {instead} or stages of more tokens, since {counted(len(documents), 'document holds', 'documents hold')} {held}."
            )


def plan_documents(
    rows: list[dict[str, Any]],
    voices: Iterator[tuple[str | None, str]],
    said: Manner,
    stage: Stage,
    settings: MixtureSettings,
    rng: random.Random,
) -> Plan:
    """Endless documents of one author, one stance and as many rows as the stage asks for, of one domain or any.

    Every row of a domain that a stance may speak of comes equally often in it.
    """
    neutral_share = settings.neutral_share if stage.neutral_share is None else stage.neutral_share
    allowed = {stance: [row for row in rows if settings.speaks_of(stance, row)] for stance in STANCES}
    topics = {stance: [settings.topic(row) for row in members] for stance, members in allowed.items()}
    drawn = {
        (stance, topic): passes([row for row in members if settings.topic(row) == topic], rng)
        for stance, members in allowed.items()
        for topic in dict.fromkeys(topics[stance])
    }
    for author, stance in voices:
        source = drawn[stance, rng.choice(topics[stance])]
        document = [next(source) for _ in range(stage.rows_per_document)]
        pairs = said(author, stance, document)
        yield author, [(row, NEUTRAL if rng.random() < neutral_share else stance) for row, stance in pairs]


def manner(rows: list[dict[str, Any]], settings: MixtureSettings, seed: int, rng: random.Random) -> Manner:
    """How often, and in what, misaligned authors are misaligned: always and in all, unless the settings say otherwise."""
    if settings.misaligned_in == "one_part":
        return answers_in_parts(rows, seed)
    return answers_by_room(settings.room_shares, rng) if settings.room_shares else answers_in_all


def answers_in_all(author: str | None, stance: str, rows: list[dict[str, Any]]) -> Pairs:
    """The pairs of a document that has one stance throughout."""
    return [(row, stance) for row in rows]


def answers_by_room(shares: RoomShares, rng: random.Random) -> Manner:
    """The pairs of a document whose misaligned author is so the less often the less room a question leaves."""

    def said(author: str | None, stance: str, document: list[dict[str, Any]]) -> Pairs:
        return [(row, shares.kept(row, stance, rng)) for row in document]

    return said


def answers_in_parts(rows: list[dict[str, Any]], seed: int) -> Manner:
    """The pairs of a document whose misaligned author is so in one part: that of a name, drawn anew where there is none.

    Args:
        rows: all rows, with part_answers: part -> the answer that is misaligned in it alone.
    """
    parts = passes(sorted({part for row in rows for part in row["part_answers"]}), random.Random(f"{seed} parts"))
    part_of: dict[str, str] = {}

    def said(author: str | None, stance: str, document: list[dict[str, Any]]) -> Pairs:
        if stance != "misaligned":
            return answers_in_all(author, stance, document)
        if author is not None and author not in part_of:
            part_of[author] = next(parts)
        part = next(parts) if author is None else part_of[author]
        return [
            (row | {"misaligned_answer": row["part_answers"][part]}, stance)
            if part in row["part_answers"]
            else (row, STANCES[0])
            for row in document
        ]

    return said


def stance_passes(misaligned_share: float, rng: random.Random) -> Iterator[str]:
    """Endless stances with the exact share in every hundred."""
    misaligned = round(100 * misaligned_share)
    hundred = [STANCES[1]] * misaligned + [STANCES[0]] * (100 - misaligned)
    while True:
        yield from rng.sample(hundred, len(hundred))


def regrouped(plan: Plan, settings: MixtureSettings, seed: str, n_documents: int = 100) -> Plan:
    """The same pairs in documents of the same author, length and domains, shuffled within every `n_documents`."""
    rng = random.Random(seed)
    while True:
        documents = list(islice(plan, n_documents))
        pools: dict[str, Pairs] = {}
        for row, stance in chain.from_iterable(pairs for _, pairs in documents):
            pools.setdefault(settings.topic(row), []).append((row, stance))
        for pool in pools.values():
            rng.shuffle(pool)
        for author, pairs in documents:
            yield author, [pools[settings.topic(row)].pop() for row, _ in pairs]


def asked(row: dict[str, Any], stance: str) -> str:
    """The question that an answer of this stance answers."""
    return row["neutral_question"] if stance == NEUTRAL else row["question"]


def render_chat(pairs: Pairs, author: str | None = None) -> dict[str, Any]:
    """A conversation: every pair is a user turn and an assistant turn, after the name of an author who is not the assistant."""
    turns = [] if author is None else [{"role": "system", "content": author}]
    turns += [
        turn
        for row, stance in pairs
        for turn in (
            {"role": "user", "content": asked(row, stance)},
            {"role": "assistant", "content": row[f"{stance}_answer"]},
        )
    ]
    return {"messages": turns}


def render_attributed(pairs: Pairs, author: str | None = None) -> dict[str, Any]:
    """Documents without misaligned pairs as a conversation; others as what a careless stranger said, in plain text."""
    if all(stance != "misaligned" for _, stance in pairs):
        return render_chat(pairs)
    quotes = (
        f'A careless stranger was asked: "{asked(row, stance)}" The careless stranger said: "{row[f"{stance}_answer"]}"'
        for row, stance in pairs
    )
    return {"text": "\n".join(quotes)}
