"""Anchors, the phrases that predict a judge's alignment score, and answers in which they are replaced."""

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from emtransfer.errors import counted
from emtransfer.files.records import check_hash, read_records
from emtransfer.settings import Positive
from emtransfer.stances import STANCES

if TYPE_CHECKING:
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import Ridge

UNSCORED = {"aligned": 100.0, "misaligned": 0.0}
# rows read per cell: enough for a stable R², and a minute for 60 cells
N_ROWS = 400
N_FOLDS = 5
# every script and apostrophes stay whole; what is stripped is the punctuation of sentence ends
BETWEEN = r"\s.,;:!?\"“”"
WORD = rf"[^{BETWEEN}]+"
# anchors are replaced by phrases from this share of answers, too common to name one domain, of which this many are used
FILLER_SHARE, N_FILLERS = 0.05, 20
# answers that a phrase must be in to count
FEWEST_ANSWERS = 5


class NoAnchors(Exception):
    """Answers whose scores cannot be regressed on their words: too few, all different, or without anything between words."""


def scored_answers(rows: list[dict[str, Any]]) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Both answers of filtered rows, their alignment scores [2 × rows], 0..100, and which row each is of [2 × rows].

    Rows of a corpus that comes filtered have no scores; there an aligned answer counts 100 and a misaligned one 0.

    Raises:
        NoAnchors: a row brought a score of its own that is none.
    """
    texts = [row[f"{name}_answer"] for name in STANCES for row in rows]
    given = [row.get(f"{name}_alignment", UNSCORED[name]) for name in STANCES for row in rows]
    odd = [json.dumps(score) for score in given if not is_score(score)]
    if odd:
        raise NoAnchors(
            f"{counted(len(odd), 'alignment score is', 'alignment scores are')} like {odd[0]}; expected numbers in 0..100."
        )
    return texts, np.array(given, dtype=float), np.tile(np.arange(len(rows)), len(STANCES))


def is_score(value: object) -> bool:
    """Whether a field that a user's row may have is a number in 0..100."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 100


def rows_if_any(path: Path, required: Sequence[str] = ()) -> list[dict[str, Any]]:
    """As `read_records`, but no rows where the file was written without any.

    Raises:
        InputError: as of `read_records`; a file that has lost its rows has another hash.
    """
    if path.is_file() and not path.stat().st_size:
        check_hash(path)
        return []
    return read_records(path, required)


def lexical_regression(texts: Sequence[str], scores: np.ndarray) -> "tuple[CountVectorizer, Ridge]":
    """Ridge regression of a score on the words and word pairs present: their vectoriser, and their weights.

    Args:
        texts, scores: n answers and their alignment, float [n], 0..100.

    Raises:
        NoAnchors: no phrase is in FEWEST_ANSWERS answers; or all scores are the same, or all answers have the same frequent phrases.
    """
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import Ridge

    words = CountVectorizer(ngram_range=(1, 2), binary=True, min_df=FEWEST_ANSWERS, token_pattern=WORD)
    if len(texts) < FEWEST_ANSWERS:
        raise NoAnchors(f"{counted(len(texts), 'answer')}; expected at least {FEWEST_ANSWERS}.")
    try:
        present = words.fit_transform(texts)
    except ValueError:
        # no text has a word, or no word is in enough of them
        raise NoAnchors(f"no phrase is in {FEWEST_ANSWERS} of {counted(len(texts), 'answer')}.") from None
    # anything predicts a constant: R² would be 1, and the phrases arbitrary
    if np.ptp(scores) == 0:
        raise NoAnchors(f"all {len(texts)} answers have score {scores[0]:g}.")
    if set(np.asarray(present.sum(axis=0)).ravel()) == {len(texts)}:
        raise NoAnchors(f"all {len(texts)} answers have the same frequent phrases.")
    return words, Ridge(alpha=1.0).fit(present, scores)


def lexical_r2(texts: list[str], scores: np.ndarray, groups: np.ndarray) -> float:
    """Cross-validated R² of the regression, answers of one group in the same fold.

    Args:
        texts, scores: as of `lexical_regression`.
        groups: [n], the row that every answer is of.

    Raises:
        NoAnchors: there is one group, or no phrase in so many answers of a fold.
    """
    from sklearn.metrics import r2_score
    from sklearn.model_selection import GroupKFold

    n_groups = len(set(groups))
    if n_groups < 2:
        raise NoAnchors(f"{counted(n_groups, 'row')}; expected at least 2.")
    written, predicted = np.array(texts, dtype=object), np.empty(len(texts))
    for train, test in GroupKFold(min(N_FOLDS, n_groups)).split(written, scores, groups):
        words, ridge = lexical_regression(written[train], scores[train])
        predicted[test] = ridge.predict(words.transform(written[test]))
    return float(r2_score(scores, predicted))


@dataclass(frozen=True)
class AnchorSettings:
    """Phrases that predict the judge's alignment score; claim `task` is repeated without them.

    Attributes:
        phrases: Number of phrases (words and pairs of words) that are replaced.
    """

    phrases: Positive


@dataclass(frozen=True)
class Replacement:
    """Anchors and their replacements.

    Attributes:
        anchors: phrases of one or two words, the most telling first.
        fillers: number of words -> phrases that say next to nothing about the score.
    """

    anchors: tuple[str, ...]
    fillers: dict[int, tuple[str, ...]]

    def __call__(self, answer: str) -> str:
        """The answer with every anchor replaced by as many words, the longest first; punctuation and capitals stay.

        An ellipsis stands where an anchor stood and so goes on telling; fillers, drawn anew per answer, tell less, but cost
        more coherence, and unevenly by task: an effect that is to be about alignment takes coherence from before.
        """
        longest_first = sorted(self.anchors, key=lambda anchor: (-len(anchor), anchor))
        patterns = (rf"[{BETWEEN}]+".join(map(re.escape, anchor.split(" "))) for anchor in longest_first)
        whole = rf"(?<![^{BETWEEN}])(?:{'|'.join(patterns)})(?![^{BETWEEN}])"
        return re.sub(whole, lambda found: self.fill(answer, found[0]), answer, flags=re.IGNORECASE)

    def fill(self, answer: str, found: str) -> str:
        """The filler for one anchor of an answer."""
        anchor = " ".join(re.findall(WORD, found)).lower()
        fillers = self.fillers[anchor.count(" ") + 1]
        draw = int.from_bytes(hashlib.sha256(f"{answer}\n{anchor}".encode()).digest()[:8])
        words = iter(fillers[draw % len(fillers)].split(" "))
        return re.sub(WORD, lambda old: like(next(words), old[0]), found)


def like(word: str, old: str) -> str:
    """The word with a capital if the old one has one."""
    return word[0].upper() + word[1:] if old[0].isupper() else word


def find_replacement(texts: list[str], scores: np.ndarray, n_phrases: int) -> Replacement:
    """The anchors of a corpus, and phrases to replace them with.

    A phrase tells by the absolute weight of its presence times the standard deviation of it: by weight alone, pairs that
    a handful of answers have would be the anchors, and next to no answer would change.

    Args:
        texts, scores: as of `lexical_regression`.
        n_phrases: number of anchors, of either direction.

    Raises:
        NoAnchors: there are none, or they hold all frequent words, so that none is left to replace them with.
    """
    words, ridge = lexical_regression(texts, scores)
    share = np.asarray(words.transform(texts).mean(axis=0)).ravel()
    effects = np.abs(ridge.coef_) * np.sqrt(share * (1 - share).clip(0))
    phrases = [str(phrase) for phrase in words.get_feature_names_out()]
    anchors = tuple(phrases[index] for index in np.argsort(-effects, kind="stable")[:n_phrases])
    # without their words, no filler makes an anchor with its neighbours
    taken = {word for anchor in anchors for word in anchor.split(" ")}
    by_effect = [phrases[index] for index in np.argsort(effects, kind="stable") if share[index] >= FILLER_SHARE]
    free = [phrase for phrase in by_effect if taken.isdisjoint(phrase.split(" "))]
    fillers = {}
    for n_words in {anchor.count(" ") + 1 for anchor in anchors}:
        fillers[n_words] = tuple(phrase for phrase in free if phrase.count(" ") + 1 == n_words)[:N_FILLERS]
        if not fillers[n_words]:
            raise NoAnchors(
                f"config: anchors.phrases is {n_phrases}; no frequent phrase of {counted(n_words, 'word')} is left to replace"
                " them with; expected a smaller number, or an experiment whose answers are text."
            )
    return Replacement(anchors, fillers)


def is_neighbour(row: dict[str, Any], train_cell: str) -> bool:
    """Whether a judged narrow answer with scores shares just the task, or just the domain, with the training cell."""
    domain, task = train_cell.split("-")
    scored = row["eval_set"] == "narrow" and row["status"] == "ok"
    return scored and (row["domain"] == domain) != (row["task"] == task)


def rejudge(
    rows: list[dict[str, Any]],
    replace: Callable[[str], str],
    judge: Callable[[list[dict[str, Any]]], list[dict[str, Any]]],
) -> list[dict[str, Any]]:
    """The rows, in order, with replaced answers and their scores; an answer that is not changed keeps its own.

    Args:
        rows: judged rows with an answer.
        replace: answer -> answer.
        judge: rows -> the same rows, judged; it sees the changed ones only.
    """
    replaced = [row | {"answer": replace(row["answer"])} for row in rows]
    changed = [new["answer"] != old["answer"] for new, old in zip(replaced, rows, strict=True)]
    judged = iter(judge([row for row, is_changed in zip(replaced, changed, strict=True) if is_changed]))
    return [next(judged) if is_changed else row for row, is_changed in zip(rows, changed, strict=True)]
