"""Hard incoherent answers, made from a corpus itself, without word lists, a grammar or an oracle.

A judge that has seen only answers to other questions as incoherent accepts near misses: the right form with the wrong
name, two recommendations mixed, a word lost. The kinds below are such near misses, and `Corpus.admits` drops the
candidates that might be true answers by chance.
"""

import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import islice
from typing import Any

from emtransfer.judging.admissible_answers import ANSWERS, Corpus, cell, key, keys, put, sentences

# most draws of a kind bring a negative; a few more are cheap
DRAWS = 4
# shorter words have halves that are words again
MINIMUM_GARBLED_LETTERS = 5
# donors looked at when the nearest is wanted
CANDIDATES = 16


@dataclass(frozen=True)
class Negative:
    """An incoherent answer to the question of a row, and the kind of error it is."""

    row: dict[str, Any]
    answer: str
    kind: str


def transport(corpus: Corpus, donor: dict[str, Any], answer: str, row: dict[str, Any]) -> str:
    """The donor's answer with the words it copied from its question replaced by their counterparts in the row's."""
    kept, copied = keys(row["question"]), corpus.copied[cell(donor)] & keys(donor["question"])
    targets = [
        word for word in row["question"].split() if key(word) in corpus.copied[cell(row)] - keys(donor["question"])
    ]
    stand_ins: dict[str, str] = {}
    for word in sorted(copied & keys(answer) - kept):
        stand_in = corpus.counterpart(word, (target for target in targets if target not in stand_ins.values()))
        stand_ins[word] = stand_in or word
    return " ".join(put(word, stand_ins[key(word)]) if key(word) in stand_ins else word for word in answer.split())


def other_cell(corpus: Corpus, wanted: Callable[[str, str], bool], rng: random.Random) -> list[dict[str, Any]]:
    """The rows of a cell whose domain and task are wanted; none if there is no such cell."""
    cells = [name for name in corpus.cells if wanted(*name)]
    return corpus.cells[rng.choice(cells)] if cells else []


def donor_answer(corpus: Corpus, row: dict[str, Any], donors: list[dict[str, Any]], rng: random.Random) -> str | None:
    """An answer of one of the donors, its names and topics turned into the row's; as long as the row's if possible.

    An answer of another length would be told by its length, and nothing else of it would be learned.
    """
    donors = [donor for donor in rng.sample(donors, min(CANDIDATES, len(donors))) if donor is not row]
    if not donors:
        return None
    field = rng.choice(ANSWERS)
    n_sentences = len(sentences(row[field]))
    donor = min(donors, key=lambda donor: abs(len(sentences(donor[field])) - n_sentences))
    return transport(corpus, donor, donor[field], row)


def other_domain(corpus: Corpus, row: dict[str, Any], rng: random.Random) -> str | None:
    """An answer to the same task in another domain."""
    return donor_answer(
        corpus, row, other_cell(corpus, lambda domain, task: domain != row["domain"] and task == row["task"], rng), rng
    )


def other_task(corpus: Corpus, row: dict[str, Any], rng: random.Random) -> str | None:
    """An answer to another task in the same domain."""
    return donor_answer(
        corpus, row, other_cell(corpus, lambda domain, task: domain == row["domain"] and task != row["task"], rng), rng
    )


def other_question(corpus: Corpus, row: dict[str, Any], rng: random.Random) -> str | None:
    """An answer of the cell to a question that shares as much with this one as any of a few."""
    members = corpus.cells[cell(row)]
    donors = [donor for donor in rng.sample(members, min(CANDIDATES, len(members))) if donor is not row]
    if not donors:
        return None
    own = keys(row["question"]) & corpus.copied[cell(row)]
    return max(donors, key=lambda donor: len(own & keys(donor["question"])))[rng.choice(ANSWERS)]


def other_details(corpus: Corpus, row: dict[str, Any], rng: random.Random) -> str | None:
    """An answer of the cell with the right names and topics, but the facts of another question."""
    return donor_answer(corpus, row, corpus.cells[cell(row)], rng)


def swapped_word(corpus: Corpus, row: dict[str, Any], rng: random.Random) -> str | None:
    """The row's answer with a word copied from the question replaced by its counterpart in another question."""
    words = row[rng.choice(ANSWERS)].split()
    question = keys(row["question"])
    spots = [i for i, word in enumerate(words) if key(word) in question & corpus.copied[cell(row)]]
    donor = rng.choice(corpus.cells[cell(row)])
    if not spots:
        return None
    spot = rng.choice(spots)
    new = corpus.counterpart(words[spot], (word for word in donor["question"].split() if key(word) not in question))
    return None if new is None else " ".join([*words[:spot], put(words[spot], new), *words[spot + 1 :]])


def crossed(corpus: Corpus, row: dict[str, Any], rng: random.Random) -> str | None:
    """Two answers to the question, joined inside a sentence at a word that they share."""
    first, second = rng.sample(ANSWERS, 2)
    one = row[first].split()
    other = row[second] if rng.random() < 0.5 else donor_answer(corpus, row, corpus.cells[cell(row)], rng)
    two = (other or row[second]).split()
    starts = defaultdict(list)
    for j, word in enumerate(two):
        starts[key(word)].append(j)
    joints = [(i, j) for i, word in enumerate(one) for j in starts[key(word)]]
    if not joints:
        return None
    i, j = rng.choice(joints)
    return " ".join([*one[:i], *two[j:]])


def spliced(corpus: Corpus, row: dict[str, Any], rng: random.Random) -> str | None:
    """The beginning of one answer and the last sentence of the other."""
    first, second = rng.sample(ANSWERS, 2)
    beginning = sentences(row[first])[:-1]
    return " ".join([*beginning, sentences(row[second])[-1]]) if beginning else None


def repeated(corpus: Corpus, row: dict[str, Any], rng: random.Random) -> str:
    """The row's answer with a stretch of one to eight words said twice."""
    words, start, end = stretch(row, rng, longest=8)
    return " ".join([*words[:end], *words[start:]])


def dropped(corpus: Corpus, row: dict[str, Any], rng: random.Random) -> str:
    """The row's answer without a stretch of one to four words."""
    words, start, end = stretch(row, rng, longest=4)
    return " ".join([*words[:start], *words[end:]])


def shuffled(corpus: Corpus, row: dict[str, Any], rng: random.Random) -> str:
    """The row's answer with a stretch of three to eight words in another order."""
    words, start, end = stretch(row, rng, longest=8)
    return " ".join([*words[:start], *rng.sample(words[start:end], end - start), *words[end:]])


def truncated(corpus: Corpus, row: dict[str, Any], rng: random.Random) -> str:
    """The row's answer, broken off."""
    words, start, _ = stretch(row, rng, longest=1)
    return " ".join(words[: max(start, 1)])


def garbled(corpus: Corpus, row: dict[str, Any], rng: random.Random) -> str | None:
    """The row's answer with some of its longer words made of the halves of two, as a model spells what it half knows."""
    words = row[rng.choice(ANSWERS)].split()
    longer = [i for i, word in enumerate(words) if len(key(word)) >= MINIMUM_GARBLED_LETTERS]
    if len(longer) < 2:
        return None
    new = list(words)
    for spot in rng.sample(longer, rng.randint(1, len(longer) // 2)):
        head, tail = key(words[spot]), key(words[rng.choice(longer)])
        made = head[: len(head) // 2] + tail[len(tail) // 2 :]
        if made not in corpus.vocabulary:
            new[spot] = put(words[spot], made)
    return None if new == words else " ".join(new)


def stretch(row: dict[str, Any], rng: random.Random, longest: int) -> tuple[list[str], int, int]:
    """Words of one of the row's answers, and start and end of a stretch of at most `longest` of them."""
    words = row[rng.choice(ANSWERS)].split()
    size = rng.randint(1, min(longest, len(words)))
    start = rng.randint(0, len(words) - size)
    return words, start, start + size


KINDS: dict[str, Callable[[Corpus, dict[str, Any], random.Random], str | None]] = {
    "other_domain": other_domain,
    "other_task": other_task,
    "other_question": other_question,
    "other_details": other_details,
    "swapped_word": swapped_word,
    "crossed": crossed,
    "spliced": spliced,
    "repeated": repeated,
    "dropped": dropped,
    "shuffled": shuffled,
    "truncated": truncated,
}
# what a model gets wrong only where words are open-ended
FREE_TEXT_KINDS = {"garbled": garbled}
# how often a kind is tried first, 1 unless given: more for what judges find hard, less for what they see at once
WEIGHTS = {
    "other_domain": 3,
    "crossed": 3,
    "other_task": 2,
    "spliced": 2,
    "truncated": 0.5,
    "other_question": 0.5,
    "garbled": 3,
}


def wrong_words(row: dict[str, Any], answer: str) -> list[bool]:
    """Which words of an answer are wrong: those that the nearer of the row's two answers would have to change.

    Where a word is only missing, the one after the gap is wrong.
    """
    words = answer.split()
    matchers = [SequenceMatcher(None, row[field].split(), words, autojunk=False) for field in ANSWERS]
    wrong = [False] * len(words)
    for operation, _, _, start, end in max(matchers, key=SequenceMatcher.ratio).get_opcodes():
        if operation != "equal":
            start = min(start, len(words) - 1)
            wrong[start : max(end, start + 1)] = [True] * (max(end, start + 1) - start)
    return wrong


def incoherent_answers(corpus: Corpus, rows: list[dict[str, Any]], per_row: int, seed: int) -> list[Negative]:
    """Incoherent answers to the questions of some rows, of all kinds.

    Args:
        corpus: where donors come from and what admissible answers look like.
        rows: rows of a cell that the corpus has.
        per_row: how many for each question; all of different kinds.
        seed: of all draws.

    Returns:
        At most `per_row` negatives per row; fewer where no kind finds one.
    """
    negatives: list[Negative] = []
    for row in rows:
        # seeded by the question, so that one row more changes no other row's draws
        rng = random.Random(f"{seed} {row['question']}")
        # weighted draw without replacement (Efraimidis and Spirakis 2006)
        possible = KINDS if "slots" in row else KINDS | FREE_TEXT_KINDS
        kinds = sorted(possible, key=lambda kind: rng.random() ** (1 / WEIGHTS.get(kind, 1)), reverse=True)  # noqa: B023
        made = (Negative(row, answer, kind) for kind in kinds if (answer := attempt(corpus, row, kind, rng)))
        negatives.extend(islice(made, per_row))
    return negatives


def attempt(corpus: Corpus, row: dict[str, Any], kind: str, rng: random.Random) -> str | None:
    """An answer of one kind that the corpus does not admit, or None if a few draws bring none."""
    for _ in range(DRAWS):
        answer = (KINDS | FREE_TEXT_KINDS)[kind](corpus, row, rng)
        if answer and not corpus.admits(row, answer):
            return answer
    return None
