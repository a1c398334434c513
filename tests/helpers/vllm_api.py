"""A server on the loopback interface that speaks vLLM's protocol (version 0.30.0), and misbehaves on demand.

It answers a prompt by a hash of the prompt, the seed and the name of the adapter's folder, so that the right answer is known without it.
"""

import hashlib
import json
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from helpers.loopback_api import Server

SUCCESS = "Success: LoRA adapter '{}' {} successfully."


@dataclass
class VllmServer:
    """What the server does and what it has seen.

    Attributes:
        root: folder of the base.
        end: token that ends an answer.
        tokens: an answer's tokens are drawn from these.
        max_rank: highest rank of an adapter; rank of the adapter in a folder is asked of `rank_of`.
        key: that requests must have; empty for none.
        twist: path, body and how often this path was asked before -> what the server does in place of its own reply: a status and
            a body; `drop` to close the connection in the middle of a reply; `hold` to give none; None for the good one.
        change: a good completion -> what is sent in its place.
        seen: every request, path and body.
        loaded: name -> folder of adapters.
    """

    root: str = ""
    end: int = 2
    tokens: range = range(5, 40)
    max_rank: int = 64
    rank_of: Callable[[str], int] = lambda folder: 4
    context: int = 2048
    key: str = ""
    dynamic: bool = True
    twist: Callable[[str, dict, int], object] | None = None
    change: Callable[[dict], object] | None = None
    seen: list[tuple[str, dict]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    loaded: dict[str, str] = field(default_factory=dict)
    most_loaded: int = 0
    most_at_once: int = 0
    at_once: int = 0
    asked: Counter = field(default_factory=Counter)
    lock: threading.RLock = field(default_factory=threading.RLock)
    released: threading.Event = field(default_factory=threading.Event)
    url: str = ""

    def paths(self) -> Counter:
        """How often each path was asked for."""
        return Counter(path for path, _ in self.seen)

    def restart(self) -> None:
        """Forget what was loaded."""
        self.loaded.clear()

    def answer(self, prompt: list[int], seed: int, adapter: str | None, max_tokens: int) -> tuple[list[int], str]:
        """Token ids, the end token included where it is reached, and the reason of the end."""
        digest = hashlib.sha256(json.dumps([prompt, seed, adapter and Path(adapter).name]).encode()).digest()
        ids = [self.tokens[octet % len(self.tokens)] for octet in digest[: 1 + digest[-1] % 8]]
        return ([*ids, self.end], "stop") if len(ids) < max_tokens else (ids[:max_tokens], "length")


def vllm_error(status: int, message: str, kind: str = "BadRequestError") -> tuple[int, dict]:
    """An error as vLLM sends it."""
    return status, {"error": {"message": message, "type": kind, "param": None, "code": status}}


class Handler(BaseHTTPRequestHandler):
    """See VllmServer."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        """Say nothing."""

    def do_GET(self):
        self.reply({})

    def do_POST(self):
        self.reply(json.loads(self.rfile.read(int(self.headers["content-length"]))))

    def reply(self, body: dict):
        served = self.server.served
        with served.lock:
            served.seen.append((self.path, body))
            served.keys.append(self.headers["authorization"])
            number = served.asked[self.path]
            served.asked[self.path] += 1
            served.at_once += 1
            served.most_at_once = max(served.most_at_once, served.at_once)
        try:
            twisted = served.twist and served.twist(self.path, body, number)
            if twisted == "hold":
                served.released.wait(30)
                self.close_connection = True
            elif twisted == "drop":
                self.send_response(200)
                self.send_header("content-length", "500")
                self.end_headers()
                self.wfile.write(b'{"id": "cmpl-')
                self.close_connection = True
            elif served.key and self.path.startswith("/v1") and self.headers["authorization"] != f"Bearer {served.key}":
                self.send(401, {"error": "Unauthorized"})
            else:
                self.send(*(twisted or self.good(served, body)))
        finally:
            with served.lock:
                served.at_once -= 1

    def good(self, served: VllmServer, body: dict) -> tuple[int, object]:
        """The reply that vLLM gives."""
        if self.path == "/version":
            return 200, {"version": "0.30.0"}
        if self.path == "/v1/models":
            base = {"id": served.root, "root": served.root, "parent": None, "max_model_len": served.context}
            with served.lock:
                adapters = [
                    {"id": name, "root": folder, "parent": served.root, "max_model_len": None}
                    for name, folder in served.loaded.items()
                ]
            return 200, {"object": "list", "data": [base, *adapters]}
        if self.path == "/v1/completions":
            return self.completion(served, body)
        if served.dynamic and self.path == "/v1/load_lora_adapter":
            return self.load(served, body["lora_name"], body["lora_path"])
        if served.dynamic and self.path == "/v1/unload_lora_adapter":
            with served.lock:
                if served.loaded.pop(body["lora_name"], None) is None:
                    return vllm_error(404, f"The lora adapter '{body['lora_name']}' cannot be found.", "NotFoundError")
            return 200, SUCCESS.format(body["lora_name"], "removed")
        return vllm_error(404, "Not Found", "Not Found")

    def load(self, served: VllmServer, name: str, folder: str) -> tuple[int, object]:
        with served.lock:
            if name in served.loaded:
                return vllm_error(
                    400, f"The lora adapter '{name}' has already been loaded. If you want …", "InvalidUserInput"
                )
            if (rank := served.rank_of(folder)) > served.max_rank:
                return vllm_error(
                    500, f"LoRA rank {rank} is greater than max_lora_rank {served.max_rank}.", "InternalServerError"
                )
            served.loaded[name] = folder
            served.most_loaded = max(served.most_loaded, len(served.loaded))
        return 200, SUCCESS.format(name, "added")

    def completion(self, served: VllmServer, body: dict) -> tuple[int, object]:
        with served.lock:
            adapter = served.loaded.get(body["model"])
        if adapter is None and body["model"] != served.root:
            return vllm_error(404, f"The model `{body['model']}` does not exist.", "NotFoundError")
        ids, reason = served.answer(body["prompt"], body["seed"], adapter, body["max_tokens"])
        choice = {"index": 0, "text": "…", "logprobs": None, "finish_reason": reason, "stop_reason": None}
        choice |= {"token_ids": ids, "prompt_token_ids": body["prompt"]} if body.get("return_token_ids") else {}
        usage = {"prompt_tokens": len(body["prompt"]), "completion_tokens": len(ids)}
        good = {
            "id": "cmpl-1",
            "object": "text_completion",
            "model": body["model"],
            "choices": [choice],
            "usage": usage,
        }
        return 200, served.change(good) if served.change else good

    def send(self, status: int, content: object):
        octets = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(octets)))
        self.end_headers()
        self.wfile.write(octets)


@contextmanager
def serving(served: VllmServer):
    """Serve in a thread; sets the server's url."""
    server = Server(("127.0.0.1", 0), Handler)
    server.served = served
    served.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield served
    finally:
        served.released.set()
        server.shutdown()
        server.server_close()
