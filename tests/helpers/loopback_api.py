"""A server on the loopback interface that speaks Messages, Message Batches and chat completions, and misbehaves on demand.

It scores what it is shown by a hash of the request, so that the right score of every request is known. Faults are drawn by
(request, how often it came), so that a run of requests meets the same faults whatever their order.
"""

import hashlib
import json
import random
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import certifi
import pytest

KEY = "sk-loopback-canary"
ERRORS = {
    "rate_limited": (429, "rate_limit_error"),
    "overloaded": (529, "overloaded_error"),
    "server_error": (500, "api_error"),
}
# a reply that is paid for but says nothing
TEXTS = {"words": "I would say about eighty.", "blank": " "}
FAULTS = (*ERRORS, "timeout", "cut", "malformed_body", *TEXTS, "judge_refusal")
BATCH_FAULTS = ("errored", "expired", "missing", "foreign")
MODEL = "claude-loopback-1"


@dataclass
class Loopback:
    """What the server does and what it has seen.

    Attributes:
        faults: name of FAULTS or BATCH_FAULTS -> share of requests.
        timeout_seconds: how long a request with fault `timeout` is held.
        polls: how often a batch is still in progress when asked for.
        delivered: canonical request -> how many good replies were sent to the end.
        usage: tokens of all replies that were sent to the end.
        sent: how many those are.
        logprobs: token -> log probability, given as those of the first token where a completion is asked for them.
        temperatures: whether the model takes one under the version of the API that has it.
        echoes: whether errors, useless replies and foreign ids quote the request's key; status 500 is then not to be retried.
        says: a request's body -> text of the good reply to it; None for the score of `score_of`.
        twist: what was asked for (`message`, `submit`, `batch`, `list` or `results`), the request's body and the good reply's
            -> status, headers and body of the reply that is sent; None for the good one.
        asked: how many calls have come, each of a batch among them.
        requests, headers: of every POST.
    """

    faults: dict[str, float] = field(default_factory=dict)
    timeout_seconds: float = 1.0
    polls: int = 1
    seed: int = 1
    logprobs: dict[str, float] | None = None
    temperatures: bool = True
    echoes: bool = False
    says: Callable[[dict], str] | None = None
    twist: Callable[[str, dict, bytes], "tuple[int, dict, bytes] | None"] | None = None
    asked: int = 0
    delivered: Counter = field(default_factory=Counter)
    usage: Counter = field(default_factory=Counter)
    sent: int = 0
    requests: list[dict] = field(default_factory=list)
    headers: list[dict] = field(default_factory=list)
    tries: Counter = field(default_factory=Counter)
    batches: dict[str, dict] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    url: str = ""

    def fault(self, request: str, kinds: tuple[str, ...]) -> str | None:
        """The fault of this request, this time."""
        with self.lock:
            self.tries[request] += 1
            draw = random.Random(f"{self.seed} {self.tries[request]} {request}").random()
        for name in kinds:
            draw -= self.faults.get(name, 0)
            if draw < 0:
                return name
        return None

    def message(self, body: dict, text: str | None = None, stop_reason: str = "end_turn", paid: bool = True) -> dict:
        """A message in reply to a request's body, with its usage counted if it is to be paid for."""
        request = canonical(body)
        good = self.says or (lambda body: str(score_of(body)))
        content = [] if stop_reason == "refusal" else [{"type": "text", "text": good(body) if text is None else text}]
        usage = {
            "input_tokens": len(json.dumps(body["messages"])) // 4,
            "output_tokens": 4,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": len(json.dumps(body.get("system", ""))) // 4,
        }
        with self.lock:
            self.usage.update(usage if paid else {})
            self.sent += 1
            self.delivered[request] += text is None and stop_reason == "end_turn"
            number = self.sent
        return {
            "id": f"msg_{number}",
            "type": "message",
            "role": "assistant",
            "model": body["model"],
            "content": content,
            "stop_reason": stop_reason,
            "stop_sequence": None,
            "usage": usage,
        }


def canonical(body: dict) -> str:
    """A request's body as text, whatever the order of its keys."""
    return json.dumps(body, sort_keys=True)


def score_of(body: dict) -> int:
    """The score that the server gives to a request: 0..100, by a hash of its instructions and message."""
    text = json.dumps([[block["text"] for block in body.get("system", [])], body["messages"]])
    return int(hashlib.sha256(text.encode()).hexdigest(), 16) % 101


def as_completion(message: dict, logprobs: dict[str, float] | None) -> dict:
    """A message in the form of a chat completion."""
    text = "".join(block["text"] for block in message["content"])
    refused = message["stop_reason"] == "refusal"
    tops = [{"token": token, "logprob": logprob, "bytes": None} for token, logprob in (logprobs or {}).items()]
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": None if refused else text, "refusal": "no" if refused else None},
        "finish_reason": "stop",
        "logprobs": {"content": [tops[0] | {"top_logprobs": tops}], "refusal": None} if tops else None,
    }
    usage = message["usage"]
    n_cached, n_new, n_output = (usage[f"{name}_tokens"] for name in ("cache_read_input", "input", "output"))
    return {
        "id": message["id"],
        "object": "chat.completion",
        "created": 0,
        "model": message["model"],
        "choices": [choice],
        "usage": {
            "prompt_tokens": n_new + n_cached,
            "completion_tokens": n_output,
            "total_tokens": n_new + n_cached + n_output,
            "prompt_tokens_details": {"cached_tokens": n_cached},
        },
    }


class Handler(BaseHTTPRequestHandler):
    """Answers requests; `self.server.loopback` says how."""

    protocol_version = "HTTP/1.1"
    # the body, written after the headers, would else wait 40 ms for the client to acknowledge them
    disable_nagle_algorithm = True

    def log_message(self, *args):
        """Say nothing."""

    def date_time_string(self, timestamp=None):
        """The server's own time, which a test that sets the client's clock wrong leaves right."""
        return super().date_time_string(datetime.now(UTC).timestamp())

    @property
    def loopback(self) -> Loopback:
        return self.server.loopback

    @property
    def key(self) -> str:
        """The key that came with the request."""
        return self.headers.get("x-api-key") or self.headers.get("authorization", "").removeprefix("Bearer ")

    @property
    def echo(self) -> str:
        """The key, where the server quotes it, after a blank."""
        return f" {self.key}" if self.loopback.echoes else ""

    wanted, body = "message", {}

    def do_POST(self):
        self.wanted = "message"
        self.body = body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with self.loopback.lock:
            self.loopback.requests.append(body)
            self.loopback.headers.append(dict(self.headers))
            self.loopback.asked += len(body.get("requests", [body]))
        if self.key != KEY:
            self.error(401, "authentication_error", "invalid x-api-key")
        elif self.path == "/v1/messages":
            self.post_message(body)
        elif self.path == "/v1/messages/batches":
            self.wanted = "submit"
            self.post_batch(body)
        elif self.path == "/v1/chat/completions":
            self.post_message(body, as_completion)
        else:
            self.error(404, "not_found_error", self.path)

    def do_GET(self):
        path = self.path.split("?")[0]
        self.body = {}
        parts = path.removeprefix("/v1/messages/batches").strip("/").split("/")
        self.wanted = "list" if parts == [""] else "results" if parts[1:] == ["results"] else "batch"
        if parts == [""]:
            data = [self.described(batch) for batch in reversed(self.loopback.batches.values())]
            self.send({"data": data, "has_more": False, "first_id": None, "last_id": None})
        elif parts[0] not in self.loopback.batches:
            self.error(404, "not_found_error", path)
        elif parts[1:] == ["results"]:
            lines = [json.dumps(line) for line in self.loopback.batches[parts[0]]["lines"]]
            self.send_bytes("".join(f"{line}\n" for line in lines).encode(), content_type="application/x-jsonl")
        else:
            batch = self.loopback.batches[parts[0]]
            batch["polls"] += 1
            self.send(self.described(batch))

    # ---- messages

    def post_message(self, body: dict, shaped=lambda message, logprobs: message):
        if self.refused(body):
            return
        fault = self.loopback.fault(canonical(body), FAULTS)
        if fault in ERRORS:
            self.error(*ERRORS[fault], fault, {"retry-after": "0.05"} if fault == "rate_limited" else {})
        elif fault == "timeout":
            time.sleep(self.loopback.timeout_seconds)
            self.close_connection = True
        elif fault == "cut":
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", "500")
            self.end_headers()
            self.wfile.write(b'{"id": "msg_')
            self.close_connection = True
        elif fault == "malformed_body":
            self.send_bytes(b'{"id": "msg_1", "type": "mess' + self.echo.encode())
        elif fault == "judge_refusal":
            self.send(shaped(self.loopback.message(body, stop_reason="refusal"), None))
        else:
            logprobs = self.loopback.logprobs if body.get("logprobs") else None
            text = TEXTS[fault] + self.echo if fault else None
            self.send(shaped(self.loopback.message(body, text), logprobs))

    def refused(self, body: dict) -> bool:
        """Whether the request is one that the real API turns away, which is then done."""
        version = self.headers["anthropic-version"] or ""
        if not body["model"].startswith("claude-"):
            self.error(404, "not_found_error", f"model: {body['model']}")
        elif "temperature" in body and (version > "2023-06-01" or not self.loopback.temperatures):
            self.error(400, "invalid_request_error", "temperature: Extra inputs are not permitted")
        else:
            return False
        return True

    # ---- batches

    def post_batch(self, body: dict):
        fault = self.loopback.fault(canonical(body), (*ERRORS, "cut"))
        if fault in ERRORS:
            self.error(*ERRORS[fault], fault)
            return
        lines = []
        for request in body["requests"]:
            lines += self.batch_lines(request["custom_id"], request["params"])
        random.Random(self.loopback.seed).shuffle(lines)
        batch_id = f"msgbatch_{len(self.loopback.batches) + 1}"
        batch = {"id": batch_id, "n": len(body["requests"]), "created": datetime.now(UTC), "polls": 0, "lines": lines}
        self.loopback.batches[batch_id] = batch
        if fault == "cut":
            self.close_connection = True
            return
        self.send(self.described(batch))

    def batch_lines(self, custom_id: str, params: dict) -> list[dict]:
        """The lines of a batch's results that one request leads to: one, none, or one under another's name."""
        fault = self.loopback.fault(canonical(params), (*BATCH_FAULTS, *TEXTS, "judge_refusal"))
        if fault == "missing":
            return []
        if fault == "errored":
            error = {"type": "error", "error": {"type": "api_error", "message": "no"}, "request_id": None}
            return [{"custom_id": custom_id, "result": {"type": "errored", "error": error}}]
        if fault == "expired":
            return [{"custom_id": custom_id, "result": {"type": "expired"}}]
        if fault == "foreign":
            foreign = self.loopback.message(params, "99", paid=False)
            return [
                {
                    "custom_id": f"foreign-{custom_id[:50]}{self.echo}",
                    "result": {"type": "succeeded", "message": foreign},
                }
            ]
        stop_reason = "refusal" if fault == "judge_refusal" else "end_turn"
        text = TEXTS[fault] + self.echo if fault in TEXTS else None
        message = self.loopback.message(params, text, stop_reason)
        return [{"custom_id": custom_id, "result": {"type": "succeeded", "message": message}}]

    def described(self, batch: dict) -> dict:
        """A batch as the API describes it."""
        ended = batch["polls"] > self.loopback.polls
        counts = dict.fromkeys(("canceled", "errored", "expired", "processing", "succeeded"), 0)
        return {
            "id": batch["id"],
            "type": "message_batch",
            "processing_status": "ended" if ended else "in_progress",
            "request_counts": counts | {"succeeded" if ended else "processing": batch["n"]},
            "created_at": batch["created"].isoformat(),
            "expires_at": (batch["created"] + timedelta(days=1)).isoformat(),
            "ended_at": batch["created"].isoformat() if ended else None,
            "cancel_initiated_at": None,
            "archived_at": None,
            "results_url": f"{self.loopback.url}/v1/messages/batches/{batch['id']}/results" if ended else None,
        }

    # ---- sending

    def error(self, status: int, kind: str, message: str, headers: dict | None = None):
        if self.loopback.echoes:
            kind, message = kind + self.echo, message + self.echo
            headers = {**(headers or {}), "x-echo": self.key, **({"x-should-retry": "false"} if status == 500 else {})}
        self.send({"type": "error", "error": {"type": kind, "message": message}}, status, headers)

    def send(self, content: dict, status: int = 200, headers: dict | None = None):
        self.send_bytes(json.dumps(content).encode(), status, headers)

    def send_bytes(
        self, content: bytes, status: int = 200, headers: dict | None = None, content_type="application/json"
    ):
        twist = self.loopback.twist and self.loopback.twist(self.wanted, self.body, content)
        if twist:
            status, headers, content = twist
        self.send_response(status)
        for name, value in {
            "content-type": content_type,
            "content-length": str(len(content)),
            **(headers or {}),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


class Server(ThreadingHTTPServer):
    """Keeps quiet about clients that went away."""

    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        """Say nothing."""


@contextmanager
def serving(loopback: Loopback):
    """Serve in a thread; sets the loopback's url."""
    server = Server(("127.0.0.1", 0), Handler)
    server.loopback = loopback
    loopback.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield loopback
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def found_by_sdks(loopback: Loopback, monkeypatch: pytest.MonkeyPatch):
    """Serve where both SDKs look, with the key in the environment that the server takes."""
    with serving(loopback):
        monkeypatch.setenv("ANTHROPIC_BASE_URL", loopback.url)
        monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
        monkeypatch.setenv("OPENAI_BASE_URL", f"{loopback.url}/v1")
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        monkeypatch.setenv("SSL_CERT_FILE", one_authority())
        yield loopback


@cache
def one_authority() -> str:
    """A file of a single certificate authority; a client reads those of the system whenever it is made, and none is needed here."""
    first, end, _ = certifi.contents().partition("-----END CERTIFICATE-----\n")
    path = Path(tempfile.mkdtemp(prefix="emtransfer-tests-"), "authority.pem")
    path.write_text(first + end)
    return str(path)
