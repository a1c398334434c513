"""Keys of the environment, and texts without them: what a server or a library quotes may hold the key it was given."""

import base64
import json
import logging
import os
import re
from functools import cache
from typing import Any
from urllib.parse import quote

# what the SDKs and the hub's libraries take keys from
VARIABLES = (
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "OPENAI_API_KEY",
    "OPENAI_ADMIN_KEY",
    "HF_TOKEN",
    "HUGGING_FACE_HUB_TOKEN",
)
# a server without keys is given a word, which a text may well hold
SHORTEST = 16


def secrets() -> dict[str, str]:
    """Variable -> key, of those that are set; longer ones first, since one may hold another."""
    found = {name: os.environ.get(name, "").strip() for name in VARIABLES}
    keys = {name: key for name, key in found.items() if len(key) >= SHORTEST}
    return dict(sorted(keys.items(), key=lambda item: -len(item[1])))


def is_key(text: str) -> bool:
    """Whether a text can be sent as a key; libraries show one that cannot, in their own words."""
    return text.isascii() and text.isprintable() and " " not in text


def without_secrets(text: str) -> str:
    """The text with every key – in plain, in JSON, as part of an address, in hex or in base64 – replaced by its variable's name
    in brackets."""
    for name, key in secrets().items():
        text = spelled(key).sub(f"[{name}]", text)
    return text


@cache
def spelled(key: str) -> re.Pattern[str]:
    """A pattern of all spellings of a key; hex and percent signs in letters of either case."""
    octets = [f"{octet:02x}" for octet in key.encode()]
    exact = {key, json.dumps(key)[1:-1], quote(key, safe=""), *in_base64(key)}
    any_case = {"".join(octets), "".join(f"%{octet}" for octet in octets)}
    patterns = [re.escape(text) for text in sorted(exact, key=lambda text: (-len(text), text))]
    return re.compile("|".join([*patterns, *(f"(?i:{re.escape(text)})" for text in sorted(any_case))]))


def in_base64(key: str) -> set[str]:
    """What base64, of either alphabet, makes of a key within a longer text, at each of the three places where it may begin.

    A digit stands for six bits. One at either end that holds bits of the neighbours too is left out.
    """
    spellings = set()
    for offset in range(3):
        octets = bytes(offset) + key.encode()
        first, last = -(-offset * 8 // 6), len(octets) * 8 // 6
        spellings |= {encode(octets).decode()[first:last] for encode in (base64.b64encode, base64.urlsafe_b64encode)}
    return spellings


def keep_out_of_logs() -> None:
    """See to it that no line that is logged from now on shows a key; the SDKs log what servers send."""
    make = logging.getLogRecordFactory()
    if getattr(make, "keeps_keys_out", False):
        return

    def without_keys(*args: Any, **fields: Any) -> logging.LogRecord:
        record = make(*args, **fields)
        record.msg, record.args = without_secrets(record.getMessage()), None
        if record.exc_info:
            record.exc_text = without_secrets(logging.Formatter().formatException(record.exc_info))
        return record

    without_keys.keeps_keys_out = True  # type: ignore[attr-defined]
    logging.setLogRecordFactory(without_keys)
