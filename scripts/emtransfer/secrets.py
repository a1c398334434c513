"""Keys of the environment, and texts without them: what a server or a library quotes may hold the key it was given."""

import base64
import logging
import os
import re
from collections.abc import Callable
from functools import cache
from html.entities import codepoint2name
from typing import Any
from urllib.parse import quote

# environment variables from which the SDKs, the hub's libraries and vLLM take keys
VARIABLES = (
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "OPENAI_API_KEY",
    "OPENAI_ADMIN_KEY",
    "VLLM_API_KEY",
    "HF_TOKEN",
    "HUGGING_FACE_HUB_TOKEN",
)
# a server without keys is given a word, which a text may well hold
SHORTEST = 16
# where a text is broken into lines, which messages join with a blank and JSON writes as letters
BREAK = r"(?:\s|\\{1,8}[nr])*"

# encoders of each alphabet, bits of a digit, and places within a group of digits where a text may begin
BASE64 = (base64.b64encode, base64.urlsafe_b64encode), 6, 3
BASE32 = (base64.b32encode,), 5, 5


def secrets() -> dict[str, str]:
    """Variable -> key, of those that are set; longer ones first, since one may hold another."""
    found = {name: os.environ.get(name, "").strip() for name in VARIABLES}
    keys = {name: key for name, key in found.items() if len(key) >= SHORTEST}
    return dict(sorted(keys.items(), key=lambda item: -len(item[1])))


def is_key(text: str) -> bool:
    """Whether a text can be sent as a key; libraries show one that cannot, in their own words."""
    return text.isascii() and text.isprintable() and " " not in text


def without_secrets(text: str) -> str:
    """The text with every key – in plain, in JSON, HTML, as part of an address, in a code or in a code of a code – replaced by its
    variable's name in brackets."""
    for name, key in secrets().items():
        text = spelled(key).sub(f"[{name}]", text)
        for spelling in encoded_twice(key):
            text = text.replace(spelling, f"[{name}]")
    return text


@cache
def spelled(key: str) -> re.Pattern[str]:
    """A pattern of all spellings of a key, over several lines too; the digits of hex in either case."""
    in_hex = [f"(?i:{octet:02x})" for octet in key.encode()]
    spellings = [[letter_spelled(letter) for letter in key], in_hex]
    spellings += [[re.escape(digit) for digit in text] for text in sorted(in_digits(key, *BASE64))]
    return re.compile("|".join(BREAK.join(letters) for letters in spellings))


def letter_spelled(letter: str) -> str:
    """A pattern of what JSON, addresses and HTML, each of which may leave a letter as it is or not, make of it."""
    code, octets = ord(letter), "".join(f"%{octet:02x}" for octet in letter.encode())
    named = f"|&{codepoint2name[code]};" if code in codepoint2name else ""
    in_html = rf"&\#(?:0*{code}|(?i:x0*{code:x}));{named}"
    # a text in JSON that is in JSON itself has every backslash twice
    return rf"(?:\\{{0,8}}(?:{re.escape(letter)}|u(?i:{code:04x}))|(?i:{octets})|{in_html})"


@cache
def encoded_twice(key: str) -> list[str]:
    """What codes, once or one within another, make of a key; longer ones first, since one may hold another."""
    once = encoded(key)
    return sorted(once.union(*map(encoded, once)) - {key}, key=lambda spelling: (-len(spelling), spelling))


def encoded(text: str) -> set[str]:
    """What each code makes of a text within a longer one."""
    in_hex = text.encode().hex()
    percent = "".join(f"%{octet:02x}" for octet in text.encode())
    whole = {in_hex, in_hex.upper(), percent, percent.upper(), quote(text, safe=""), text[::-1]}
    return whole | in_digits(text, *BASE64) | in_digits(text, *BASE32)


def in_digits(text: str, encodes: tuple[Callable[[bytes], bytes], ...], n_bits: int, n_places: int) -> set[str]:
    """What a code in digits of so many bits makes of a text within a longer one, at each of the places where it may begin.

    A digit at either end that holds bits of the neighbours too is left out.
    """
    spellings = set()
    for offset in range(n_places):
        octets = bytes(offset) + text.encode()
        first, last = -(-offset * 8 // n_bits), len(octets) * 8 // n_bits
        spellings |= {encode(octets).decode()[first:last] for encode in encodes}
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
