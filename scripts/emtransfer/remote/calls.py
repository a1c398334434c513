"""A call to a remote model and its reply; what makes two calls the same one."""

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cached_property

# how a reply ended, in the providers' words -> in ours; any other word means `unfinished`
ENDINGS = {
    "end_turn": "finished",
    "stop": "finished",
    "stop_sequence": "finished",
    "eos_token": "finished",
    "max_tokens": "cut",
    "length": "cut",
    "model_context_window_exceeded": "cut",
    "refusal": "declined",
    "content_filter": "filtered",
    "pause_turn": "paused",
}


@dataclass(frozen=True)
class Call:
    """Everything that a remote model's reply depends on.

    Attributes:
        provider: whose API is asked, `anthropic` or `openai`.
        model: as the provider names it.
        system: instructions that many calls share, so that a provider can cache them; empty for none.
        prompt: the user's turn.
        max_tokens: longest reply in tokens, thinking included.
        temperature: of sampling; None sends none, for models that refuse it.
        options: JSON of further fields of the request, with sorted keys.
        attempt: from 1; a useless reply is asked for again under the next number.
    """

    provider: str
    model: str
    system: str
    prompt: str
    max_tokens: int
    temperature: float | None = None
    options: str = "{}"
    attempt: int = 1

    @cached_property
    def key(self) -> str:
        """SHA-256 of the call, 64 hex digits: the name of its reply in the store."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Usage:
    """Tokens a provider counted for one call; those read from or written to its cache are not in `input_tokens`."""

    input_tokens: int
    output_tokens: int
    cache_write_tokens: int = 0
    cache_read_tokens: int = 0


@dataclass(frozen=True)
class Reply:
    """What a remote model has answered.

    Attributes:
        id: the provider's name of the reply.
        text: of the answer; empty where the provider sent none.
        stop_reason: in the provider's words.
        usage: what was counted for it.
        batched: whether it came through a batch, at the batch's price.
        top_logprobs: token -> natural log of its probability, for the first token of the text; None where the
            provider gave none.
    """

    id: str
    text: str
    stop_reason: str
    usage: Usage
    batched: bool = False
    top_logprobs: dict[str, float] | None = None

    @property
    def ending(self) -> str:
        """How it came to its end: `finished`, or `cut`, `declined`, `filtered`, `paused`, `unfinished`, which are no answers."""
        return ENDINGS.get(self.stop_reason, "unfinished")
