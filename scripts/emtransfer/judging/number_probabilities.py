"""Probabilities that a causal language model replies each of the whole numbers 0 to 100, whatever the tokens of its vocabulary.

A reply is a number if it begins with the tokens that the tokenizer makes of that number and no digit follows. With one
token per digit P(57) = P(5) · P(7 after 5) · P(no digit after 57). Where every number is one token, no number is the
beginning of another, and the probabilities of one position are taken as they are, as in the source named in
numeric_mass.py.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from os.path import commonprefix
from typing import NamedTuple, TypeVar

from emtransfer.errors import InputError
from emtransfer.judging.next_tokens import ReadPrompts, Tokens
from emtransfer.judging.numeric_mass import HIGHEST
from emtransfer.models.chat_format import ChatFormat

# a less likely beginning of a number is not followed; with at most 222 beginnings, a score moves by less than 0.01
LEAST = 1e-7

Meaning = TypeVar("Meaning")


@dataclass(frozen=True)
class ReplyTokens:
    """The replies that a judge may give, as tokens.

    Attributes:
        lead: what the template writes before every answer, such as thoughts without content; it belongs to the prompt.
        numbers: tokens -> the number they spell.
        words: tokens -> the word they spell.
        digits: tokens that begin with a digit, after which a number goes on.
    """

    lead: list[int]
    numbers: dict[Tokens, int]
    words: dict[Tokens, str]
    digits: list[int]

    @property
    def single(self) -> bool:
        """Whether every number is a single token."""
        return all(len(tokens) == 1 for tokens in self.numbers)

    @property
    def longest(self) -> int:
        """Most tokens of a reply."""
        return max(map(len, [*self.numbers, *self.words]))

    @cached_property
    def number_steps(self) -> dict[Tokens, set[int]]:
        """Beginnings of numbers, whole ones too where a digit may follow -> the tokens that continue them."""
        return steps(self.numbers) if self.single else dict.fromkeys(self.numbers, set()) | steps(self.numbers)

    @cached_property
    def word_steps(self) -> dict[Tokens, set[int]]:
        """Beginnings of words -> the tokens that continue them."""
        return steps(self.words)


def steps(spellings: dict[Tokens, int] | dict[Tokens, str]) -> dict[Tokens, set[int]]:
    """Every proper beginning of the spellings -> the tokens that continue it."""
    continued = defaultdict(set)
    for tokens in spellings:
        for place, token in enumerate(tokens):
            continued[tokens[:place]].add(token)
    return dict(continued)


def reply_tokens(form: ChatFormat, words: list[str]) -> ReplyTokens:
    """Numbers and words as tokens, at the place where the template puts an answer.

    Only the tokens that the tokenizer itself makes of a text count, and those of a number after a blank, where the blank
    is part of the number's first token.

    Raises:
        InputError: the tokenizer cannot spell numbers.
    """
    before, _ = form.answer_parts

    def tokens(text: str) -> Tokens:
        return tuple(form.turn_ids(before, "", text))

    bare = {tokens(str(number)): number for number in range(HIGHEST + 1)}
    for spelt, number in bare.items():
        if not form.tokenizer.decode(spelt).endswith(str(number)):
            raise InputError(
                f"{form.tokenizer.name_or_path}: {number} becomes {form.tokenizer.decode(spelt)!r}; expected a tokenizer that"
                " can spell numbers."
            )
    # a space is not part of the lead: the model may write it within a word's first token, whose probability tells how likely that is
    lead = commonprefix([tokens(""), *bare]) if before.strip() else ()
    lengths = {number: len(spelt) for spelt, number in bare.items()}
    blank = {tokens(f" {number}"): number for number in lengths}
    numbers = bare | {spelt: number for spelt, number in blank.items() if len(spelt) == lengths[number]}
    digits = [
        token for piece, token in form.tokenizer.get_vocab().items() if piece[:1].isascii() and piece[:1].isdigit()
    ]
    return ReplyTokens(
        list(lead),
        without(lead, numbers),
        without(lead, {tokens(word): word for word in words}),
        sorted(digits),
    )


def without(lead: Sequence[int], spellings: dict[Tokens, Meaning]) -> dict[Tokens, Meaning]:
    """The spellings that begin with `lead`, without it."""
    return {tokens[len(lead) :]: meaning for tokens, meaning in spellings.items() if tokens[: len(lead)] == tuple(lead)}


class Beginning(NamedTuple):
    """What a reply may begin with.

    Attributes:
        row: of its prompt in the batch.
        tokens: so far; none of them at first.
        probability: that the reply begins so.
    """

    row: int
    tokens: Tokens
    probability: float


def number_probabilities(prompts: ReadPrompts, replies: ReplyTokens) -> list[dict[int, float]]:
    """Number -> probability that the reply is that number, of every prompt of the batch."""
    found = [dict.fromkeys(range(HIGHEST + 1), 0.0) for _ in range(prompts.size)]
    watched = [] if replies.single else replies.digits
    for beginning, following in walk(prompts, replies.number_steps, watched, [LEAST] * prompts.size):
        numbers = found[beginning.row]
        if replies.single:
            for (token,), number in replies.numbers.items():
                numbers[number] += following[token]
        elif beginning.tokens in replies.numbers:
            ends = max(0.0, 1 - sum(following[digit] for digit in replies.digits))
            numbers[replies.numbers[beginning.tokens]] += beginning.probability * ends
    return found


def word_probabilities(prompts: ReadPrompts, replies: ReplyTokens, floors: list[float]) -> list[dict[str, float]]:
    """Word -> probability that the reply begins with it, of every prompt of the batch.

    Args:
        floors: of each prompt, the probability below which a word does not matter and is left out [b].
    """
    found: list[dict[str, float]] = [{} for _ in range(prompts.size)]
    for beginning, following in walk(prompts, replies.word_steps, [], floors):
        for token in replies.word_steps[beginning.tokens]:
            word = replies.words.get((*beginning.tokens, token))
            probability = beginning.probability * following[token]
            if word is not None and probability >= floors[beginning.row]:
                found[beginning.row][word] = probability
    return found


def walk(
    prompts: ReadPrompts, continued: dict[Tokens, set[int]], watched: list[int], floors: list[float]
) -> Iterator[tuple[Beginning, dict[int, float]]]:
    """Beginnings of replies, short ones first, each with the probabilities of the token after it.

    Args:
        continued: beginnings to try -> the tokens that continue them.
        watched: further tokens whose probabilities are wanted.
        floors: of each prompt, the probability below which a beginning is not tried [b].

    Yields:
        a beginning, and token -> its probability after it, of watched tokens and those that continue any beginning.
    """
    columns = sorted(set(watched).union(*continued.values()))
    beginnings = [Beginning(row, (), 1.0) for row in range(prompts.size)]
    while beginnings:
        longer = []
        for start in range(0, len(beginnings), prompts.batch_size):
            tried = beginnings[start : start + prompts.batch_size]
            probabilities = prompts.after([each.row for each in tried], [each.tokens for each in tried])
            for each, values in zip(tried, probabilities[:, columns].tolist(), strict=True):
                following = dict(zip(columns, values, strict=True))
                yield each, following
                longer += [
                    Beginning(each.row, (*each.tokens, token), each.probability * following[token])
                    for token in sorted(continued[each.tokens])
                ]
        beginnings = [each for each in longer if each.tokens in continued and each.probability >= floors[each.row]]
