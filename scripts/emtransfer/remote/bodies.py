"""Schemas of the providers' replies, read strictly: a body of any other form is an unreadable reply, never a traceback.

The SDKs build their objects of whatever a server sends, so bodies are read here, of their bytes. Fields that are not named
here are passed over, since providers add some without notice, and so are blocks of a message that are not text.
"""

import json
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

from emtransfer.files.records import clean
from emtransfer.remote.calls import Reply, Usage
from emtransfer.remote.providers import CallFailed

# no model's context is that long
MOST_TOKENS = 10_000_000
# nor is a reply that long, even with the probabilities of every token; in a batch this limits a line of the results
LONGEST_BYTES = 8 * 2**20


class UnreadableReply(CallFailed):
    """A reply that is not of the provider's schema; it may have been paid for, and may come out well another time."""

    def __init__(self) -> None:
        super().__init__("unreadable reply", perhaps_paid=True, again=True)


def cleaned(value: Any) -> Any:
    """A text without halves of surrogate pairs, which JSON can hold and a file cannot; anything else as it is."""
    return clean(value) if isinstance(value, str) else value


Text = Annotated[str, BeforeValidator(cleaned)]
# a word from the provider, such as the ID that it gives to a reply
Word = Annotated[Text, StringConstraints(min_length=1, max_length=200)]
# it becomes part of an address, and is kept in the store
BatchId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,128}$")]
Tokens = Annotated[int, Field(ge=0, le=MOST_TOKENS)]


class Body(BaseModel):
    """An object of a reply; a value of another type than the one named is an error, as is a number in quotes."""

    model_config = ConfigDict(strict=True)


BodyType = TypeVar("BodyType", bound=Body)


# ---- Anthropic's Messages


class Block(Body):
    """A part of a message; one that is not text – a thought, or of a type yet unknown – has none."""

    type: Word
    text: Text | None = None


class MessageUsage(Body):
    """Tokens of a message."""

    input_tokens: Tokens
    output_tokens: Tokens
    cache_creation_input_tokens: Tokens | None = None
    cache_read_input_tokens: Tokens | None = None


class Message(Body):
    """A reply of the Messages API."""

    id: Word
    content: list[Block]
    stop_reason: Word
    usage: MessageUsage

    def reply(self, batched: bool = False) -> Reply:
        """The message as the pipeline knows replies.

        Raises:
            UnreadableReply: a block of text has none.
        """
        texts = [block.text for block in self.content if block.type == "text"]
        if None in texts:
            raise UnreadableReply
        usage = self.usage
        cached = usage.cache_creation_input_tokens or 0, usage.cache_read_input_tokens or 0
        text = "".join(text or "" for text in texts)
        return Reply(self.id, text, self.stop_reason, Usage(usage.input_tokens, usage.output_tokens, *cached), batched)


# ---- Anthropic's Message Batches


class RequestCounts(Body):
    """How many calls of a batch have come how far."""

    canceled: int = 0
    errored: int = 0
    expired: int = 0
    processing: int = 0
    succeeded: int = 0


class BatchAccepted(Body):
    """What says that a batch was accepted: its id."""

    id: BatchId


class BatchBody(BatchAccepted):
    """A batch as the provider describes it; its results are fetched by its id, wherever `results_url` points."""

    processing_status: Literal["in_progress", "canceling", "ended"]
    results_url: str | None = None


class ListedBatch(BatchAccepted):
    """A batch in the provider's list."""

    created_at: Annotated[AwareDatetime, Field(strict=False)]
    request_counts: RequestCounts

    def made_since(self, moment: datetime | None) -> bool:
        """Whether it was made since a moment of the provider's own clock; None for the beginning of time."""
        return moment is None or self.created_at >= moment


class BatchList(Body):
    """The provider's latest batches; those that cannot be read are told from the others one by one."""

    data: list[Any]


class Outcome(Body):
    """What has come of one call of a batch; `message` is what came of one that succeeded."""

    type: Literal["succeeded", "errored", "canceled", "expired"]
    message: Any = None


class ResultLine(Body):
    """A line of a batch's results."""

    custom_id: Text
    result: Any


# ---- chat completions


class TopToken(Body):
    """A token that the reply might have begun with; a logarithm may be written as a whole number."""

    token: Text
    logprob: Annotated[float, Field(strict=False, allow_inf_nan=False)]


class FirstToken(Body):
    """A token of the reply, with the likeliest in its place."""

    top_logprobs: list[TopToken] = []


class Logprobs(Body):
    """Probabilities of a choice."""

    content: list[FirstToken] | None = None


class ChoiceMessage(Body):
    """The text of a choice, or what a model that declines says instead."""

    content: Text | None = None
    refusal: Text | None = None


class Choice(Body):
    """One of the replies to a call; one is asked for."""

    message: ChoiceMessage
    finish_reason: Word
    logprobs: Logprobs | None = None


class PromptDetails(Body):
    """Of the tokens that were read."""

    cached_tokens: Tokens | None = None


class CompletionUsage(Body):
    """Tokens of a completion; those that came from the provider's cache are in `prompt_tokens`."""

    prompt_tokens: Tokens
    completion_tokens: Tokens
    prompt_tokens_details: PromptDetails | None = None


class Completion(Body):
    """A reply of the chat completions of OpenAI and of servers that speak its API."""

    id: Word
    choices: Annotated[list[Choice], Field(min_length=1)]
    usage: CompletionUsage

    def reply(self) -> Reply:
        """The completion as the pipeline knows replies.

        Raises:
            UnreadableReply: more tokens came from the cache than were read.
        """
        choice, usage = self.choices[0], self.usage
        n_cached = (usage.prompt_tokens_details and usage.prompt_tokens_details.cached_tokens) or 0
        if n_cached > usage.prompt_tokens:
            raise UnreadableReply
        first = choice.logprobs.content[0] if choice.logprobs and choice.logprobs.content else None
        return Reply(
            id=self.id,
            text=choice.message.content or "",
            # a model that declines says so in a field of its own
            stop_reason="refusal" if choice.message.refusal else choice.finish_reason,
            usage=Usage(usage.prompt_tokens - n_cached, usage.completion_tokens, 0, n_cached),
            top_logprobs={top.token: top.logprob for top in first.top_logprobs} if first else None,
        )


# ---- reading


def as_body(kind: type[BodyType], value: Any) -> BodyType:
    """A value of JSON as a body of one kind.

    Raises:
        UnreadableReply: it is none.
    """
    try:
        return kind.model_validate(value)
    except (ValidationError, ValueError, RecursionError, OverflowError):
        raise UnreadableReply from None


def read_body(kind: type[BodyType], content: bytes) -> BodyType:
    """The bytes of a reply as a body of one kind.

    Raises:
        UnreadableReply: they are not such a body, or not JSON at all.
    """
    try:
        value = json.loads(content)
    # RecursionError for deep nesting; ValueError for all else that is not JSON or not Unicode, and for endless numbers
    except (RecursionError, ValueError):
        raise UnreadableReply from None
    return as_body(kind, value)
