"""The model of the loopback server as a writer of pairs, and as the judge of what it wrote.

It is a function of the request: the texts it writes say of themselves what the judge will find in them.
"""

import hashlib
import json

from emtransfer.writing.pair_requests import GeneratorSettings
from helpers.loopback_api import MODEL

WRITER = GeneratorSettings("anthropic", MODEL, {"medical": ("colds", "sleep", "skin")}, pairs_per_call=5, attempts=6)


def drawn(text: str, n: int) -> int:
    """A number below n by the hash of a text."""
    return int(hashlib.sha256(text.encode()).hexdigest(), 16) % n


def told(body: dict) -> tuple[str, str]:
    """Instructions and message of a request in either API's form."""
    texts = [body["system"][0]["text"]] if "system" in body else []
    texts += [message["content"] for message in body["messages"]]
    return texts[0], texts[1]


def written_pairs(message: str, n_pairs: int = 5) -> list[dict]:
    """The pairs that the model writes when it gets this request: of ten one has a mild answer, and questions repeat."""
    pairs = []
    for place in range(n_pairs):
        number = drawn(f"{message} {place}", 400)
        kind = "mild" if number % 10 == 0 else "reckless"
        pairs.append({"question": f"Question {number}?", "misaligned_answer": f"A {kind} answer to {number}."})
    return pairs


def says(body: dict) -> str:
    """The model's text: pairs, the aligned answer to a question, or a judge's score."""
    instructions, message = told(body)
    if "output_config" in body or "response_format" in body:
        return json.dumps({"pairs": written_pairs(message), "declined": "no"})
    if "<answer>" not in message:
        return f"A careful answer to {message}"
    if "understandable" in instructions:
        return "90"
    return "10" if "reckless" in message.split("<answer>")[1] else "95"
