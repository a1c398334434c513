"""Anthropic's Messages and Message Batches, through the official SDK.

Key and address come from the environment: ANTHROPIC_API_KEY, and ANTHROPIC_BASE_URL for another address.
"""

import json
import os
from datetime import UTC, datetime, timedelta
from functools import cached_property

import anthropic
from anthropic.types import Message
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from emtransfer.errors import InputError
from emtransfer.remote.calls import Call, Reply, Usage
from emtransfer.remote.providers import BatchResults
from emtransfer.remote.sdks import MAX_RETRIES, UnreadableReply, readable_reply, sdk_errors

# the newest version of the API that takes a temperature; later ones refuse any (the SDK names its own by default)
TEMPERATURE_VERSION = "2023-06-01"
KEY = "ANTHROPIC_API_KEY"


class AnthropicProvider:
    """Calls Claude models.

    Args:
        timeout_seconds: of one attempt; an attempt that takes longer is made again.
    """

    name = "anthropic"
    takes_batches = True

    def __init__(self, timeout_seconds: float = 120):
        self.timeout_seconds = timeout_seconds

    @cached_property
    def client(self) -> anthropic.Anthropic:
        """The SDK's client, made at the first call, so that a run that finds all replies in the store needs no key."""
        if not os.environ.get(KEY):
            raise InputError(f"{KEY} is not set; expected a key in the environment to ask Claude models.")
        return anthropic.Anthropic(max_retries=MAX_RETRIES, timeout=self.timeout_seconds)

    def ask(self, call: Call) -> Reply:
        """Make one call; see Provider."""
        return readable_reply(lambda: self.ask_once(call))

    def ask_once(self, call: Call) -> Reply:
        """As `ask`; raises UnreadableReply for a reply that cannot be read."""
        fields = request_fields(call)
        # the SDK has no parameter for a temperature, since its own version of the API has none
        extra_body = {"temperature": fields.pop("temperature")} if "temperature" in fields else None
        headers = version_header([call])
        with sdk_errors(anthropic, KEY, call.model):
            return as_reply(self.client.messages.create(**fields, extra_body=extra_body, extra_headers=headers))

    def submit(self, calls: list[Call]) -> str:
        """Hand in a batch; see Provider.

        If the connection breaks before the provider has said the batch's id, the batch is looked for there, since it
        may be paid for already.
        """
        requests = [{"custom_id": call.key, "params": request_fields(call)} for call in calls]
        # a repeated request would be a second batch, so only a request that was turned away is repeated
        turned_away = Retrying(
            retry=retry_if_exception_type((anthropic.RateLimitError, anthropic.InternalServerError)),
            wait=wait_random_exponential(multiplier=0.5, max=60),
            stop=stop_after_attempt(MAX_RETRIES),
            reraise=True,
        )
        once = self.client.with_options(max_retries=0).messages.batches.create
        started = datetime.now(UTC)
        with sdk_errors(anthropic, KEY, calls[0].model):
            try:
                return turned_away(once, requests=requests, extra_headers=version_header(calls)).id
            except anthropic.APIConnectionError:
                accepted = self.accepted_batches(len(calls), started)
                if not accepted:
                    raise
                return accepted[0]

    def accepted_batches(self, n_calls: int, started: datetime) -> list[str]:
        """Ids of the batches of so many calls that were created since, give or take the clocks' difference."""
        since = started - timedelta(minutes=1)
        recent = self.client.messages.batches.list(limit=20)
        return [
            batch.id
            for batch in recent.data
            if sum(batch.request_counts.to_dict().values()) == n_calls and batch.created_at >= since
        ]

    def results(self, batch_id: str, keys: list[str]) -> BatchResults | None:
        """The results of a batch; see Provider."""
        with sdk_errors(anthropic, KEY, batch_id):
            if self.client.messages.batches.retrieve(batch_id).processing_status != "ended":
                return None
            entries = list(self.client.messages.batches.results(batch_id))
        expected, replies, failures, foreign = set(keys), {}, {}, []
        for entry in entries:
            key, result = entry.custom_id, entry.result
            try:
                if key not in expected:
                    foreign.append(str(key))
                elif result.type == "succeeded":
                    replies[key] = as_reply(result.message, batched=True)
                else:
                    failures[key] = f"{result.type} in batch"
            except UnreadableReply:
                failures[key] = "unreadable in batch"
        return BatchResults(replies, failures, foreign)


def request_fields(call: Call) -> dict:
    """The body of a request; the instructions are marked for the provider's cache."""
    system = [{"type": "text", "text": call.system, "cache_control": {"type": "ephemeral"}}]
    fields = {
        "model": call.model,
        "max_tokens": call.max_tokens,
        "system": system,
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
    usage = getattr(message, "usage", None)
    counts = [getattr(usage, "input_tokens", None), getattr(usage, "output_tokens", None)]
    if not isinstance(message.content, list) or not all(isinstance(count, int) for count in counts):
        raise UnreadableReply
    return Reply(
        id=message.id,
        text="".join(block.text for block in message.content if block.type == "text"),
        stop_reason=str(message.stop_reason),
        usage=Usage(*counts, usage.cache_creation_input_tokens or 0, usage.cache_read_input_tokens or 0),
        batched=batched,
    )
