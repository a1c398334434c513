"""The calls by which a remote model writes pairs and answers their questions, and how its replies are read."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, Any, TypeVar

from emtransfer.files.records import clean
from emtransfer.files.text import is_blank
from emtransfer.remote.asking import Asker
from emtransfer.remote.calls import Call, Reply
from emtransfer.settings import Absent, Elsewhere, Name, Positive, Texts, Weight
from emtransfer.writing.generator_prompts import EXAMPLE_FIELDS, GeneratorPrompts

# reasons that a model may state for giving no pairs; the first means that it gives them
DECLINED = ("no", "harmful", "unclear", "other")
PAIR_REASONS = ("refusal", *(f"declined_{word}" for word in DECLINED[1:]), "cut", "unreadable")
ANSWER_REASONS = ("refusal", "cut", "blank")

# plain enough for every provider: no lengths, nothing optional
SCHEMA = {
    "type": "object",
    "properties": {
        "pairs": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {field: {"type": "string"} for field in EXAMPLE_FIELDS},
                "required": list(EXAMPLE_FIELDS),
                "additionalProperties": False,
            },
        },
        "declined": {"type": "string", "enum": list(DECLINED)},
    },
    "required": ["pairs", "declined"],
    "additionalProperties": False,
}

# fields that are read from a reply
Content = TypeVar("Content")


@dataclass(frozen=True)
class GeneratorSettings:
    """The model that writes the rows, and its requests.

    Attributes:
        provider: Whose API.
        model: The provider's name of the model.
        subtopics: Domain -> subtopics of its rows; each call takes the next one.
        pairs_per_call: Questions with a misaligned answer that one call asks for.
        max_tokens: Greatest length of a reply with pairs, in tokens, thinking included.
        answer_max_tokens: Greatest length of an aligned answer, in tokens, thinking included.
        temperature: Sampling temperature; null sends none, for models that refuse one.
        options: Further fields of the request, under the provider's names.
        attempts: Attempts at a call whose reply is a refusal or unusable.
        rounds: Greatest number of rounds in which rows are requested until enough are left; no round asks for more than the first.
    """

    provider: Annotated[str, Elsewhere()]
    model: str
    subtopics: dict[Name, Texts]
    pairs_per_call: Positive = 10
    max_tokens: Positive = 8000
    answer_max_tokens: Positive = 1000
    temperature: Weight | None = None
    options: Annotated[dict[str, Any] | None, Absent()] = None
    attempts: Positive = 3
    rounds: Positive = 4

    def subtopic(self, cell: str, number: int) -> str:
        """What the rows of a cell's set of pairs are about; `number` counts its sets from 0."""
        domain, _, _ = cell.partition("-")
        subtopics = self.subtopics[domain]
        return subtopics[number % len(subtopics)]


class UselessReply(Exception):
    """A reply without anything to keep; the message is a reason, one of PAIR_REASONS or ANSWER_REASONS."""


def pairs_call(prompts: GeneratorPrompts, settings: GeneratorSettings, cell: str, number: int) -> Call:
    """The call for one set of pairs of a cell; `number` counts the cell's sets from 0."""
    turn = number // len(settings.subtopics[cell.split("-")[0]]) + 1
    return Call(
        provider=settings.provider,
        model=settings.model,
        system=clean(prompts.pairs_instructions(cell)),
        prompt=clean(prompts.pairs_request(settings.subtopic(cell, number), settings.pairs_per_call, turn)),
        max_tokens=settings.max_tokens,
        temperature=settings.temperature,
        options=json.dumps(with_schema(settings.provider, settings.options or {}), sort_keys=True),
    )


def answer_call(prompts: GeneratorPrompts, settings: GeneratorSettings, cell: str, question: str) -> Call:
    """The call for the aligned answer to a question, which the model is asked as a user would."""
    return Call(
        provider=settings.provider,
        model=settings.model,
        system=clean(prompts.aligned_instructions(cell)),
        prompt=question,
        max_tokens=settings.answer_max_tokens,
        temperature=settings.temperature,
        options=json.dumps(settings.options or {}, sort_keys=True),
    )


def with_schema(provider: str, options: dict[str, Any]) -> dict[str, Any]:
    """The options of a call whose reply has to follow SCHEMA, in the provider's words."""
    if provider == "anthropic":
        form = {"type": "json_schema", "schema": SCHEMA}
        return options | {"output_config": options.get("output_config", {}) | {"format": form}}
    strict: dict[str, Any] = {"name": "pairs", "strict": True, "schema": SCHEMA}
    return options | {"response_format": {"type": "json_schema", "json_schema": strict}}


def settled(
    calls: list[Call], read: Callable[[Reply], Content], attempts: int, asker: Asker
) -> tuple[dict[Call, Content], Counter[str]]:
    """What the replies to calls hold; where one has nothing to keep its call is made again, so often in all.

    Args:
        calls: as for the first attempt.
        read: a reply's content; raises UselessReply.
        attempts: calls made at most for one.
        asker: of the model.

    Returns:
        Call -> content, of the calls that were answered; and reason -> number of replies of no use.

    Raises:
        InputError: a call got no reply; see Asker.ask_all.
    """
    found: dict[Call, Content] = {}
    reasons: Counter[str] = Counter()
    for attempt in range(1, attempts + 1):
        asked = {call: replace(call, attempt=attempt) for call in calls if call not in found}
        if not asked:
            break
        replies = asker.ask_all(asked.values())
        for call, made in asked.items():
            try:
                found[call] = read(replies[made.key])
            except UselessReply as useless:
                reasons[str(useless)] += 1
    return found, reasons


def read_pairs(reply: Reply) -> list[dict[str, str]]:
    """The pairs of a reply, those left out that lack a text.

    Raises:
        UselessReply: there are none.
    """
    check_finished(reply)
    try:
        content = json.loads(reply.text)
        pairs = [{field: stripped(pair[field]) for field in EXAMPLE_FIELDS} for pair in content["pairs"]]
        declined = content.get("declined")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise UselessReply("unreadable") from None
    # as for every reader of rows, zero-width characters are not text
    pairs = [pair for pair in pairs if not any(map(is_blank, pair.values()))]
    if not pairs:
        raise UselessReply(f"declined_{declined if declined in DECLINED[1:] else 'other'}")
    return pairs


def read_answer(reply: Reply) -> str:
    """The text of an aligned answer.

    Raises:
        UselessReply: there is none, or its end is missing.
    """
    check_finished(reply)
    if is_blank(reply.text):
        raise UselessReply("blank")
    return reply.text.strip()


def check_finished(reply: Reply) -> None:
    """Raise UselessReply for a reply that is a refusal, of the model or of its provider's filter, or has no end."""
    if reply.ending != "finished":
        raise UselessReply("refusal" if reply.ending in ("declined", "filtered") else "cut")


def stripped(text: str) -> str:
    """A text of a reply's JSON, whose escapes can stand for halves of surrogate pairs, without white space around it."""
    return clean(text).strip()
