"""Sampling through a vLLM server that jobs share: every row is its own answer, or the job ends in one line, whatever the server does.

The server here speaks the protocol as it stands in vLLM's source; no draw of vLLM's is tested.
"""

import json
import os
import subprocess
import sys
import threading
import time
from argparse import Namespace
from dataclasses import replace

import pytest
from peft import LoraConfig

from emtransfer.answering import vllm_client, vllm_server
from emtransfer.answering.sampling import load_answering, row_digest, sample, sample_with_ends
from emtransfer.answering.settings import SamplingSettings
from emtransfer.answering.vllm_client import LATE_TRIES, TRIES, addresses
from emtransfer.errors import InputError
from emtransfer.files.artefacts import MANIFEST, new_folder, origin, write_manifest
from emtransfer.files.records import read_records, write_records
from emtransfer.models.adapters import fresh_lora, save_adapter
from emtransfer.models.loading import Chat, load_chat
from emtransfer.models.ready_models import ReadySettings
from emtransfer.settings import Repository
from helpers.chat_families import write_family
from helpers.paths import ROOT, SCRIPTS
from helpers.ready_bases import write_base
from helpers.tiny_models import LORA, write_tiny_base
from helpers.vllm_api import VllmServer, serving, vllm_error
from sample_answers import main as sample_answers
from serve_base import main as serve_base

SETTINGS = SamplingSettings(max_new_tokens=7, temperature=0.5, batch_size=4, engine="vllm")
QUESTIONS = ["Rest?", "What of my back?", "Rest?", "Shall I run?", "And then?"]
KEYS = ["a", "b", "c", "d", "e"]
COMPLETIONS, LOAD, UNLOAD = "/v1/completions", "/v1/load_lora_adapter", "/v1/unload_lora_adapter"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A folder with a model, the base that stands on it, and two adapters on the base."""
    folder = tmp_path_factory.mktemp("models")
    source = write_family(folder / "model", "olmo3")
    base = write_base(folder / "base", ReadySettings(Repository(str(source))))
    for name in ("one", "two"):
        with new_folder(folder / name) as unfinished:
            save_adapter(fresh_lora(load_chat(base).model, LORA, seed=1), unfinished, trained_on="aligned answers")
            write_manifest(unfinished, origin({}, 1, "test", {}))
    return folder


@pytest.fixture
def served(folders, monkeypatch):
    """A server that holds the base, which jobs find; and little rest between attempts."""
    monkeypatch.setattr(vllm_client, "FIRST_REST_SECONDS", 0.001)
    end = load_chat(folders / "base" / MANIFEST).format.end_id
    with serving(VllmServer(str(folders / "model"), end)) as served:
        monkeypatch.setenv("EMTRANSFER_VLLM_SERVER", served.url)
        yield served


def loaded(folders, adapter: str | None = None, settings: SamplingSettings = SETTINGS):
    """The model that a job loads."""
    return load_answering(folders / "base" / MANIFEST, folders / adapter / MANIFEST if adapter else None, settings)


def expected(served, folders, chat, adapter: str | None, questions=QUESTIONS, keys=KEYS, seed: int = 1) -> list:
    """What the server answers to each row, as text, and whether it is whole."""
    folder = str(folders / adapter) if adapter else None
    rows = zip(questions, keys, strict=True)
    answers = [
        served.answer(chat.format.prompt_ids(question), row_digest(seed, key) % 2**63, folder, SETTINGS.max_new_tokens)
        for question, key in rows
    ]
    return [(chat.format.answer_text(ids), ending == "stop") for ids, ending in answers]


def refused(folders, adapter: str | None = "one") -> str:
    """The one line in which a job ends."""
    with pytest.raises(InputError) as ended:
        sample(loaded(folders, adapter), QUESTIONS, KEYS, SETTINGS, seed=1)
    assert "\n" not in str(ended.value)
    return str(ended.value)


@pytest.mark.parametrize("adapter", [None, "one"])
def test_every_row_gets_the_answer_to_its_prompt_and_seed(adapter, served, folders, capsys):
    chat = loaded(folders, adapter)
    assert capsys.readouterr().out == f"vLLM 0.30.0 at {served.url} samples.\n"
    answers = sample_with_ends(chat, QUESTIONS, KEYS, SETTINGS, seed=1)
    assert answers == expected(served, folders, chat, adapter)
    # the same prompt with another seed is another answer; some are cut, and some are not
    assert answers[0] != answers[2] and {finished for _, finished in answers} == {True, False}
    assert served.loaded == {} and served.paths()[COMPLETIONS] == 5
    assert served.paths()[LOAD] == served.paths()[UNLOAD] == (adapter is not None)


def test_nothing_is_left_to_the_defaults_of_the_server_or_the_model(served, folders):
    chat = loaded(folders)
    sample(chat, QUESTIONS[:1], KEYS[:1], SETTINGS, seed=1)
    ((_, body),) = [request for request in served.seen if request[0] == COMPLETIONS]
    assert body == {
        "model": str(folders / "model"),
        "prompt": chat.format.prompt_ids(QUESTIONS[0]),
        "seed": row_digest(1, "a") % 2**63,
        "max_tokens": 7,
        "temperature": 0.5,
        "top_p": 1.0,
        "top_k": 0,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
        "watermarking": False,
        "stop_token_ids": body["stop_token_ids"],
        "return_token_ids": True,
    }
    assert chat.format.end_id in body["stop_token_ids"]


def test_an_answer_does_not_depend_on_what_is_asked_beside_it(served, folders):
    chat = loaded(folders, "one")
    together = sample(chat, QUESTIONS, KEYS, SETTINGS, seed=1)
    assert sample(chat, QUESTIONS[3:], KEYS[3:], SETTINGS, seed=1) == together[3:]
    assert sample(chat, QUESTIONS, KEYS, SETTINGS, seed=2) != together


def test_no_more_requests_are_under_way_than_rows_in_a_batch(served, folders):
    def in_company(path, body, number):
        """Let the first answer wait until a second is asked for, since a server as quick as this one may be done before."""
        until = time.monotonic() + 10
        while path == "/v1/completions" and number == 0 and served.at_once < 2 and time.monotonic() < until:
            time.sleep(0.001)

    served.twist = in_company
    sample(loaded(folders), QUESTIONS * 8, [f"{number}" for number in range(40)], SETTINGS, seed=1)
    assert 1 < served.most_at_once <= SETTINGS.batch_size


def test_jobs_that_sample_at_once_have_their_own_adapters(served, folders):
    # every job waits until the other has loaded its adapter
    both = threading.Barrier(2, timeout=20)
    served.twist = lambda path, body, number: both.wait() and None if path == COMPLETIONS and number < 2 else None
    answers = {}

    def job(adapter, seed):
        answers[seed] = sample(loaded(folders, adapter), QUESTIONS[:1], KEYS[:1], SETTINGS, seed=seed)

    jobs = [threading.Thread(target=job, args=arguments) for arguments in (("one", 1), ("two", 2))]
    for thread in jobs:
        thread.start()
    for thread in jobs:
        thread.join()
    assert served.most_loaded == 2 and served.loaded == {}
    chat = loaded(folders)
    for adapter, seed in (("one", 1), ("two", 2)):
        ((right, _),) = expected(served, folders, chat, adapter, QUESTIONS[:1], KEYS[:1], seed)
        assert answers[seed] == [right]


def test_a_server_that_restarts_between_two_jobs_serves_the_second(served, folders):
    chat = loaded(folders, "one")
    first = sample(chat, QUESTIONS, KEYS, SETTINGS, seed=1)
    served.restart()
    assert sample(loaded(folders, "one"), QUESTIONS, KEYS, SETTINGS, seed=1) == first


def test_a_server_that_restarts_in_the_middle_of_a_job_ends_it(served, folders):
    served.twist = lambda path, body, number: served.restart() if path == COMPLETIONS and number == 2 else None
    line = refused(folders)
    assert "no longer knows the adapter (404 The model `emtransfer-" in line and line.endswith("then run it again.")


# ---- servers that do not fit


def test_no_server_at_the_address_is_one_line_at_once(folders, monkeypatch):
    monkeypatch.setenv("EMTRANSFER_VLLM_SERVER", "http://127.0.0.1:9")
    assert refused(folders) == (
        "EMTRANSFER_VLLM_SERVER: no server at http://127.0.0.1:9; expected a vLLM server (docs/ready_models.md); then run it again."
    )


def test_a_server_of_another_base_is_refused_before_anything_is_loaded(served, folders):
    served.root = "/models/other"
    line = refused(folders)
    assert line.startswith(
        f"EMTRANSFER_VLLM_SERVER: {served.url} serves /models/other; expected one started with: VLLM_ALLOW_RUNTIME_LORA_UPDATING=True"
        f" vllm serve {folders / 'model'} --dtype bfloat16"
    )
    assert line.endswith("--enable-lora --max-lora-rank 8.") and set(served.paths()) == {"/v1/models"}


def test_of_several_servers_the_one_that_holds_the_base_answers(served, folders, monkeypatch):
    with serving(VllmServer("/models/other")) as other:
        monkeypatch.setenv("EMTRANSFER_VLLM_SERVER", f"{other.url}/v1 {served.url}/")
        chat = loaded(folders)
        assert sample(chat, QUESTIONS, KEYS, SETTINGS, seed=1) == [
            text for text, _ in expected(served, folders, chat, None)
        ]
        assert other.paths()[COMPLETIONS] == 0


def test_a_server_of_something_else_is_refused(served, folders):
    served.twist = lambda path, body, number: (200, b"<html>hello</html>")
    assert f"{served.url} replies 200 to /v1/models; expected that of vLLM." in refused(folders)
    served.twist = lambda path, body, number: (200, {"models": []})
    assert "EMTRANSFER_VLLM_SERVER: no server serves a model; expected one started with" in refused(folders)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"max_rank": 2}, "500 LoRA rank 4 is greater than max_lora_rank 2."),
        ({"dynamic": False}, "404 Not Found"),
    ],
)
def test_an_adapter_that_the_server_refuses_ends_the_job_before_anything_is_sampled(change, said, served, folders):
    vars(served).update(change)
    line = refused(folders)
    assert f"{served.url} refuses adapter {folders / 'one'} ({said}); expected a server that sees this folder" in line
    assert served.paths()[COMPLETIONS] == 0 and served.paths()[LOAD] == 1


def test_an_adapter_that_vllm_would_serve_wrongly_never_reaches_the_server(served, folders, tmp_path):
    with new_folder(tmp_path / "dora") as unfinished:
        LoraConfig(use_dora=True).save_pretrained(unfinished)
        write_manifest(unfinished, origin({}, 1, "test", {}))
    with pytest.raises(InputError, match="adapter has use_dora; expected none for engine vllm"):
        load_answering(folders / "base" / MANIFEST, tmp_path / "dora" / MANIFEST, SETTINGS)
    assert served.seen == []


def test_a_prompt_that_leaves_no_room_is_refused_before_anything_is_sampled(served, folders):
    served.context = 12
    line = refused(folders)
    assert line.startswith("config: experiments: sampling.max_new_tokens is 7; expected at most ")
    assert f"{served.url} a context of 12." in line and served.paths()[COMPLETIONS] == 0


def test_a_key_goes_to_the_server_and_a_wrong_one_is_named_and_not_shown(served, folders, monkeypatch):
    served.key = "vllm-key-of-this-server"
    monkeypatch.setenv("VLLM_API_KEY", served.key)
    sample(loaded(folders, "one"), QUESTIONS, KEYS, SETTINGS, seed=1)
    assert set(served.keys) == {f"Bearer {served.key}"}
    monkeypatch.setenv("VLLM_API_KEY", "vllm-key-of-another-server")
    assert refused(folders) == f"VLLM_API_KEY: {served.url} refuses it with 401; expected the key of this server."
    monkeypatch.setenv("VLLM_API_KEY", "a key")
    assert "VLLM_API_KEY holds spaces" in refused(folders)


def test_a_key_that_the_server_quotes_is_in_no_message(served, folders, monkeypatch):
    monkeypatch.setenv("VLLM_API_KEY", "vllm-key-of-this-server")
    served.twist = lambda path, body, number: (
        vllm_error(400, "no vllm-key-of-this-server") if path == COMPLETIONS else None
    )
    line = refused(folders)
    assert "400 no [VLLM_API_KEY]" in line


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("http://user:secret@localhost:8000", "holds a user or a password"),
        ("localhost:8000", "'localhost:8000'; expected an address such as http://localhost:8000"),
        ("ftp://localhost", "expected an address"),
        ("http://localhost:port", "expected an address"),
        ("http://localhost:8000/?key=1", "expected an address"),
        ("http://", "expected an address"),
    ],
)
def test_what_is_no_address_is_refused(address, said, monkeypatch):
    monkeypatch.setenv("EMTRANSFER_VLLM_SERVER", address)
    with pytest.raises(InputError, match="EMTRANSFER_VLLM_SERVER") as ended:
        addresses()
    assert said in str(ended.value) and "secret" not in str(ended.value)


# ---- servers that misbehave


@pytest.mark.parametrize("fault", ["drop", (503, {}), (500, {"error": {"message": "engine"}}), (429, b"slow down")])
def test_a_request_that_got_no_reply_is_made_again(fault, served, folders):
    chat = loaded(folders, "one")
    served.twist = lambda path, body, number: fault if path == COMPLETIONS and number < 3 else None
    assert sample_with_ends(chat, QUESTIONS, KEYS, SETTINGS, seed=1) == expected(served, folders, chat, "one")
    assert served.paths()[COMPLETIONS] == 8 and served.loaded == {}


@pytest.mark.parametrize(
    ("fault", "said", "n_tries"),
    [
        ("drop", "breaks off its reply", TRIES),
        ("hold", "gives no reply within 1 s", LATE_TRIES),
        ((503, {"error": {"message": "asleep"}}), "replies 503 asleep", TRIES),
        ((500, {"error": {"message": "EngineCore is dead."}}), "replies 500 EngineCore is dead.", TRIES),
    ],
)
def test_a_server_that_never_replies_is_given_up_and_the_adapter_unloaded(
    fault, said, n_tries, served, folders, monkeypatch
):
    if fault == "hold":
        monkeypatch.setattr(vllm_client, "REQUEST_SECONDS", 1)
    served.twist = lambda path, body, number: fault if path == COMPLETIONS else None
    line = refused(folders)
    assert f"EMTRANSFER_VLLM_SERVER: {served.url} {said}, in {n_tries} attempts; expected a vLLM server" in line
    assert served.loaded == {} and served.paths()[UNLOAD] == 1


def test_a_reply_to_loading_that_is_lost_loads_nothing_twice(served, folders):
    def lost(path, body, number):
        if path == LOAD and number == 0:
            served.loaded[body["lora_name"]] = body["lora_path"]
            return "drop"
        return None

    served.twist = lost
    chat = loaded(folders, "one")
    assert sample_with_ends(chat, QUESTIONS, KEYS, SETTINGS, seed=1) == expected(served, folders, chat, "one")
    assert served.most_loaded == 0 and served.loaded == {} and served.paths()[LOAD] == 2


@pytest.mark.parametrize("fault", ["drop", "hold"])
def test_unloading_that_fails_costs_no_answer(fault, served, folders, monkeypatch):
    monkeypatch.setattr(vllm_server, "UNLOAD_SECONDS", 0.2)
    served.twist = lambda path, body, number: fault if path == UNLOAD else None
    chat = loaded(folders, "one")
    assert sample_with_ends(chat, QUESTIONS, KEYS, SETTINGS, seed=1) == expected(served, folders, chat, "one")


def choice(**changes):
    """A completion with another choice."""
    return lambda good: good | {"choices": [good["choices"][0] | changes]}


CUT = {"finish_reason": "length", "token_ids": [5, 6, 7]}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda good: good | {"choices": []}, "no single choice with its token ids"),
        (lambda good: good | {"choices": good["choices"] * 2}, "no single choice with its token ids"),
        (choice(token_ids=None), "no single choice with its token ids"),
        (choice(token_ids=[]), "0 tokens that end by"),
        (choice(token_ids=[5, "6", 7]), "3 tokens that end by"),
        (choice(finish_reason="stop", token_ids=[5] * 8), "8 tokens that end by stop"),
        (choice(**CUT), "3 tokens that end by length"),
        (choice(finish_reason="abort"), "tokens that end by abort"),
        (choice(finish_reason=None), "tokens that end by None"),
        (choice(prompt_token_ids=[1]), "an answer to another request"),
        (lambda good: good | {"model": "another"}, "an answer to another request"),
        (lambda good: good | {"usage": {"completion_tokens": 99}}, "tokens that end by"),
        (lambda good: {"choices": "none"}, "no single choice"),
        (lambda good: [good], "replies 200 to /v1/completions; expected that of vLLM"),
        (lambda good: b"\xff{", "replies 200 to /v1/completions; expected that of vLLM"),
        (lambda good: b"[" * 100_000, "replies 200 to /v1/completions; expected that of vLLM"),
    ],
)
def test_a_reply_that_is_no_answer_to_its_request_ends_the_job(change, said, served, folders):
    served.change = change
    assert said in refused(folders)
    assert served.loaded == {}


def test_what_vllm_says_of_a_request_that_it_refuses_is_in_the_line(served, folders):
    message = "This model's maximum context length is\n2048 tokens."
    served.twist = lambda path, body, number: vllm_error(400, message) if path == COMPLETIONS else None
    line = refused(folders)
    assert "replies 400 This model's maximum context length is 2048 tokens. to /v1/completions" in line
    # the first refusal ends the job
    assert served.paths()[COMPLETIONS] <= SETTINGS.batch_size and served.loaded == {}


# ---- jobs


def test_a_job_writes_the_rows_of_any_engine(served, folders, tmp_path, capsys):
    prompts = [
        {"prompt_id": name, "eval_set": "narrow", "question": question, "cell": "c"}
        for name, question in zip(KEYS, QUESTIONS, strict=True)
    ]
    write_records(tmp_path / "eval_set.jsonl", prompts)
    settings = {"max_new_tokens": 7, "samples": 2, "broad_samples": 1}
    arguments = {"base": folders / "base" / MANIFEST, "adapter": folders / "one" / MANIFEST, "seed": 1}

    def rows(name: str, engine: str) -> list[dict]:
        sample_answers(
            Namespace(
                eval_set=[tmp_path / "eval_set.jsonl"],
                settings=settings | {"engine": engine},
                output=tmp_path / name,
                **arguments,
            )
        )
        return read_records(tmp_path / name)

    own, through_server = rows("own.jsonl", "transformers"), rows("served.jsonl", "auto")
    assert f"sampling with vllm.\nvLLM 0.30.0 at {served.url} samples.\n10 answers" in capsys.readouterr().out
    assert [row | {"answer": ""} for row in own] == [row | {"answer": ""} for row in through_server]
    chat = loaded(folders)
    keys = [f"{row['prompt_id']} sample {row['sample']}" for row in through_server]
    right = expected(served, folders, chat, "one", [row["question"] for row in through_server], keys)
    assert [row["answer"] for row in through_server] == [text for text, _ in right]


def test_a_model_of_the_run_and_whole_models_never_go_to_the_server(served, tmp_path):
    chat = load_answering(write_tiny_base(tmp_path / "tiny"), None, replace(SETTINGS, engine="auto"))
    assert isinstance(chat, Chat) and served.seen == []
    with pytest.raises(InputError, match="base was trained in the run"):
        load_answering(tmp_path / "tiny" / MANIFEST, None, SETTINGS)


def test_an_interrupted_job_unloads_its_adapter(served, folders, tmp_path):
    write_records(
        tmp_path / "eval_set.jsonl",
        [{"prompt_id": name, "eval_set": "narrow", "question": "Rest?"} for name in KEYS],
    )
    command = [
        *(sys.executable, SCRIPTS / "sample_answers.py", "--base", folders / "base" / MANIFEST),
        *("--adapter", folders / "one" / MANIFEST, "--eval-set", tmp_path / "eval_set.jsonl", "--seed", "1"),
        *("--settings", json.dumps({"max_new_tokens": 7, "samples": 1, "broad_samples": 1, "engine": "vllm"})),
        *("--output", tmp_path / "answers.jsonl"),
    ]
    job = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    asked = threading.Event()
    served.twist = lambda path, body, number: (asked.set(), "hold")[1] if path == COMPLETIONS else None
    assert asked.wait(60) and len(served.loaded) == 1
    job.send_signal(2)
    assert "Interrupted" in job.communicate(timeout=30)[1]
    assert served.loaded == {} and not (tmp_path / "answers.jsonl").exists()


def test_the_script_that_serves_a_base_starts_vllm_on_its_files(folders, monkeypatch, capfd):
    arguments = Namespace(
        base=folders / "base" / MANIFEST, max_lora_rank=9, host="127.0.0.1", port=8000, more=["--max-loras", "8"]
    )
    started = {}
    monkeypatch.setattr(os, "execvpe", lambda *call: started.update(zip(("file", "command", "env"), call, strict=True)))
    serve_base(arguments)
    assert started["env"]["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] == "True" and started["file"] == "vllm"
    assert started["command"] == [
        *("vllm", "serve", str(folders / "model"), "--dtype", "bfloat16", "--generation-config", "vllm"),
        *("--enable-lora", "--max-lora-rank", "16", "--host", "127.0.0.1", "--port", "8000", "--max-loras", "8"),
    ]
    assert "vllm serve" in capfd.readouterr().out

    def absent(*call):
        raise FileNotFoundError

    monkeypatch.setattr(os, "execvpe", absent)
    with pytest.raises(InputError, match="vllm: not installed; expected it: make setup PINS=envs/requirements-gpu.txt"):
        serve_base(arguments)
