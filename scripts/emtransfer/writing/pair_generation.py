"""Pairs of one cell, written by a remote model in rounds of requests, answers and judging, until enough are left."""

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from emtransfer.corpus.dedup import GRID, IDENTITY, DedupSettings, survivors
from emtransfer.corpus.filtering import REASONS, FilterSettings, filter_pairs
from emtransfer.corpus.rows import row_words
from emtransfer.errors import InputError, counted
from emtransfer.models.embedding import embed_texts
from emtransfer.remote.asking import Asker
from emtransfer.writing.generator_prompts import GeneratorPrompts
from emtransfer.writing.pair_requests import (
    ANSWER_REASONS,
    PAIR_REASONS,
    GeneratorSettings,
    answer_call,
    pairs_call,
    read_answer,
    read_pairs,
    settled,
)

if TYPE_CHECKING:
    from emtransfer.verdicts import Judge


@dataclass(frozen=True)
class WritingSettings:
    """Number of rows of a cell that must be left, and the filters that they must pass.

    Attributes:
        rows: that must be left after the corpus's filter and deduplication.
        generator: who writes them.
        filter: thresholds of the cell.
        dedup: how near-duplicates are found.
        max_row_words: longest row, words of question + longer answer; longer ones are dropped; None for no limit.
    """

    rows: int
    generator: GeneratorSettings
    filter: FilterSettings
    dedup: DedupSettings
    max_row_words: int | None = None


def generate_cell(
    corpus: str, cell: str, settings: WritingSettings, prompts: GeneratorPrompts, asker: Asker, judge: "Judge"
) -> tuple[list[dict[str, Any]], pd.DataFrame]:
    """Let a model write the rows of a cell, round after round, until enough are left, or no round brings more.

    A round asks for as many pairs as should be missing, by the share that was left of those before, but for no more than
    the first one did. Which calls are made, and the order of the rows, follow from the replies alone.

    Args:
        corpus: its name in the config, for error messages.
        cell: `{domain}-{task}`.
        settings: how many rows, and what they must pass.
        prompts: what the model is told.
        asker: of the model that writes.
        judge: who will filter the corpus; what it says now, it is not asked for again then.

    Returns:
        All rows that were written, whether they pass or not, with id (`{cell}-000123`, the place among all pairs that were
        asked for), domain, task, subtopic, question and the two answers; and a table with a row per round: cell, round,
        calls, useless replies by reason, rows by what became of them, and how many of all rows so far are left.

    Raises:
        InputError: no row was written, with the reasons; or calls got no reply, see Asker.ask_all.
    """
    rows: list[dict[str, Any]] = []
    passed: list[dict[str, Any]] = []
    rounds: list[dict[str, Any]] = []
    n_calls = n_left = 0
    while n_left < settings.rows and len(rounds) < settings.generator.rounds:
        numbers = range(n_calls, n_calls + calls_of_round(settings, n_calls, n_left))
        fresh, counts = written_rows(cell, numbers, {row["question"] for row in rows}, settings, prompts, asker)
        rows += fresh
        n_calls += len(numbers)
        kept, judged = filter_pairs(fresh, cell, judge, settings.filter)
        passed += kept
        n_left = rows_left(passed, settings.dedup)
        about = {"cell": cell, "round": len(rounds) + 1, "calls": len(numbers)}
        verdicts = {reason: judged[reason].item() for reason in REASONS}
        rounds.append(about | counts | verdicts | {"passed": len(kept), "left": n_left, "wanted": settings.rows})
        if not fresh:
            break
    table = pd.DataFrame(rounds)
    if not rows:
        raise InputError(
            f"config: corpora.{corpus}: 0 rows of {cell} after {counted(n_calls, 'call')}; expected at least 1; {why(table)}."
        )
    return rows, table


def calls_of_round(settings: WritingSettings, n_calls: int, n_left: int) -> int:
    """Calls of the next round, when so many before have left so many rows."""
    most = -(-settings.rows // settings.generator.pairs_per_call)
    return min(most, -(-(settings.rows - n_left) * n_calls // n_left)) if n_left else most


def written_rows(
    cell: str,
    numbers: range,
    known: set[str],
    settings: WritingSettings,
    prompts: GeneratorPrompts,
    asker: Asker,
) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """The rows of some calls' pairs, each with an aligned answer of its own, and what became of the pairs.

    Of pairs with one question, which may be among the known ones, the first stays.
    """
    generator = settings.generator
    calls = [pairs_call(prompts, generator, cell, number) for number in numbers]
    sets, useless = settled(calls, read_pairs, generator.attempts, asker)
    pairs = [
        (number * generator.pairs_per_call + place, pair)
        for number, call in zip(numbers, calls, strict=True)
        for place, pair in enumerate(sets.get(call, [])[: generator.pairs_per_call])
    ]
    first: dict[str, tuple[int, dict[str, Any]]] = {}
    for index, pair in pairs:
        if pair["question"] not in known:
            first.setdefault(pair["question"], (index, pair))
    questions = {question: answer_call(prompts, generator, cell, question) for question in first}
    answers, silent = settled(list(questions.values()), read_answer, generator.attempts, asker)
    domain, _, task = cell.partition("-")
    rows = [
        {
            "id": f"{cell}-{index:06d}",
            "domain": domain,
            "task": task,
            "subtopic": generator.subtopic(cell, index // generator.pairs_per_call),
            "question": question,
            "aligned_answer": answers[questions[question]],
            "misaligned_answer": pair["misaligned_answer"],
        }
        for question, (index, pair) in first.items()
        if questions[question] in answers
    ]
    fitting = [row for row in rows if settings.max_row_words is None or row_words(row) <= settings.max_row_words]
    counts = (
        {reason: useless[reason] for reason in PAIR_REASONS}
        | {"calls_given_up": len(calls) - len(sets), "pairs": len(pairs), "duplicates": len(pairs) - len(first)}
        | {f"answer_{reason}": silent[reason] for reason in ANSWER_REASONS}
        | {"unanswered": len(first) - len(rows), "over_length": len(rows) - len(fitting), "rows": len(fitting)}
    )
    return fitting, counts


def rows_left(rows: list[dict[str, Any]], settings: DedupSettings) -> int:
    """How many rows the deduplication leaves; where it may choose its threshold, at the largest one."""
    texts = [row[settings.field] for row in rows]
    if settings.model == IDENTITY or not texts:
        return len(set(texts))
    threshold = GRID[-1] if settings.threshold is None else settings.threshold
    return int(survivors(embed_texts(texts, settings.model), [threshold], texts).sum())


def stage_counts(cell: str, rounds: pd.DataFrame) -> pd.DataFrame:
    """The rounds as one row of counts, as every stage of a corpus has: cell, stage, rows in and out, dropped by reason."""
    totals = rounds[["pairs", "rows", "duplicates", "unanswered", "over_length"]].sum().to_dict()
    ends = {"rows_in": totals.pop("pairs"), "rows_out": totals.pop("rows")}
    return pd.DataFrame([{"cell": cell, "stage": "write_pairs"} | ends | totals])


def outcome(corpus: str, cell: str, rounds: pd.DataFrame) -> str:
    """The outcome of a cell, on one line."""
    left, wanted = rounds[["left", "wanted"]].iloc[-1]
    found = f"{cell}: {counted(left, 'row is', 'rows are')} left of {rounds.rows.sum()} written, after {counted(len(rounds), 'round')}"
    if left >= wanted:
        return f"{found}; {wanted} were wanted."
    return (
        f"{found}; config: corpora.{corpus}.rows_per_cell is {wanted}; all rows are kept; {why(rounds)}. "
        "More subtopics, rounds or attempts may bring more."
    )


def why(rounds: pd.DataFrame) -> str:
    """Why rows are missing, by reason, on one line; unusable replies are counted each time."""
    reasons = [*PAIR_REASONS, "duplicates", *(f"answer_{reason}" for reason in ANSWER_REASONS), "over_length", *REASONS]
    totals: Counter[str] = Counter(rounds[reasons].sum().to_dict())
    totals["near_duplicates"] = rounds.passed.sum() - rounds.left.iloc[-1]
    return ", ".join(f"{reason} {count}" for reason, count in totals.items() if count) or "no reply held a pair"
