"""Chat completions of any server that speaks OpenAI's API – hosted models, vLLM, Ollama – through the official SDK.

Key and address come from the environment: OPENAI_API_KEY, and OPENAI_BASE_URL for another server than OpenAI's.
"""

import json
from contextlib import AbstractContextManager
from functools import cached_property
from typing import Any

import openai

from emtransfer.remote.bodies import Completion, read_body
from emtransfer.remote.calls import Call, Reply
from emtransfer.remote.sdks import checked_key, client_settings, sdk_errors


class OpenAIProvider:
    """Calls chat models, one by one: servers that speak this API rarely have batches.

    Args:
        timeout_seconds: of one attempt.
    """

    name = "openai"

    def __init__(self, timeout_seconds: float = 120):
        self.timeout_seconds = timeout_seconds

    @cached_property
    def client(self) -> openai.OpenAI:
        """The SDK's client, made at the first call, so that a run that finds all replies in the store needs no key."""
        key = checked_key("OPENAI_API_KEY")
        return openai.OpenAI(api_key=key, **client_settings(openai, self.timeout_seconds))

    def connect(self) -> None:
        """Check key and address; see Provider."""
        with errors(""):
            _ = self.client

    def ask(self, call: Call) -> Reply:
        """Make one call, once; see Provider."""
        fields = request_fields(call)
        named = {name: fields.pop(name) for name in ("model", "messages")}
        with errors(call.model):
            # servers know fields that the SDK does not
            response = self.client.chat.completions.with_raw_response.create(**named, extra_body=fields)
            return read_body(Completion, response.http_response.content).reply()


def errors(model: str) -> AbstractContextManager[None]:
    """The SDK's errors in a provider's words."""
    return sdk_errors(openai, openai.OpenAIError, "OPENAI", model)


def request_fields(call: Call) -> dict[str, Any]:
    """The body of a request; where the options limit the reply in a newer model's way, nothing else does."""
    options = json.loads(call.options)
    system = [{"role": "system", "content": call.system}] if call.system else []
    fields: dict[str, Any] = {"model": call.model, "messages": [*system, {"role": "user", "content": call.prompt}]}
    if "max_completion_tokens" not in options:
        fields["max_tokens"] = call.max_tokens
    if call.temperature is not None:
        fields["temperature"] = call.temperature
    return fields | options


# what `access` calls
connect = OpenAIProvider
