"""Servers that are odd, through the real SDKs: nothing is paid twice, nothing lost, and whatever comes is one line."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
import zlib
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from emtransfer.errors import InputError
from emtransfer.remote.attempts import LOST_TRIES, TRIES
from emtransfer.remote.calls import Call
from emtransfer.remote.sdks import asked_seconds
from emtransfer.remote.store import ReplyStore
from helpers.asking import PRICE, asker, sent
from helpers.loopback_api import KEY, MODEL, Loopback, found_by_sdks
from helpers.odd_replies import BODIES, FORMS, UNREADABLE, as_bytes
from helpers.paths import ROOT, SCRIPTS

ODD = "Answer 1"


@pytest.fixture
def loopback(monkeypatch):
    """A server that the SDKs find, and little rest between attempts."""
    monkeypatch.setattr("emtransfer.remote.attempts.FIRST_REST_SECONDS", 0.0001)
    with found_by_sdks(Loopback(), monkeypatch) as loopback:
        yield loopback


def calls_of(api: str, n: int = 4) -> list[Call]:
    """Calls of which the second gets the odd replies."""
    provider = "openai" if api == "openai" else "anthropic"
    return [Call(provider, MODEL, "Grade.", f"Answer {number}", 16) for number in range(n)]


def asked(api: str, folder: Path, calls: list[Call], **settings) -> dict:
    """The replies to calls."""
    provider = "openai" if api == "openai" else "anthropic"
    manner = {"batches": api == "batches", "poll_seconds": 0.001} | settings
    return asker(folder, provider, **manner).ask_all(calls)


def twisted(form) -> callable:
    """A twist that gives the odd call's reply this form."""

    def twist(wanted: str, body: dict, content: bytes):
        if wanted == "message" and ODD in json.dumps(body):
            return 200, {}, as_bytes(form(json.loads(content)))
        if wanted == "results":
            return 200, {}, b"".join(twisted_line(line, form) + b"\n" for line in content.splitlines())
        return None

    return twist


def twisted_line(line: bytes, form) -> bytes:
    """A line of a batch's results, with the odd call's message in this form."""
    entry = json.loads(line)
    if entry["custom_id"] != calls_of("batches")[1].key:
        return line
    mark = "@@message@@"
    entry["result"]["message"], good = mark, entry["result"]["message"]
    return json.dumps(entry).encode().replace(f'"{mark}"'.encode(), as_bytes(form(good)))


CASES = [(api, name) for api, forms in FORMS.items() for name in forms]


@pytest.mark.parametrize(("api", "name"), CASES)
def test_a_reply_of_any_form_is_read_or_named_and_the_others_are_kept(api, name, loopback, tmp_path):
    outcome, form = FORMS[api][name]
    calls = calls_of(api)
    loopback.twist = twisted(form)
    lineless = api == "batches" and is_lineless(form)
    if outcome == UNREADABLE or lineless:
        # a batch of one call whose results are no line is looked at again by the next run, and not handed in again
        where = ", reading batch msgbatch_2" if lineless else ""
        reason = "unreadable in batch" if api == "batches" and not lineless else UNREADABLE
        with pytest.raises(InputError, match=rf"1 of 4 calls got no reply \(1 {reason}{where}\)") as ended:
            asked(api, tmp_path, calls)
        assert "\n" not in str(ended.value)
        assert sent(tmp_path) == (3, 0, 2 if lineless else LOST_TRIES)
    else:
        reply = asked(api, tmp_path, calls)[calls[1].key]
        if outcome.startswith("read"):
            assert reply.ending == "finished"
            assert not outcome.startswith("read: ") or reply.text == outcome.removeprefix("read: ")
        else:
            assert reply.ending == outcome
        assert sent(tmp_path) == (4, 0, 0)
    assert loopback.asked == sum(sent(tmp_path))
    # asked again of a good server, nothing that was kept is paid for again
    loopback.twist, n_before = None, loopback.asked
    assert len(asked(api, tmp_path, calls)) == 4
    assert loopback.asked - n_before == (outcome == UNREADABLE and not lineless)


def is_lineless(form) -> bool:
    """Whether a message of this form leaves a line of results that is no JSON."""
    good = Loopback().message({"messages": [], "model": MODEL}, "85")
    try:
        json.loads(b'{"message": ' + as_bytes(form(good)) + b"}")
    except (ValueError, RecursionError):
        return True
    return False


def test_the_table_of_reliability_lists_every_form_with_its_outcome():
    rows = [
        line.split("|") for line in (ROOT / "docs/reliability.md").read_text().splitlines() if line.startswith("| ")
    ]
    listed = {(cells[1].strip(), *(cell.strip() for cell in cells[2:4])) for cells in rows if len(cells) == 5}
    for name in FORMS["anthropic"] | FORMS["openai"]:
        words = tuple(in_words(FORMS[api][name][0]) if name in FORMS[api] else "–" for api in ("anthropic", "openai"))
        assert (name, *words) in listed


def in_words(outcome: str) -> str:
    """An outcome as the table has it."""
    kind, _, text = outcome.partition(": ")
    return {"read": f"read, as {text}" if text else "read, blank" if ":" in outcome else "read"}.get(kind, outcome)


@pytest.mark.parametrize("status", [204, 201, 202])
@pytest.mark.parametrize("api", ["anthropic", "openai"])
def test_a_success_without_content_is_an_unreadable_reply(api, status, loopback, tmp_path):
    loopback.twist = lambda wanted, body, content: (status, {"content-length": "0"}, b"")
    with pytest.raises(InputError, match="4 of 4 calls got no reply .* unreadable reply"):
        asked(api, tmp_path, calls_of(api))
    assert loopback.asked == sent(tmp_path)[2]


@pytest.mark.parametrize("api", ["anthropic", "openai"])
@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_body_that_is_not_packed_as_it_says_is_lost(api, encoding, loopback, tmp_path):
    loopback.twist = lambda wanted, body, content: (200, {"content-encoding": encoding}, b"not packed")
    with pytest.raises(InputError, match="1 of 1 call got no reply"):
        asked(api, tmp_path, calls_of(api, 1))
    assert sent(tmp_path) == (0, 0, LOST_TRIES) and loopback.asked == LOST_TRIES


# ---- bodies without end

LONG = 200_000_000


def packed(begin: bytes, piece: bytes) -> bytes:
    """Some bytes, and others over and over, packed so that they are few on the line; what packs them sees them once."""
    packer = zlib.compressobj(wbits=31)
    first, n_pieces = packer.compress(begin) + packer.flush(zlib.Z_FULL_FLUSH), 2**20 // len(piece)
    block = packer.compress(piece * n_pieces) + packer.flush(zlib.Z_FULL_FLUSH)
    return first + block * -(-LONG // 2**20)


@contextmanager
def little_memory(most_bytes: int = 40_000_000):
    """Python's own memory, the bodies that libraries unpack included, stays below a limit, far below what is unpacked."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < most_bytes < LONG / 4
    finally:
        tracemalloc.stop()


# status -> attempts, what each of them came to, and the reason
LONG_BODIES = {
    200: (LOST_TRIES, "lost", UNREADABLE),
    400: (1, "refused", "400"),
    429: (TRIES, "refused", "429"),
    502: (LOST_TRIES, "lost", "502"),
}


@pytest.mark.parametrize("api", ["anthropic", "openai"])
@pytest.mark.parametrize("status", LONG_BODIES)
def test_a_body_without_end_takes_little_memory_and_counts_as_its_status(status, api, loopback, tmp_path):
    n_tries, counts_as, reason = LONG_BODIES[status]
    # blanks behind a good reply change nothing but its length
    loopback.twist = lambda wanted, body, content: (status, {"content-encoding": "gzip"}, packed(content, b" "))
    with little_memory(), pytest.raises(InputError, match=rf"1 of 1 call got no reply \(1 {reason}\)"):
        asked(api, tmp_path, calls_of(api, 1))
    assert sent(tmp_path) == ((0, n_tries, 0) if counts_as == "refused" else (0, 0, n_tries))
    assert loopback.asked == n_tries


def test_results_are_read_as_a_stream_and_a_line_without_end_costs_none_of_the_others(loopback, tmp_path, capsys):
    loopback.twist = lambda wanted, body, content: (
        (200, {"content-encoding": "gzip"}, packed(content, b"0")) if wanted == "results" else None
    )
    with little_memory():
        assert len(asked("batches", tmp_path, calls_of("batches"))) == 4
    assert len(loopback.batches) == 1 and sent(tmp_path) == (4, 0, 0)
    assert "odd results are skipped; line 5 cannot be read." in capsys.readouterr().out


@pytest.mark.parametrize("wanted", ["batch", "results"])
def test_results_and_a_state_without_end_stay_open(wanted, loopback, tmp_path, monkeypatch):
    monkeypatch.setattr("emtransfer.remote.sdks.LONGEST_RESULTS_BYTES", 10_000_000)
    monkeypatch.setattr("emtransfer.remote.batching.TRIES", 2)
    loopback.twist = lambda now, body, content: (
        (200, {"content-encoding": "gzip"}, packed(content, b" ")) if now == wanted else None
    )
    with little_memory(), pytest.raises(InputError, match=r"\(4 unreadable reply, reading batch msgbatch_1\)"):
        asked("batches", tmp_path, calls_of("batches"))
    loopback.twist = None
    assert len(asked("batches", tmp_path, calls_of("batches"))) == 4
    assert len(loopback.batches) == 1 and sent(tmp_path) == (4, 0, 0)


# ---- statuses

# status, headers -> attempts in all, and whether each may have been paid
STATUSES = {
    "408": (408, {}, LOST_TRIES, True),
    "409": (409, {}, TRIES, False),
    "418": (418, {}, 1, False),
    "429": (429, {}, TRIES, False),
    "500": (500, {}, TRIES, False),
    "502": (502, {}, LOST_TRIES, True),
    "503": (503, {}, TRIES, False),
    "504": (504, {}, LOST_TRIES, True),
    "529": (529, {}, TRIES, False),
    "500, not to be tried again": (500, {"x-should-retry": "false"}, 1, False),
    "400, to be tried again": (400, {"x-should-retry": "true"}, TRIES, False),
    "400, to be tried perhaps": (400, {"x-should-retry": "perhaps"}, 1, False),
}


@pytest.mark.parametrize("api", ["anthropic", "openai"])
@pytest.mark.parametrize(
    "body", [b'{"error": {"type": "x", "message": "no"}}', b"<html>", b"null", DEEP := b"[" * 10_000]
)
@pytest.mark.parametrize("case", STATUSES)
def test_a_status_says_how_often_a_call_is_made_and_what_that_may_have_cost(case, body, api, loopback, tmp_path):
    status, headers, n_tries, perhaps_paid = STATUSES[case]
    loopback.twist = lambda wanted, request, content: (status, headers, body)
    call = calls_of(api, 1)
    with pytest.raises(InputError, match=rf"1 of 1 call got no reply \(1 {status}"):
        asked(api, tmp_path, call)
    assert sent(tmp_path) == ((0, 0, n_tries) if perhaps_paid else (0, n_tries, 0))
    assert loopback.asked == n_tries
    most = PRICE.most_usd(call[0], batched=False)
    assert ReplyStore(tmp_path).spent_usd() == pytest.approx(n_tries * most * perhaps_paid, rel=1e-9)


# ---- waiting


def test_a_wait_that_a_server_asks_for_is_in_seconds_or_a_date_of_its_own_clock():
    now = "Wed, 21 Oct 2015 07:28:00 GMT"
    assert asked_seconds({"retry-after": "7"}) == 7 and asked_seconds({"retry-after-ms": "1500"}) == 1.5
    for form in ("Wed, 21 Oct 2015 07:28:30 GMT", "Wednesday, 21-Oct-15 07:28:30 GMT", "Wed Oct 21 07:28:30 2015"):
        assert asked_seconds({"retry-after": form, "date": now}) == 30
    assert asked_seconds({"retry-after": "Fri, 31 Dec 9999 23:59:59 GMT", "date": now}) > 10**11
    assert asked_seconds({"retry-after": "Wed, 21 Oct 2015 07:27:30 GMT", "date": now}) is None
    for odd in ("", "soon", "-5", "0", "NaN", "Wed, 99 Oct 2015", "[]", "1, 2", "-Infinity", "-1e400"):
        assert asked_seconds({"retry-after": odd, "date": now}) is None
    assert asked_seconds({"retry-after": now}) is None and asked_seconds({}) is None


def in_a_day() -> str:
    """The date of tomorrow, in the form of HTTP."""
    return formatdate(time.time() + 86_400, usegmt=True)


@pytest.mark.parametrize("wait", ["86400", in_a_day])
def test_a_wait_is_capped_and_told(wait, loopback, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("emtransfer.remote.attempts.LONGEST_REST_SECONDS", 0.01)
    loopback.twist = lambda wanted, body, content: (
        429,
        {"retry-after": wait if isinstance(wait, str) else wait()},
        b"{}",
    )
    with pytest.raises(InputError, match="1 of 1 call got no reply"):
        asked("anthropic", tmp_path, calls_of("anthropic", 1))
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Waiting")]
    said = r"Waiting: the provider asks for 86(400|399|401) s \(429\); the next attempt is in 0 s\."
    assert told and all(re.fullmatch(said, line) for line in told)
    assert len(told) == 1 or not isinstance(wait, str)
    assert loopback.asked == TRIES


DRIVER = """
import sys
from pathlib import Path
sys.path[:0] = [{tests!r}, {scripts!r}]
from helpers.asking import asker
from emtransfer.remote.calls import Call
calls = [Call("anthropic", {model!r}, "Grade.", f"Answer {{number}}", 16) for number in range(4)]
asker(Path(sys.argv[1]), batches=sys.argv[2] == "batches", poll_seconds=600).ask_all(calls)
"""


@pytest.mark.parametrize("waits_for", ["a reply", "the next attempt", "a date", "a batch"])
def test_an_interrupt_ends_a_wait_at_once(waits_for, loopback, tmp_path):
    if waits_for == "a reply":
        loopback.faults, loopback.timeout_seconds = {"timeout": 1.0}, 300
    elif waits_for in ("the next attempt", "a date"):
        asked_for = in_a_day() if waits_for == "a date" else "3600"
        loopback.twist = lambda wanted, body, content: (429, {"retry-after": asked_for}, b"{}")
    else:
        loopback.polls = 10**6
    code = DRIVER.format(tests=str(ROOT / "tests"), scripts=str(SCRIPTS), model=MODEL)
    mode = "batches" if waits_for == "a batch" else "messages"
    command = [sys.executable, "-c", code, str(tmp_path), mode]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if waits_for == "a reply":
        deadline = time.monotonic() + 60
        while loopback.asked < 4:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    else:
        assert process.stdout.readline().startswith("Waiting: ")
    os.kill(process.pid, signal.SIGINT)
    # each of the waits is of a minute at least
    _, error = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGINT and "KeyboardInterrupt" in error
    n_paid, n_refused, n_lost = sent(tmp_path)
    assert (n_paid, n_refused + n_lost) == (0, 4) and loopback.asked == 4


@pytest.mark.parametrize("body", [{}, {"error": {}}, {"error": {"message": None}}, {"error": {"message": ""}}])
@pytest.mark.parametrize("provider", ["anthropic", "openai"])
def test_a_refusal_without_words_is_its_number(provider, body, loopback, tmp_path):
    loopback.twist = lambda wanted, sent, content: (413, {}, json.dumps(body).encode())
    with pytest.raises(InputError, match=r"1 of 1 call got no reply \(1 413\);"):
        asked(provider, tmp_path, calls_of(provider, 1))


def test_a_reply_that_drips_is_given_up(loopback, tmp_path, monkeypatch):
    monkeypatch.setattr("emtransfer.remote.attempts.LOST_TRIES", 1)
    monkeypatch.setattr("emtransfer.remote.asking.PATIENCE", 0.5)
    loopback.faults, loopback.timeout_seconds = {"timeout": 1.0}, 30
    with pytest.raises(InputError, match=r"1 of 1 call got no reply \(1 timeout\)"):
        asked("anthropic", tmp_path, calls_of("anthropic", 1), timeout_seconds=1.0)


# ---- batches

BATCH_IDS = [7, "", None, ["msgbatch_1"], {"id": 1}, "../messages", "a/b", "a b", "x" * 129, "msgbatch_1\n", "é"]


@pytest.mark.parametrize("odd", [*BATCH_IDS, *(name for name in BODIES if BODIES[name][0] == UNREADABLE)], ids=str)
def test_a_batch_whose_acceptance_cannot_be_read_is_looked_for_and_its_id_never_kept(odd, loopback, tmp_path):
    def twist(wanted: str, body: dict, content: bytes):
        if wanted != "submit":
            return None
        form = BODIES[odd][1] if isinstance(odd, str) and odd in BODIES else lambda good: good | {"id": odd}
        return 200, {}, as_bytes(form(json.loads(content)))

    loopback.twist = twist
    assert len(asked("batches", tmp_path, calls_of("batches"))) == 4
    assert list(loopback.batches) == ["msgbatch_1"] and sent(tmp_path) == (4, 0, 0)
    assert ReplyStore(tmp_path).batch_ids == {"msgbatch_1"}


def test_a_batch_that_is_not_heard_of_is_handed_in_once_more_and_not_twice(loopback, tmp_path, capsys):
    loopback.twist = lambda wanted, body, content: (200, {}, b"null") if wanted in ("submit", "list") else None
    with pytest.raises(InputError, match=r"4 of 4 calls got no reply \(4 batch unconfirmed \(unreadable reply\)\)"):
        asked("batches", tmp_path, calls_of("batches"))
    assert len(loopback.batches) == 2 and sent(tmp_path) == (0, 0, 8) and loopback.asked == 8
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Lost")]
    assert len(told) == 2 and told[0].endswith("at the most they may have cost; 4 of them are submitted once more.")


@pytest.mark.parametrize("status", [404, 410])
@pytest.mark.parametrize("missing", ["batch", "results"])
def test_a_batch_that_the_provider_does_not_know_is_given_up_at_once_and_handed_in_once_more_at_its_price(
    missing, status, loopback, tmp_path, capsys
):
    loopback.twist = lambda wanted, body, content: (
        (status, {}, b'{"error": {"type": "not_found_error"}}') * (wanted == missing) or None
    )
    looks = []
    monitored = loopback.twist
    loopback.twist = lambda wanted, body, content: (looks.append(wanted), monitored(wanted, body, content))[1]
    calls = calls_of("batches")
    with pytest.raises(InputError, match=r"4 of 4 calls got no reply \(4 batch unknown to the provider\)"):
        asked("batches", tmp_path, calls)
    assert looks.count(missing) == 2 and len(loopback.batches) == 2
    assert sent(tmp_path) == (0, 0, 8)
    most = sum(PRICE.most_usd(call, batched=True) for call in calls)
    assert ReplyStore(tmp_path).spent_usd() == pytest.approx(2 * most, rel=1e-9)
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Lost")]
    assert told[0].startswith("Lost batch msgbatch_1 of 4 calls: batch unknown to the provider.") and len(told) == 2


def test_a_batch_that_is_gone_is_not_handed_in_again_beyond_the_budget(loopback, tmp_path):
    loopback.twist = lambda wanted, body, content: (404, {}, b"{}") if wanted == "batch" else None
    calls = calls_of("batches")
    budget = 1.5 * sum(PRICE.most_usd(call, batched=True) for call in calls)
    with pytest.raises(InputError):
        asked("batches", tmp_path, calls, budget_usd=budget)
    assert ReplyStore(tmp_path).spent_usd() <= budget and loopback.asked == 6


@pytest.mark.parametrize("wanted", ["batch", "results"])
@pytest.mark.parametrize("name", [name for name, (outcome, _) in BODIES.items() if outcome == UNREADABLE])
def test_results_that_cannot_be_read_stay_open_and_nothing_is_handed_in_again(name, wanted, loopback, tmp_path, capsys):
    form = BODIES[name][1]

    def twist(now: str, body: dict, content: bytes):
        # half of the results are some results
        good = {"half": "x" * 100} if now == "results" else json.loads(content) if now == "batch" else {}
        return (200, {}, as_bytes(form(good))) if now == wanted else None

    loopback.twist = twist
    with pytest.raises(InputError, match=r"4 of 4 calls got no reply \(4 unreadable reply, reading batch msgbatch_1\)"):
        asked("batches", tmp_path, calls_of("batches"))
    assert "--discard msgbatch_1 (docs/remote_models.md)" in capsys.readouterr().out
    loopback.twist = None
    assert len(asked("batches", tmp_path, calls_of("batches"))) == 4
    assert len(loopback.batches) == 1 and sent(tmp_path) == (4, 0, 0)


# lines of results that are of no use beside the good ones
ODD_LINES = [
    b"<html>",
    b"null",
    b"[]",
    b"{}",
    b'{"custom_id": 7, "result": {}}',
    b'{"custom_id": "foreign", "result": null}',
    DEEP,
]


@pytest.mark.parametrize("line", ODD_LINES)
def test_an_odd_line_of_results_costs_none_of_the_others(line, loopback, tmp_path, capsys):
    loopback.twist = lambda wanted, body, content: (200, {}, line + b"\n" + content) if wanted == "results" else None
    assert len(asked("batches", tmp_path, calls_of("batches"))) == 4
    assert len(loopback.batches) == 1 and sent(tmp_path) == (4, 0, 0)
    assert "msgbatch_1: 1 odd results are skipped; line 1 " in capsys.readouterr().out


def test_of_batches_of_one_size_each_is_read_that_may_be_the_one_that_was_not_heard_of(loopback, tmp_path):
    other = [Call("anthropic", MODEL, "Grade.", f"Other {number}", 16) for number in range(4)]
    asked("batches", tmp_path / "elsewhere", other)
    loopback.twist = lambda wanted, body, content: (200, {}, b"null") if wanted == "submit" else None
    assert len(asked("batches", tmp_path / "here", calls_of("batches"))) == 4
    # nothing tells that one of the two was another's, so its calls count as lost besides: too much rather than too little
    assert len(loopback.batches) == 2 and sent(tmp_path / "here") in ((4, 0, 4), (4, 0, 0))


@pytest.mark.parametrize("hours", [-48, 48])
def test_a_clock_that_is_wrong_hands_no_batch_in_twice(hours, loopback, tmp_path, monkeypatch):
    right = time.time
    monkeypatch.setattr(time, "time", lambda: right() + hours * 3600)
    loopback.twist = lambda wanted, body, content: (200, {}, b"null") if wanted == "submit" else None
    assert len(asked("batches", tmp_path, calls_of("batches"))) == 4
    assert len(loopback.batches) == 1


# ---- where keys go


class Elsewhere(BaseHTTPRequestHandler):
    """Another host, which notes what comes."""

    def do_GET(self):
        self.server.seen.append((self.path, dict(self.headers)))
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    do_POST = do_GET

    def log_message(self, *args):
        """Say nothing."""


@pytest.fixture
def elsewhere():
    """A server on another port, another origin therefore."""
    server = HTTPServer(("127.0.0.1", 0), Elsewhere)
    server.seen = []
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("api", ["anthropic", "openai", "batches"])
def test_a_redirect_is_not_followed(api, status, loopback, elsewhere, tmp_path):
    target = f"http://127.0.0.1:{elsewhere.server_port}/v1/messages"
    loopback.twist = lambda wanted, body, content: (status, {"location": target}, b"")
    provider = "OPENAI" if api == "openai" else "ANTHROPIC"
    with pytest.raises(
        InputError, match=rf"{provider}_BASE_URL: its server redirects requests to 127.0.0.1 \({status}\)"
    ):
        asked(api, tmp_path, calls_of(api, 1))
    assert not elsewhere.seen


@pytest.mark.parametrize("wanted", ["batch", "results"])
def test_a_redirect_of_a_batch_or_its_results_is_not_followed(wanted, loopback, elsewhere, tmp_path):
    target = f"http://127.0.0.1:{elsewhere.server_port}/results"
    loopback.twist = lambda now, body, content: (307, {"location": target}, b"") if now == wanted else None
    with pytest.raises(InputError, match="ANTHROPIC_BASE_URL: its server redirects requests"):
        asked("batches", tmp_path, calls_of("batches"))
    assert not elsewhere.seen and len(ReplyStore(tmp_path).batches) == 1


def test_results_are_fetched_by_the_id_of_their_batch_wherever_the_provider_says_they_are(
    loopback, elsewhere, tmp_path
):
    def twist(wanted: str, body: dict, content: bytes):
        address = f"http://127.0.0.1:{elsewhere.server_port}/results"
        batch = json.loads(content) if wanted == "batch" else {}
        return (200, {}, as_bytes(batch | {"results_url": address})) if batch.get("results_url") else None

    loopback.twist = twist
    assert len(asked("batches", tmp_path, calls_of("batches"))) == 4
    assert not elsewhere.seen


def test_an_address_of_another_scheme_is_one_line(monkeypatch, tmp_path):
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "ftp://localhost/")
    with pytest.raises(InputError, match="ANTHROPIC_BASE_URL is not an address"):
        asked("anthropic", tmp_path, calls_of("anthropic"))
