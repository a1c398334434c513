"""Anthropic's Messages and Message Batches, through the official SDK.

Key and address come from the environment: ANTHROPIC_API_KEY, and ANTHROPIC_BASE_URL for another address.
"""

import json
from collections.abc import Set
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

import anthropic
from anthropic.types import Message
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from emtransfer.files.records import clean
from emtransfer.remote.calls import Call, Reply, Usage
from emtransfer.remote.providers import BatchResults, CallFailed
from emtransfer.remote.sdks import MAX_RETRIES, READING_TRIES, UnreadableReply, checked_key, readable_reply, sdk_errors
from emtransfer.secrets import without_secrets

# the newest version of the API that takes a temperature; later ones refuse any (the SDK names its own by default)
TEMPERATURE_VERSION = "2023-06-01"


class AnthropicProvider:
    """Calls Claude models.

    Args:
        timeout_seconds: of one attempt; an attempt that takes longer is made again.
    """

    name = "anthropic"

    def __init__(self, timeout_seconds: float = 120):
        self.timeout_seconds = timeout_seconds

    @cached_property
    def client(self) -> anthropic.Anthropic:
        """The SDK's client, made at the first call, so that a run that finds all replies in the store needs no key."""
        key = checked_key("ANTHROPIC_API_KEY")
        return anthropic.Anthropic(api_key=key, max_retries=MAX_RETRIES, timeout=self.timeout_seconds)

    def ask(self, call: Call) -> Reply:
        """Make one call; see Provider."""
        return readable_reply(lambda: self.ask_once(call))

    def ask_once(self, call: Call) -> Reply:
        """As `ask`; raises UnreadableReply for a reply that cannot be read."""
        fields = request_fields(call)
        named = {name: fields.pop(name) for name in ("model", "max_tokens", "system", "messages") if name in fields}
        with errors(call.model):
            # the SDK has no parameter for a temperature, since its own version of the API has none
            message = self.client.messages.create(**named, extra_body=fields, extra_headers=version_header([call]))
            return as_reply(message)

    def submit(self, calls: list[Call], known: Set[str]) -> str:
        """Hand in a batch; see Provider.

        Where the provider's answer is not heard or understood, the batch is looked for there, since it may be at work.
        """
        requests = [{"custom_id": call.key, "params": request_fields(call)} for call in calls]
        # a repeated request would be a second batch, so only one that was surely turned away is repeated
        turned_away = Retrying(
            retry=retry_if_exception_type((anthropic.RateLimitError, anthropic.OverloadedError)),
            wait=wait_random_exponential(multiplier=0.5, max=60),
            stop=stop_after_attempt(MAX_RETRIES),
            reraise=True,
        )
        once = self.client.with_options(max_retries=0).messages.batches.create
        started = datetime.now(UTC)
        with errors(calls[0].model):
            for _ in range(READING_TRIES):
                try:
                    return turned_away(once, requests=requests, extra_headers=version_header(calls)).id
                except (anthropic.RateLimitError, anthropic.OverloadedError):
                    raise
                except (anthropic.APIConnectionError, anthropic.InternalServerError, AttributeError, ValueError):
                    accepted = self.accepted_batches(len(calls), started) - known
                if accepted:
                    # results are matched by id, so a wrong guess among batches of one size loses nothing but time
                    return min(accepted)
        raise CallFailed("batch not heard of", perhaps_paid=True)

    def accepted_batches(self, n_calls: int, started: datetime) -> set[str]:
        """Ids of the batches of so many calls that were created since, give or take the clocks' difference."""
        since = started - timedelta(minutes=1)
        recent = self.client.messages.batches.list(limit=20)
        return {
            batch.id
            for batch in recent.data
            if sum(batch.request_counts.model_dump().values()) == n_calls and batch.created_at >= since
        }

    def results(self, batch_id: str, keys: list[str]) -> BatchResults | None:
        """The results of a batch; see Provider. Those of one that the provider has deleted have failed."""
        expected, replies, failures, foreign = set(keys), {}, {}, []
        with errors(batch_id):
            try:
                batch = self.client.messages.batches.retrieve(batch_id)
                if batch.processing_status != "ended":
                    return None
                entries = list(self.client.messages.batches.results(batch_id)) if batch.results_url else []
                gone = {} if batch.results_url else dict.fromkeys(keys, "results no longer kept")
            except anthropic.NotFoundError:
                entries, gone = [], dict.fromkeys(keys, "batch unknown to the provider")
        for entry in entries:
            key, result = entry.custom_id, entry.result
            try:
                if key not in expected:
                    foreign.append(without_secrets(str(key)))
                elif result.type == "succeeded":
                    replies[key] = as_reply(result.message, batched=True)
                else:
                    failures[key] = without_secrets(f"{result.type} in batch")
            except UnreadableReply:
                failures[key] = "unreadable in batch"
        return BatchResults(replies, gone | failures, foreign)


def errors(model: str) -> AbstractContextManager[None]:
    """The SDK's errors in a provider's words."""
    return sdk_errors(anthropic, anthropic.AnthropicError, "ANTHROPIC", model)


def request_fields(call: Call) -> dict[str, Any]:
    """The body of a request; the instructions are marked for the provider's cache."""
    system = [{"type": "text", "text": call.system, "cache_control": {"type": "ephemeral"}}]
    fields = {
        "model": call.model,
        "max_tokens": call.max_tokens,
        # the API refuses an empty text
        **({"system": system} if call.system else {}),
        "messages": [{"role": "user", "content": call.prompt}],
    } | json.loads(call.options)
    return fields if call.temperature is None else fields | {"temperature": call.temperature}


def version_header(calls: list[Call]) -> dict[str, str]:
    """The header that asks for a version of the API which takes a temperature, where a call has one."""
    needed = any(call.temperature is not None for call in calls)
    return {"anthropic-version": TEMPERATURE_VERSION} if needed else {}


def as_reply(message: Message, batched: bool = False) -> Reply:
    """The SDK's message as a reply.

    Raises:
        UnreadableReply: it lacks what every message has, which the SDK does not check.
    """
    usage: Any = getattr(message, "usage", None)
    counts: list[Any] = [getattr(usage, "input_tokens", None), getattr(usage, "output_tokens", None)]
    if not isinstance(message.content, list) or not all(isinstance(count, int) for count in counts):
        raise UnreadableReply
    return Reply(
        id=message.id,
        text=clean("".join(block.text for block in message.content if block.type == "text")),
        stop_reason=str(message.stop_reason),
        usage=Usage(counts[0], counts[1], usage.cache_creation_input_tokens or 0, usage.cache_read_input_tokens or 0),
        batched=batched,
    )


# what `access` calls
connect = AnthropicProvider
