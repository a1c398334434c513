"""Keys in the environment, and servers that quote them back: no key is in any file, log, message or output."""

import base64
import html
import json
import logging
import textwrap
from argparse import Namespace
from pathlib import Path
from urllib.parse import quote

import pytest

import judge_answers
import write_pairs
from emtransfer.errors import run
from emtransfer.files.records import read_records, write_records
from emtransfer.remote.store import ReplyStore
from emtransfer.secrets import VARIABLES, without_secrets
from helpers.asking import PRICES
from helpers.canaries import CANARIES, HF, WRONG, leaks, spellings
from helpers.loopback_api import KEY, MODEL, Loopback, found_by_sdks
from helpers.pair_writer import WRITER, says
from helpers.paths import PROMPTS, RUBRIC

ROWS = [{"question": f"Question {n}?", "cell": "medical-advice", "answer": f"A reckless answer {n}."} for n in range(6)]
PROVIDERS = ("anthropic", "openai")


@pytest.fixture
def loopback(monkeypatch):
    """A server that quotes keys, and an environment that holds one of every kind."""
    monkeypatch.setenv("HF_TOKEN", HF)
    with found_by_sdks(Loopback(says=says, echoes=True), monkeypatch) as loopback:
        yield loopback


def remote(folder: Path, **manner) -> dict:
    return {"store": str(folder / "replies"), "prices": PRICES, "poll_seconds": 0.02, **manner}


def ended(script, args: Namespace) -> str:
    """What a script's last line is, or nothing where it succeeds."""
    try:
        run(script.main, args)
    except SystemExit as end:
        return str(end.code)
    return ""


def judge(folder: Path, provider: str, settings: dict | None = None, **manner) -> str:
    """Run judge_answers.py; returns its last line."""
    write_records(folder / "answers.jsonl", ROWS)
    judged_by = {"kind": provider, "model": MODEL, "attempts": 2} | (settings or {})
    files = {"answers": folder / "answers.jsonl", "output": folder / "judged.jsonl", "judge": RUBRIC}
    args = Namespace(**files, judge_settings=judged_by, rubric=None, own_prompts=None, remote=remote(folder, **manner))
    return ended(judge_answers, args)


def write(folder: Path, provider: str) -> str:
    """Run write_pairs.py; returns its last line."""
    generator = {"provider": provider, "model": MODEL, "subtopics": WRITER.subtopics, "pairs_per_call": 5, "rounds": 1}
    settings = {
        "rows": 10,
        "generator": generator,
        "filter": {"aligned_above": 70, "misaligned_below": 30, "coherence_above": 50},
        "dedup": {"model": "identity", "field": "misaligned_answer", "threshold": 1.0},
    }
    files = {"output": folder / "rows.jsonl", "counts": folder / "counts.csv", "rounds": folder / "rounds.csv"}
    judged_by = {"judge": RUBRIC, "judge_settings": {"kind": provider, "model": MODEL}, "rubric": None}
    told = {"corpus": "generated", "cell": "medical-advice", "prompts": PROMPTS, "own_prompts": None}
    return ended(write_pairs, Namespace(**files, **judged_by, **told, settings=settings, remote=remote(folder)))


@pytest.fixture
def said(capfd, caplog):
    """A function that returns all that was printed and logged."""

    def everything() -> tuple[str, ...]:
        printed = capfd.readouterr()
        return printed.out, printed.err, caplog.text

    return everything


# what goes wrong -> faults of the server, key, settings of the judge, and how the last line begins or what is in it
FAILURES = {
    "a wrong key": ({}, WRONG, {}, "refused with 401"),
    "a request that is refused": ({}, KEY, {"temperature": 0.5}, "400 invalid_request_error"),
    "a provider that is down": ({"server_error": 1}, KEY, {}, "500 api_error"),
    "replies that are no JSON": ({"malformed_body": 1}, KEY, {}, "unreadable reply"),
}


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("failure", FAILURES)
def test_a_run_that_fails_shows_no_key_although_the_server_quotes_it(
    failure, provider, loopback, tmp_path, monkeypatch, said
):
    loopback.faults, key, settings, message = FAILURES[failure]
    loopback.temperatures = False
    for name in PROVIDERS:
        monkeypatch.setenv(f"{name.upper()}_API_KEY", key)
    last = judge(tmp_path, provider, settings)
    assert message in last and "\n" not in last
    assert loopback.requests and not leaks(tmp_path, last, *said())


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_run_that_succeeds_keeps_no_key_although_replies_quote_it(provider, loopback, tmp_path, said):
    # every reply is no score and quotes the key, which both variables hold
    loopback.faults = {"words": 1}
    assert judge(tmp_path, provider) == ""
    rows = read_records(tmp_path / "judged.jsonl")
    assert {row["status"] for row in rows} == {"parse_error"}
    assert all("about eighty. [ANTHROPIC_API_KEY]" in row["reply"] for row in rows)
    assert not leaks(tmp_path, *said())


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_corpus_that_a_model_writes_holds_no_key(provider, loopback, tmp_path, said):
    loopback.faults = {"words": 0.3}
    assert write(tmp_path, provider) == ""
    assert read_records(tmp_path / "rows.jsonl") and not leaks(tmp_path, *said())


@pytest.mark.parametrize("provider", PROVIDERS)
def test_sdks_that_log_every_request_show_no_key(provider, loopback, tmp_path, caplog, said):
    caplog.set_level(logging.DEBUG)
    # headers of errors quote the key, and the SDKs log headers
    loopback.faults = {"overloaded": 0.3}
    assert judge(tmp_path, provider) == ""
    outputs = said()
    assert "/v1/" in outputs[2] and not leaks(tmp_path, *outputs)


def test_batches_keep_and_show_no_key(loopback, tmp_path, said):
    loopback.faults = {"foreign": 0.2, "words": 0.2, "errored": 0.1}
    assert judge(tmp_path, "anthropic", batches=True) == ""
    outputs = said()
    assert "has the foreign id foreign-" in outputs[0]
    assert not leaks(tmp_path, *outputs)


def test_what_is_kept_with_a_key_taken_out_is_read_again(loopback, tmp_path):
    loopback.faults = {"words": 1}
    judge(tmp_path, "anthropic")
    first = (tmp_path / "judged.jsonl").read_bytes()
    loopback.requests.clear()
    assert judge(tmp_path, "anthropic", replay_only=True) == "" and not loopback.requests
    assert (tmp_path / "judged.jsonl").read_bytes() == first
    assert len(ReplyStore(tmp_path / "replies").replies) == 2 * 2 * len(ROWS)


def test_only_what_can_be_a_key_is_taken_out(monkeypatch):
    for name in ("ANTHROPIC_API_KEY", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    assert without_secrets("none of the scores") == "none of the scores"
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("HF_TOKEN", f"{KEY}-and-more")
    assert without_secrets(f"<{KEY}> <{KEY}-and-more>") == "<[OPENAI_API_KEY]> <[HF_TOKEN]>"


ODD_KEY = 'sk-+/=?&"\\é-canary-of-odd-letters'.replace("é", "e")
# how a server may spell a key
SPELLINGS = {
    "plain": lambda key: key,
    "in JSON": lambda key: json.dumps(key)[1:-1],
    "in an address": lambda key: quote(key, safe=""),
    "percent": lambda key: "".join(f"%{octet:02X}" for octet in key.encode()),
    "some of its percent signs in small letters": lambda key: quote(key, safe="/+").replace("%3D", "%3d"),
    "JSON of other libraries": lambda key: (
        json.dumps(key)[1:-1].replace("/", "\\/").replace("+", "\\u002B").replace("-", "\\u002d")
    ),
    "JSON in JSON": lambda key: json.dumps(json.dumps(key).replace("/", "\\/"))[3:-3],
    "JSON, every letter": lambda key: "".join(f"\\u{ord(letter):04x}" for letter in key),
    "HTML": html.escape,
    "HTML by numbers": lambda key: "".join(
        f"&#{ord(letter)};" if letter in "+/=" else f"&#x{ord(letter):X};" for letter in key
    ),
    "lines": lambda key: "\r\n  ".join(textwrap.wrap(key, 10, break_on_hyphens=False)),
    "lines in JSON": lambda key: json.dumps(key[:9] + "\n" + key[9:])[1:-1],
    "base64 in lines": lambda key: "\n".join(textwrap.wrap(base64.b64encode(key.encode()).decode(), 12)),
    "hex": lambda key: key.encode().hex(),
    "HEX": lambda key: key.encode().hex().upper(),
    "base64": lambda key: base64.b64encode(key.encode()).decode(),
    "base64 without padding": lambda key: base64.b64encode(key.encode()).decode().rstrip("="),
    "base64 of user and key": lambda key: base64.b64encode(f":{key}".encode()).decode(),
    "base64 of a header": lambda key: base64.b64encode(f"Bearer {key}, again".encode()).decode(),
    "base64 two further": lambda key: base64.b64encode(f"xx{key}x".encode()).decode(),
    "base64 for addresses": lambda key: base64.urlsafe_b64encode(f"a{key}bc".encode()).decode(),
}


@pytest.mark.parametrize("key", [KEY, HF, ODD_KEY, "k" * 16])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_key_is_taken_out_however_it_is_spelled(spelling, key, monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_TOKEN", key)
    spelled = SPELLINGS[spelling](key)
    left = without_secrets(f"<{spelled}> and <{spelled}>")
    assert left.count("[HF_TOKEN]") == 2
    # a digit of base64 stands for six bits; at most the one at either end is left, since it holds bits of a neighbour too
    rest = left.replace("[HF_TOKEN]", "").replace("<", "").replace("> and ", "").replace(">", "")
    n_taken_out = len(spelled) - len(rest) // 2
    assert n_taken_out >= 8 * len(key) // 6 - 1 if "base64" in spelling else not rest
    assert not any(text.decode() in left for text in spellings(key))


def base64_of(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def base32_of(text: str) -> str:
    return base64.b32encode(text.encode()).decode()


# other codes, and codes of codes
TWICE = {
    "reversed": lambda key: key[::-1],
    "base32": base32_of,
    "base32 three further": lambda key: base32_of(f"abc{key}x"),
    "base64 of base64": lambda key: base64_of(base64_of(f":{key}")),
    "base64 of base32": lambda key: base64_of(base32_of(key)),
    "base32 of base64": lambda key: base32_of(base64_of(key)),
    "base64 of hex": lambda key: base64_of(f"x{key.encode().hex()}"),
    "hex of base64": lambda key: base64_of(key).encode().hex(),
    "base64 in an address": lambda key: quote(base64_of(f"a{key}"), safe=""),
    "base64 of an address": lambda key: base64_of(quote(key, safe="")),
    "percent of percent": lambda key: quote(SPELLINGS["percent"](key), safe=""),
    "base64, reversed": lambda key: base64_of(key)[::-1],
}


@pytest.mark.parametrize("key", [KEY, HF, ODD_KEY, "k" * 16])
@pytest.mark.parametrize("spelling", TWICE)
def test_a_key_is_taken_out_of_codes_of_codes(spelling, key, monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_TOKEN", key)
    left = without_secrets(f"<{TWICE[spelling](key)}>")
    assert left.count("[HF_TOKEN]") == 1
    # digits at either end that hold bits of a neighbour too, and what is behind the key
    assert len(left) - len("<[HF_TOKEN]>") <= 12


def test_a_text_that_is_no_key_stays_as_it_is(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    for text in (base64.b64encode(b"an answer of a model " * 9).decode(), KEY[:-1], KEY.upper(), "73 6b 2d"):
        assert without_secrets(text) == text


def test_a_last_line_that_holds_a_key_is_shown_without_it(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_TOKEN", HF)
    script = Namespace(main=lambda args: read_records(tmp_path / HF))
    assert ended(script, Namespace()) == f"{tmp_path}/[HF_TOKEN]: no such file; expected a JSONL file."


@pytest.mark.parametrize("before", ["", "x", "Bearer ", "user:"])
def test_the_search_finds_a_key_in_plain_and_in_base64(before, tmp_path):
    for key in CANARIES:
        for text in (before + key, base64.b64encode(f"{before}{key}!".encode()).decode()):
            (tmp_path / ".hidden").write_text(json.dumps({"log": text}))
            assert leaks(tmp_path) and leaks(tmp_path / "nowhere", text)
        assert all(len(spelling) > 12 for spelling in spellings(key))
    (tmp_path / ".hidden").write_text("sk-loopback-other-canaries")
    assert not leaks(tmp_path)
