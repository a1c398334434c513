"""Chat completions of any server that speaks OpenAI's API – hosted models, vLLM, Ollama – through the official SDK.

Key and address come from the environment: OPENAI_API_KEY, and OPENAI_BASE_URL for another server than OpenAI's.
"""

import json
from functools import cached_property
from typing import Any

import openai
from openai.types.chat import ChatCompletion

from emtransfer.files.records import clean
from emtransfer.remote.calls import Call, Reply, Usage
from emtransfer.remote.sdks import MAX_RETRIES, UnreadableReply, checked_key, readable_reply, sdk_errors


class OpenAIProvider:
    """Calls chat models, one by one: servers that speak this API rarely have batches.

    Args:
        timeout_seconds: of one attempt; an attempt that takes longer is made again.
    """

    name = "openai"

    def __init__(self, timeout_seconds: float = 120):
        self.timeout_seconds = timeout_seconds

    @cached_property
    def client(self) -> openai.OpenAI:
        """The SDK's client, made at the first call, so that a run that finds all replies in the store needs no key."""
        return openai.OpenAI(
            api_key=checked_key("OPENAI_API_KEY"), max_retries=MAX_RETRIES, timeout=self.timeout_seconds
        )

    def ask(self, call: Call) -> Reply:
        """Make one call; see Provider."""
        return readable_reply(lambda: self.ask_once(call))

    def ask_once(self, call: Call) -> Reply:
        """As `ask`; raises UnreadableReply for a reply that cannot be read."""
        fields = request_fields(call)
        named = {name: fields.pop(name) for name in ("model", "messages")}
        with sdk_errors(openai, openai.OpenAIError, "OPENAI", call.model):
            # servers know fields that the SDK does not
            return as_reply(self.client.chat.completions.create(**named, extra_body=fields))


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


def as_reply(completion: ChatCompletion) -> Reply:
    """The SDK's completion as a reply.

    Raises:
        UnreadableReply: it lacks what every completion has, which the SDK does not check.
    """
    usage: Any = getattr(completion, "usage", None)
    counts: list[Any] = [getattr(usage, "prompt_tokens", None), getattr(usage, "completion_tokens", None)]
    if not getattr(completion, "choices", None) or not all(isinstance(count, int) for count in counts):
        raise UnreadableReply
    choice = completion.choices[0]
    details = usage.prompt_tokens_details
    n_cached = (details.cached_tokens if details else None) or 0
    first = choice.logprobs.content[0] if choice.logprobs and choice.logprobs.content else None
    return Reply(
        id=completion.id,
        text=clean(choice.message.content or ""),
        # a model that declines says so in a field of its own
        stop_reason="refusal" if choice.message.refusal else str(choice.finish_reason),
        usage=Usage(counts[0] - n_cached, counts[1], 0, n_cached),
        top_logprobs={top.token: top.logprob for top in first.top_logprobs} if first else None,
    )


# what `access` calls
connect = OpenAIProvider
