"""Forms that a server's reply may have, each made of the good one, and what comes of them.

A form is the outcome and a function of the good reply's JSON, which gives bytes, or JSON that is sent as such. It is sent to
one call of several, as often as the call is made. `both` names what the two APIs share; the others have their own fields.
"""

import json
from copy import deepcopy

UNREADABLE = "unreadable reply"
DEEP = b"[" * 100_000 + b"]" * 100_000
ENDLESS = b"1" + b"0" * 5000


def without(place: str):
    """The good reply without a field; `a.b` is within another one, `a.0` an entry of a list."""
    return changed(place, None, drop=True)


def changed(place: str, value, drop: bool = False):
    """The good reply with another value in a place."""

    def change(good: dict):
        made = deepcopy(good)
        *path, last = [int(part) if part.isdecimal() else part for part in place.split(".")]
        within = made
        for part in path:
            within = within[part]
        if drop:
            del within[last]
        else:
            within[last] = value
        return made

    return change


def spelled(place: str, number: bytes):
    """The good reply with a number as no JSON library would write it."""
    return lambda good: json.dumps(changed(place, "@@")(good)).encode().replace(b'"@@"', number)


def whole(content):
    """Something else in place of the good reply."""
    return lambda good: content


# no reply at all: form -> outcome, and what is sent
BODIES = {
    "a page of HTML": (UNREADABLE, whole(b"<html><body>Sign in</body></html>")),
    "plain words": (UNREADABLE, whole(b"service is starting")),
    "nothing": (UNREADABLE, whole(b"")),
    "blanks": (UNREADABLE, whole(b" \t ")),
    "`null`": (UNREADABLE, whole(b"null")),
    "`true`": (UNREADABLE, whole(b"true")),
    "a number": (UNREADABLE, whole(b"85")),
    "a text": (UNREADABLE, whole(b'"85"')),
    "a list": (UNREADABLE, whole(b"[]")),
    "the good reply in a list": (UNREADABLE, lambda good: [good]),
    "an empty object": (UNREADABLE, whole(b"{}")),
    "an error in an object, with status 200": (UNREADABLE, whole({"type": "error", "error": {"type": "api_error"}})),
    "100,000 brackets": (UNREADABLE, whole(DEEP)),
    "half of the good reply": (UNREADABLE, lambda good: json.dumps(good).encode()[:60]),
    "the good reply twice": (UNREADABLE, lambda good: json.dumps(good).encode() * 2),
    "bytes that are no UTF-8": (UNREADABLE, whole(b'{"id": "\xff\xfe\xff"}')),
    "events of a stream": (UNREADABLE, whole(b'event: message_start data: {"type": "message_start"}')),
    "a byte-order mark before the good reply": ("read", lambda good: b"\xef\xbb\xbf" + json.dumps(good).encode()),
    "fields that nobody knows": ("read", lambda good: good | {"container": {"id": 1}, "x": [None]}),
}


def usage_forms(tokens: str) -> dict:
    """Usage that is none; `tokens` is the place of a count."""
    usage = tokens.split(".")[0]
    return {
        "no usage": (UNREADABLE, without(usage)),
        "usage `null`": (UNREADABLE, changed(usage, None)),
        "usage a list": (UNREADABLE, changed(usage, [12, 4])),
        "a count missing": (UNREADABLE, without(tokens)),
        "a count in quotes": (UNREADABLE, changed(tokens, "12")),
        "a count below 0": (UNREADABLE, changed(tokens, -1)),
        "a count of 10¹²": (UNREADABLE, changed(tokens, 10**12)),
        "a count of 5,000 digits": (UNREADABLE, spelled(tokens, ENDLESS)),
        "a count that is no whole number": (UNREADABLE, changed(tokens, 1.5)),
        "a count that is `true`": (UNREADABLE, changed(tokens, True)),
        "a count that is `NaN`": (UNREADABLE, spelled(tokens, b"NaN")),
    }


def common_forms(text: str, reason: str) -> dict:
    """Forms of fields that both APIs have in other places: the text, and how the reply came to its end."""
    return {
        "no id": (UNREADABLE, without("id")),
        "an id that is a list": (UNREADABLE, changed("id", ["msg"])),
        "an id of 300 letters": (UNREADABLE, changed("id", "x" * 300)),
        "a text that is a number": (UNREADABLE, changed(text, 85)),
        "a text that is a list": (UNREADABLE, changed(text, ["85"])),
        "half a surrogate pair in the text": ("read: 8?", spelled(text, b'"8\\ud800"')),
        "no reason for its end": (UNREADABLE, without(reason)),
        "its end `null`": (UNREADABLE, changed(reason, None)),
        "its end a number": (UNREADABLE, changed(reason, 1)),
        "its end a word that nobody knows": ("unfinished", changed(reason, "abort")),
    }


ANTHROPIC = {
    **common_forms("content.0.text", "stop_reason"),
    **usage_forms("usage.input_tokens"),
    "tokens of the cache below 0": (UNREADABLE, changed("usage.cache_read_input_tokens", -5)),
    "no content": (UNREADABLE, without("content")),
    "content `null`": (UNREADABLE, changed("content", None)),
    "content a text": (UNREADABLE, changed("content", "85")),
    "content a list of texts": (UNREADABLE, changed("content", ["85"])),
    "no block": ("read: ", changed("content", [])),
    "a block without a type": (UNREADABLE, changed("content", [{"text": "85"}])),
    "a block of text without one": (UNREADABLE, changed("content", [{"type": "text"}])),
    "a block of another type beside the text": (
        "read",
        lambda good: good | {"content": [{"type": "x"}, *good["content"]]},
    ),
    "a block of another type alone": ("read: ", changed("content", [{"type": "hologram", "data": {}}])),
    "ended by `max_tokens`": ("cut", changed("stop_reason", "max_tokens")),
    "ended by `model_context_window_exceeded`": ("cut", changed("stop_reason", "model_context_window_exceeded")),
    "ended by `refusal`": ("declined", changed("stop_reason", "refusal")),
    "ended by `pause_turn`": ("paused", changed("stop_reason", "pause_turn")),
    "ended by `tool_use`": ("unfinished", changed("stop_reason", "tool_use")),
}

OPENAI = {
    **common_forms("choices.0.message.content", "choices.0.finish_reason"),
    **usage_forms("usage.prompt_tokens"),
    "more tokens from the cache than were read": (
        UNREADABLE,
        changed("usage.prompt_tokens_details.cached_tokens", 10**6),
    ),
    "no choices": (UNREADABLE, without("choices")),
    "choices `null`": (UNREADABLE, changed("choices", None)),
    "choices an empty list": (UNREADABLE, changed("choices", [])),
    "choices an object": (UNREADABLE, changed("choices", {"0": {}})),
    "a choice `null`": (UNREADABLE, changed("choices", [None])),
    "a choice without a message": (UNREADABLE, without("choices.0.message")),
    "a message that is a text": (UNREADABLE, changed("choices.0.message", "85")),
    "a text `null`": ("read: ", changed("choices.0.message.content", None)),
    "probabilities that are a text": (UNREADABLE, changed("choices.0.logprobs", "low")),
    "a probability `NaN`": (
        UNREADABLE,
        lambda good: spelled("choices.0.logprobs.content.0.top_logprobs.0.logprob", b"NaN")(
            changed("choices.0.logprobs", {"content": [{"top_logprobs": [{"token": "8", "logprob": 0}]}]})(good)
        ),
    ),
    "ended by `length`": ("cut", changed("choices.0.finish_reason", "length")),
    "ended by `content_filter`": ("filtered", changed("choices.0.finish_reason", "content_filter")),
    "ended by `tool_calls`": ("unfinished", changed("choices.0.finish_reason", "tool_calls")),
    "words in the field `refusal`": ("declined", changed("choices.0.message.refusal", "I cannot help with that.")),
}

# API -> form -> outcome, and what is sent
FORMS = {
    "anthropic": BODIES | ANTHROPIC,
    "openai": BODIES | OPENAI,
    "batches": BODIES | ANTHROPIC,
}


def as_bytes(made) -> bytes:
    """What is sent of what a form gives."""
    return made if isinstance(made, bytes) else json.dumps(made).encode()
