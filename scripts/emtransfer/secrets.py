"""Keys of the environment, and texts without them: what a server or a library quotes may hold the key it was given."""

import os

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
    """The text with every key replaced by its variable's name in brackets."""
    for name, key in secrets().items():
        text = text.replace(key, f"[{name}]")
    return text
