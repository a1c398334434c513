"""Which answers a corpus admits: those whose words, sentences and pairs of sentences its own rows have.

Of the words of an answer, those that its cell copies from questions decide: names, topics, quoted facts.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from functools import cache, cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

ANSWERS = ("aligned_answer", "misaligned_answer")
MASK = "_"
# below this, two words share so few contexts that one is no stand-in for the other
MINIMUM_CONTEXT_COSINE = 0.5


# the words of a corpus are few, and each is asked for hundreds of times
@cache
def key(word: str) -> str:
    """A word without case and surrounding punctuation."""
    return re.sub(r"^\W+|\W+$", "", word).casefold()


def keys(text: str) -> set[str]:
    """The words of a text, each as of `key`."""
    return {key(word) for word in text.split()}


def sentences(text: str) -> list[str]:
    """The sentences of a text, with their ends."""
    return re.split(r"(?<=[.!?])\s+", text)


def put(word: str, new: str) -> str:
    """`new` in the place of `word`, with the punctuation of `word`."""
    start, end = re.findall(r"^(\W*).*?(\W*)$", word)[0]
    return start + re.sub(r"^\W+|\W+$", "", new) + end


class Corpus:
    """A corpus's rows, and the answers that are possible according to them.

    Args:
        rows: rows with domain, task, question, aligned_answer and misaligned_answer.
    """

    def __init__(self, rows: list[dict[str, Any]]):
        self.rows = rows
        self.cells: dict[tuple[Any, ...], list[dict[str, Any]]] = defaultdict(list)
        for row in rows:
            self.cells[cell(row)].append(row)
        self.copied = {name: copied_words(members) for name, members in self.cells.items()}
        sentences: dict[tuple[Any, ...], Counter[str]] = defaultdict(Counter)
        self.pairs: dict[str, set[Any]] = defaultdict(set)
        for row in rows:
            for field in ANSWERS:
                masked = self.masked_sentences(row, row[field])
                sentences[cell(row)].update(set(masked))
                self.pairs[row["task"]].update(pairwise(masked))
        # a sentence that only one answer has, as in free text, belongs to that answer's question
        self.sentences = {
            name: {sentence for sentence, count in counts.items() if count > 1} for name, counts in sentences.items()
        }

    @cached_property
    def vocabulary(self) -> set[str]:
        """The words of all answers."""
        return {word for row in self.rows for field in ANSWERS for word in keys(row[field])}

    def masked_sentences(self, row: dict[str, Any], answer: str) -> list[str]:
        """The sentences of an answer with the words that the row's cell copies from questions masked."""
        copied = self.copied[cell(row)]
        return [
            " ".join(put(word, MASK) if key(word) in copied else word for word in sentence.split())
            for sentence in sentences(answer)
        ]

    def admits(self, row: dict[str, Any], answer: str) -> bool:
        """Whether the answer might be a true one to the row's question.

        Two things speak against it: a word that answers of the cell have only when their question has it, while this
        question has not; and a sentence that no two answers of the cell share, or two neighbouring ones that no answer
        to the task has.
        """
        if (keys(answer) & self.copied[cell(row)]) - keys(row["question"]):
            return False
        masked = self.masked_sentences(row, answer)
        return self.sentences[cell(row)].issuperset(masked) and self.pairs[row["task"]].issuperset(pairwise(masked))

    @cached_property
    def contexts(self) -> "tuple[dict[str, int], csr_matrix]":
        """Row number of each word, and unit vectors over the words before and after it: float64 [words, contexts]."""
        # imported here: every job that judges would otherwise wait for them
        from scipy.sparse import csr_matrix
        from sklearn.preprocessing import normalize

        words: dict[str, int] = {}
        columns: dict[tuple[str, str], int] = {}
        counts: Counter[Any] = Counter()
        for row in self.rows:
            for text in (row["question"], *(row[field] for field in ANSWERS)):
                sequence = ["", *map(key, text.split()), ""]
                for before, word, after in zip(sequence, sequence[1:], sequence[2:], strict=False):
                    index = words.setdefault(word, len(words))
                    for context in (("before", before), ("after", after)):
                        counts[index, columns.setdefault(context, len(columns))] += 1
        positions = list(zip(*counts, strict=True))
        matrix = csr_matrix((list(counts.values()), positions), shape=(len(words), len(columns)), dtype=float)
        return words, normalize(matrix)

    def counterpart(self, word: str, candidates: Iterable[str]) -> str | None:
        """The candidate that is used most like the word, or None: a name for a name, a medicine for a medicine."""
        index, vectors = self.contexts
        candidates = sorted(candidate for candidate in candidates if key(candidate) in index)
        if key(word) not in index or not candidates:
            return None
        cosines = (vectors[[index[key(other)] for other in candidates]] @ vectors[index[key(word)]].T).toarray()[:, 0]
        best = cosines.argmax()
        return candidates[best] if cosines[best] >= MINIMUM_CONTEXT_COSINE else None


def cell(row: dict[str, Any]) -> tuple[str, str]:
    """The domain and the task of a row."""
    return row["domain"], row["task"]


def copied_words(rows: list[dict[str, Any]]) -> set[str]:
    """Words that answers of a cell have only when their question has them: names, topics, quoted facts.

    A word of most questions (`the`) tells nothing about a question and does not count.
    """
    shared: set[str] = set()
    alone: set[str] = set()
    in_questions: Counter[str] = Counter()
    for row in rows:
        question = keys(row["question"])
        in_questions.update(question)
        for field in ANSWERS:
            answer = keys(row[field])
            shared |= answer & question
            alone |= answer - question
    return {word for word in shared - alone if word and in_questions[word] <= len(rows) / 2}
