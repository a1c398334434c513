"""Keys that are looked for, in plain, in base64, in hex and as part of an address, in everything that a run has written."""

import base64
from pathlib import Path
from urllib.parse import quote

from helpers.loopback_api import KEY

# the server takes KEY; the others are as long as real ones
WRONG = "sk-loopback-wrong-canary"
HF = "hf_LoopbackCanaryOfTheHub"
CANARIES = (KEY, WRONG, HF)


def spellings(key: str) -> list[bytes]:
    """A key, what base64 makes of it wherever in a longer text it begins, and its bytes in hex, with percent signs or without."""
    encoded = [base64.b64encode(b" " * offset + key.encode()) for offset in range(3)]
    # the first and the last group of four hold the neighbours too
    octets = key.encode().hex()
    percent = "".join(f"%{octet:02x}" for octet in key.encode())
    encoded_whole = [text.encode() for text in (octets, octets.upper(), percent, percent.upper(), quote(key, safe=""))]
    return [key.encode(), *encoded_whole, *(text[4 if offset else 0 : -4] for offset, text in enumerate(encoded))]


def leaks(folder: Path, *outputs: str) -> list[str]:
    """Files below a folder, hidden ones too, and outputs that hold a canary."""
    wanted = [spelling for key in CANARIES for spelling in spellings(key)]
    texts = {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    texts |= {f"output {number}": output.encode() for number, output in enumerate(outputs)}
    return [name for name, text in texts.items() if any(spelling in text for spelling in wanted)]
