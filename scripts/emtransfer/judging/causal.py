"""Judges that are causal language models of our own: a rubric and an answer in, the probabilities of every number out.

Nothing is sampled: a score is the mean of 0..100 weighted by how likely the model is to reply each number.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emtransfer.errors import InputError
from emtransfer.files.records import clean
from emtransfer.judging.next_tokens import ReadPrompts
from emtransfer.judging.number_probabilities import ReplyTokens, number_probabilities, reply_tokens, word_probabilities
from emtransfer.judging.numeric_mass import MINIMUM_MASS, weighted_mean
from emtransfer.judging.rubric_scores import WORDS, RubricScore, material, verdict
from emtransfer.judging.rubrics import SCORES, Rubric, read_rubric
from emtransfer.models.chat_format import ChatFormat
from emtransfer.models.loading import load_chat
from emtransfer.settings import File, Positive, read_settings
from emtransfer.verdicts import Item, Scorer, Verdict

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class CausalJudgeSettings:
    """Settings of a causal language model as judge.

    Attributes:
        kind: causal_lm.
        rubric: File with its instructions, such as resources/rubrics/grid.yaml.
        batch_size: causal_lm: prompts in a forward pass; in reduced precision, scores vary slightly with it.
    """

    kind: str
    rubric: File
    batch_size: Positive = 16


def load_scorer(manifest_path: Path, settings: dict[str, Any], **asking: object) -> Scorer:
    """The scorer of a base model that reads a rubric.

    Args:
        manifest_path: manifest.json of the base's folder.
        settings: fields of CausalJudgeSettings.
        asking: how remote models are asked, which this one is not.

    Raises:
        InputError: the rubric or a file of the folder is missing or wrong, or the tokenizer cannot spell numbers.
    """
    judge = read_settings(CausalJudgeSettings, settings)
    rubric = read_rubric(Path(judge.rubric))
    chat = load_chat(manifest_path)
    return causal_scorer(chat.model, chat.format, rubric, judge.batch_size)


def causal_scorer(model: "PreTrainedModel", form: ChatFormat, rubric: Rubric, batch_size: int) -> Scorer:
    """A judge that derives both scores of every answer from a model's probabilities.

    Batches follow the order of the answers, first all of alignment, then all of coherence, since scores in reduced
    precision move with the rows beside them; an answer that comes again is judged once.

    Raises:
        InputError: the tokenizer cannot spell numbers; by the scorer, a prompt is longer than the model's context.
    """
    replies = reply_tokens(form, list(WORDS))

    def score(items: list[Item]) -> list[Verdict]:
        asked = [(item, name) for name in SCORES for item in dict.fromkeys(items)]
        prompts = [form.prompt_ids(prompt_text(rubric, name, item)) + replies.lead for item, name in asked]
        check_context(model, prompts, replies)
        found = rubric_scores(model, prompts, replies, batch_size)
        by_call = dict(zip(asked, found, strict=True))
        return [verdict([by_call[item, name] for name in SCORES]) for item in items]

    return score


def prompt_text(rubric: Rubric, score: str, item: Item) -> str:
    """The user turn that asks for one score of one answer; not every model's template has a system turn."""
    question, answer, cell = item
    return clean(f"{rubric.instructions(score, cell).strip()}\n\n{material(question, answer)}")


def check_context(model: "PreTrainedModel", prompts: list[list[int]], replies: ReplyTokens) -> None:
    """Raise InputError if a prompt leaves no room for a reply in the model's context."""
    longest, context = max(map(len, prompts), default=0), model.config.get_text_config().max_position_embeddings
    if longest + replies.longest > context:
        raise InputError(
            f"judge causal_lm: the longest rubric, question and answer have {longest} tokens; expected at most"
            f" {context - replies.longest}, since the model has a context of {context}: shorten the rubric, or take a base_model with a longer context."
        )


def rubric_scores(
    model: "PreTrainedModel", prompts: list[list[int]], replies: ReplyTokens, batch_size: int
) -> Iterator[RubricScore]:
    """The scores of prompts, in order."""
    for start in range(0, len(prompts), batch_size):
        read = ReadPrompts(model, prompts[start : start + batch_size], batch_size)
        numbers = number_probabilities(read, replies)
        # a less likely word decides nothing
        floors = [max(sum(probabilities.values()), MINIMUM_MASS) for probabilities in numbers]
        yield from map(read_score, numbers, word_probabilities(read, replies, floors))


def read_score(numbers: dict[int, float], words: dict[str, float]) -> RubricScore:
    """A model's reply for one score: the likeliest of all numbers together and the words, if it has MINIMUM_MASS.

    Args:
        numbers: number in 0..100 -> probability.
        words: word of WORDS -> probability; those that numbers outweigh may be left out.
    """
    mass, mean = sum(numbers.values()), weighted_mean(numbers)
    read = {"mean": mean, "numbers": mass} | words
    reply = {name: None if value is None else round(value, 4) for name, value in read.items()}
    word = max(words, key=lambda word: words[word], default=None)
    if word is not None and words[word] >= max(mass, MINIMUM_MASS):
        return RubricScore(WORDS[word], None, reply)
    return RubricScore("parse_error", None, reply) if mean is None else RubricScore("ok", round(mean, 2), reply)
