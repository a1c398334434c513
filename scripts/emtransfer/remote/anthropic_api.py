"""Anthropic's Messages and Message Batches, through the official SDK.

Key and address come from the environment: ANTHROPIC_API_KEY, and ANTHROPIC_BASE_URL for another address.
"""

import json
import time
from collections.abc import Set
from contextlib import AbstractContextManager, closing
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any

import anthropic
import httpx2

from emtransfer.remote.bodies import (
    BatchAccepted,
    BatchBody,
    BatchList,
    ListedBatch,
    Message,
    UnreadableReply,
    as_body,
    read_body,
)
from emtransfer.remote.caching import is_cached
from emtransfer.remote.calls import Call, Reply
from emtransfer.remote.providers import BatchGone, BatchResults, CallFailed
from emtransfer.remote.results import read_results
from emtransfer.remote.sdks import checked_key, client_settings, sdk_errors

# the newest version of the API that takes a temperature; later ones refuse any (the SDK names its own by default)
TEMPERATURE_VERSION = "2023-06-01"
# the provider's own clocks may differ from one another by this much
CLOCKS_DIFFER = timedelta(minutes=1)


class AnthropicProvider:
    """Calls Claude models.

    Args:
        timeout_seconds: of one attempt.
    """

    name = "anthropic"

    def __init__(self, timeout_seconds: float = 120):
        self.timeout_seconds = timeout_seconds

    @cached_property
    def client(self) -> anthropic.Anthropic:
        """The SDK's client, made at the first call, so that a run that finds all replies in the store needs no key."""
        key = checked_key("ANTHROPIC_API_KEY")
        return anthropic.Anthropic(api_key=key, **client_settings(anthropic, self.timeout_seconds))

    def connect(self) -> None:
        """Check key and address; see Provider."""
        with errors(""):
            _ = self.client

    def ask(self, call: Call) -> Reply:
        """Make one call, once; see Provider."""
        fields = request_fields(call)
        named = {name: fields.pop(name) for name in ("model", "max_tokens", "system", "messages") if name in fields}
        with errors(call.model):
            # the SDK has no parameter for a temperature, since its own version of the API has none
            create = self.client.messages.with_raw_response.create
            response = create(**named, extra_body=fields, extra_headers=version_header([call]))
            return read_body(Message, response.http_response.content).reply()

    def submit(self, calls: list[Call], known: Set[str]) -> list[str]:
        """Hand in a batch, once; see Provider.

        Where the provider's answer is not heard or understood, the batch is looked for there, since it may be at work.
        """
        requests: Any = [{"custom_id": call.key, "params": request_fields(call)} for call in calls]
        started = time.monotonic()
        try:
            with errors(calls[0].model):
                create = self.client.messages.batches.with_raw_response.create
                response = create(requests=requests, extra_headers=version_header(calls))
                return [read_body(BatchAccepted, response.http_response.content).id]
        except CallFailed as failure:
            # turned away, or never sent
            if not failure.perhaps_paid and not str(failure).startswith("500"):
                raise
            found = self.accepted_batches(len(calls), started) - known
            if not found:
                raise
            return sorted(found)

    def accepted_batches(self, n_calls: int, started: float) -> set[str]:
        """Ids of the batches of so many calls that the provider has made since; a clock of this machine plays no part.

        Args:
            n_calls: of the batch that is looked for.
            started: when it was handed in, in seconds of the monotonic clock.
        """
        try:
            with errors("a list of batches"):
                response = self.client.messages.batches.with_raw_response.list(limit=100).http_response
                listed = read_body(BatchList, response.content).data
        except CallFailed:
            return set()
        since = provider_time(response, time.monotonic() - started)
        found = set()
        for entry in listed:
            try:
                batch = as_body(ListedBatch, entry)
            except UnreadableReply:
                continue
            if sum(batch.request_counts.model_dump().values()) == n_calls and batch.made_since(since):
                found.add(batch.id)
        return found

    def results(self, batch_id: str, keys: list[str]) -> BatchResults | None:
        """The results of a batch; see Provider."""
        with errors(f"batch {batch_id}"):
            try:
                response = self.client.messages.batches.with_raw_response.retrieve(batch_id)
                batch = read_body(BatchBody, response.http_response.content)
                if batch.processing_status != "ended":
                    return None
                if not batch.results_url:
                    raise BatchGone("results no longer kept")
                # the SDK would send the key to whatever host `results_url` names
                # a stream of lines, in one piece perhaps larger than memory
                results: Any = self.client.get(
                    f"/v1/messages/batches/{batch_id}/results",
                    cast_to=httpx2.Response,
                    stream=True,
                    stream_cls=anthropic.Stream,
                )
            except anthropic.APIStatusError as error:
                if error.status_code in (404, 410):
                    raise BatchGone("batch unknown to the provider") from None
                raise
            with closing(results):
                return read_results(results.iter_bytes(), keys)


def provider_time(response: httpx2.Response, seconds_ago: float) -> datetime | None:
    """A moment by the clock of the provider, the difference of its clocks allowed for; None where it does not tell the time."""
    try:
        return parsedate_to_datetime(response.headers["date"]) - timedelta(seconds=seconds_ago) - CLOCKS_DIFFER
    except (KeyError, ValueError, TypeError):
        return None


def errors(model: str) -> AbstractContextManager[None]:
    """The SDK's errors in a provider's words."""
    return sdk_errors(anthropic, anthropic.AnthropicError, "ANTHROPIC", model)


def request_fields(call: Call) -> dict[str, Any]:
    """The body of a request; instructions that are long enough for the provider's cache are marked for it."""
    block: dict[str, Any] = {"type": "text", "text": call.system}
    if is_cached(call.model, call.system):
        block["cache_control"] = {"type": "ephemeral"}
    fields = {
        "model": call.model,
        "max_tokens": call.max_tokens,
        # the API refuses an empty text
        **({"system": [block]} if call.system else {}),
        "messages": [{"role": "user", "content": call.prompt}],
    } | json.loads(call.options)
    return fields if call.temperature is None else fields | {"temperature": call.temperature}


def version_header(calls: list[Call]) -> dict[str, str]:
    """The header that asks for a version of the API which takes a temperature, where a call has one."""
    needed = any(call.temperature is not None for call in calls)
    return {"anthropic-version": TEMPERATURE_VERSION} if needed else {}


# what `access` calls
connect = AnthropicProvider
