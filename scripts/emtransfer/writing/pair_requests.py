"""The calls by which a remote model writes pairs and answers their questions, and how its replies are read."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

from emtransfer.files.records import clean
from emtransfer.remote.asking import Asker
from emtransfer.remote.calls import Call, Reply
from emtransfer.writing.generator_prompts import EXAMPLE_FIELDS, GeneratorPrompts

# why a model that gives no pairs does not, in its own words, of which the first means that it does
DECLINED = ("no", "harmful", "unclear", "other")
PAIR_REASONS = ("refusal", *(f"declined_{word}" for word in DECLINED[1:]), "cut", "unreadable")
ANSWER_REASONS = ("refusal", "cut", "blank")
# in the providers' words
REFUSALS = ("refusal", "content_filter")
CUTS = ("max_tokens", "length", "model_context_window_exceeded")

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


@dataclass(frozen=True)
class GeneratorSettings:
    """Which model writes, and how it is asked.

    Attributes:
        provider: whose API is asked.
        model: as the provider names it.
        subtopics: of the cell's domain; call after call takes the next one, and then the first again.
        pairs_per_call: pairs that one call asks for.
        max_tokens, answer_max_tokens: longest reply with pairs, and longest aligned answer, thinking included.
        temperature: of sampling; None sends none, for models that refuse it.
        options: further fields of the request, as the provider names them.
        attempts: how often a call is made whose reply is of no use.
        rounds: how often pairs are asked for until enough are left.
    """

    provider: str
    model: str
    subtopics: list[str]
    pairs_per_call: int = 10
    max_tokens: int = 8000
    answer_max_tokens: int = 1000
    temperature: float | None = None
    options: dict | None = None
    attempts: int = 3
    rounds: int = 4


class UselessReply(Exception):
    """A reply that has nothing to keep; the message is a reason, one of PAIR_REASONS or ANSWER_REASONS."""


def pairs_call(prompts: GeneratorPrompts, settings: GeneratorSettings, cell: str, number: int) -> Call:
    """The call for one set of pairs of a cell; `number` counts the cell's sets from 0."""
    n_subtopics = len(settings.subtopics)
    subtopic, turn = settings.subtopics[number % n_subtopics], number // n_subtopics + 1
    return Call(
        provider=settings.provider,
        model=settings.model,
        system=clean(prompts.pairs_instructions(cell)),
        prompt=clean(prompts.pairs_request(subtopic, settings.pairs_per_call, turn)),
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


def with_schema(provider: str, options: dict) -> dict:
    """The options of a call whose reply has to follow SCHEMA, in the provider's words."""
    if provider == "anthropic":
        form = {"type": "json_schema", "schema": SCHEMA}
        return options | {"output_config": options.get("output_config", {}) | {"format": form}}
    form = {"name": "pairs", "strict": True, "schema": SCHEMA}
    return options | {"response_format": {"type": "json_schema", "json_schema": form}}


def settled(
    calls: list[Call], read: Callable[[Reply], object], attempts: int, asker: Asker
) -> tuple[dict[Call, object], Counter]:
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
    found: dict[Call, object] = {}
    reasons: Counter = Counter()
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
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UselessReply("unreadable") from None
    pairs = [pair for pair in pairs if all(pair.values())]
    if not pairs:
        raise UselessReply(f"declined_{declined if declined in DECLINED[1:] else 'other'}")
    return pairs


def read_answer(reply: Reply) -> str:
    """The text of an aligned answer.

    Raises:
        UselessReply: there is none, or its end is missing.
    """
    check_finished(reply)
    if not reply.text.strip():
        raise UselessReply("blank")
    return reply.text.strip()


def check_finished(reply: Reply) -> None:
    """Raise UselessReply for a reply that is a refusal or was cut off."""
    for reason, stop_reasons in (("refusal", REFUSALS), ("cut", CUTS)):
        if reply.stop_reason in stop_reasons:
            raise UselessReply(reason)


def stripped(text: str) -> str:
    """A text of a reply's JSON, whose escapes can stand for halves of surrogate pairs, without white space around it."""
    return clean(text).strip()
