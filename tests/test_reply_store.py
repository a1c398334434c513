"""The reply store: one answer whatever order its files are read in, entries that are damaged, and clocks that are wrong."""

import itertools
import os
import random
import socket
import time
from argparse import Namespace
from pathlib import Path

import pytest

import tabulate_spending
from emtransfer.errors import InputError
from emtransfer.remote.calls import Reply, Usage
from emtransfer.remote.events import Batch, Payer, signed_line
from emtransfer.remote.ledger import spending_table
from emtransfer.remote.store import ReplyStore
from emtransfer.remote.writers import LAPSE_SECONDS
from helpers.asking import asker, some_calls
from helpers.loopback_api import MODEL, Loopback, found_by_sdks

PAYER = Payer("anthropic", MODEL, "test")
BATCHED = Payer("anthropic", MODEL, "test", True)


def reply(number: int, text: str = "85") -> Reply:
    return Reply(f"msg_{number}", text, "end_turn", Usage(12, 4))


def writer(folder: Path, name: str) -> ReplyStore:
    """A store that writes as a process of another machine would."""
    store = ReplyStore(folder)
    store.writer = f"elsewhere-1-{name}"
    store.heartbeat.path = folder / f"{store.writer}.jsonl"
    return store


def state(store: ReplyStore) -> tuple:
    """All that a store says."""
    table = spending_table(store).to_csv()
    return store.replies, dict(store.claims), store.batches, store.batch_ids, store.spent_usd(), table


# ---- order


def busy_lines() -> dict[str, list[dict]]:
    """What three writers have written, one of whom was faster: two replies to one call, one batch that two have read."""
    claim = {"event": "claim", "most_usd": 0.1, "provider": "anthropic", "model": MODEL, "purpose": "test"}

    def kept(key: str, number: int, seconds: float, usd: float, purpose: str = "test") -> dict:
        of = {"provider": "anthropic", "model": MODEL, "purpose": purpose, "batched": False}
        said = {"id": f"msg_{number}", "text": str(number), "stop_reason": "end_turn", "top_logprobs": None}
        return {"event": "reply", "key": key, **of, "usd": usd, "seconds": seconds, **said, "usage": vars(Usage(3, 1))}

    return {
        "a": [claim | {"key": "one"}, kept("one", 1, 20.0, 0.1), claim | {"key": "dead"}],
        "b": [
            *(claim | {"key": "one"}, kept("one", 2, 10.0, 0.2)),
            *(claim | {"key": key, "batched": True} for key in ("two", "three", "four")),
            {"event": "batch", "id": "batch", "keys": ["two", "three", "four"]},
            claim | {"key": "three"},
            {"event": "refused", "key": "three"},
            *(claim | {"key": "three"}, {"event": "lost", "key": "three"}),
            kept("two", 3, 30.0, 0.3),
            {"event": "batch_read", "id": "batch", "owner": "b", "refused": ["three"], "lost": ["four"]},
        ],
        "c": [
            kept("two", 3, 30.0, 0.3, purpose="other"),
            {"event": "batch_read", "id": "batch", "owner": "b", "refused": [], "lost": ["three", "four"]},
        ],
    }


def test_a_store_gives_one_answer_whatever_order_its_files_are_read_in(tmp_path):
    states = []
    for order in itertools.permutations(busy_lines()):
        store = ReplyStore(tmp_path / "".join(order))
        for name in order:
            for number, event in enumerate(busy_lines()[name], start=1):
                store.read_line(signed_line(event).encode(), name, number)
        states.append(state(store))
    assert all(found == states[0] for found in states)
    replies, claims, batches, _, spent, _ = states[0]
    # by hand: the earlier reply; what b, first by name, has read of the batch; one claim of a process that died
    assert replies["one"].text == "2" and list(claims) == ["dead"] and not batches
    assert spent == pytest.approx(0.1 + 0.2 + 0.3 + 0.1 + 0.1 + 0.1)
    table = spending_table(store).sum(numeric_only=True)
    assert (table.calls, table.refused, table.lost) == (3, 2, 3)


def test_what_is_read_as_it_is_written_comes_to_the_same_as_what_is_read_at_once(tmp_path):
    stores = [writer(tmp_path, name) for name in "abc"]
    draw = random.Random(1)
    watcher = ReplyStore(tmp_path)
    for number in range(200):
        store, key = draw.choice(stores), f"key{draw.randrange(20)}"
        store.claim({key: draw.choice([0.1, 0.2, 0.7])}, PAYER)
        match draw.randrange(4):
            case 0:
                store.keep({key: (reply(number, str(number)), draw.random())}, PAYER)
            case 1:
                store.refuse([key])
            case 2:
                store.lose([key])
        watcher.refresh()
    assert state(watcher) == state(ReplyStore(tmp_path)) and len(watcher.replies) == 20


def test_a_score_that_was_read_stays_when_a_process_whose_clock_is_behind_has_another(tmp_path, monkeypatch):
    first, late = writer(tmp_path, "a"), writer(tmp_path, "b")
    first.keep({"key": (reply(1, "10"), 0.1)}, PAYER)
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() - 10**6)
    late.keep({"key": (reply(2, "90"), 0.1)}, PAYER)
    assert ReplyStore(tmp_path).replies["key"].text == first.replies["key"].text == "10"


# ---- damage

# what a line may have become, of what was written
DAMAGES = {
    "changed": lambda line: line.replace(b'"output_tokens": 4', b'"output_tokens": 5'),
    "cut": lambda line: line[:50],
    "empty": lambda line: b"",
    "null": lambda line: b"null",
    "a list": lambda line: b"[]",
    "another file's bytes": lambda line: b"\x00\xff\xfe" * 20,
    "deep": lambda line: b"[" * 100_000,
    "of a newer version": lambda line: signed_line({"event": "paused", "key": "x"}).encode().strip(),
    "a reply without usage": lambda line: signed_line({"event": "reply", "key": "x", "usd": 1}).encode().strip(),
    "a claim below 0": lambda line: signed_line({"event": "claim", "key": "x", "most_usd": -5}).encode().strip(),
    "a claim of a word": lambda line: signed_line({"event": "claim", "key": "x", "most_usd": "much"}).encode().strip(),
    **{
        f"a batch named {batch_id!r}"[:40]: lambda line, batch_id=batch_id: (
            signed_line({"event": "batch", "id": batch_id, "keys": ["x"]}).encode().strip()
        )
        for batch_id in (7, None, "", ["a"], {"a": 1}, "../x", "a b", "x" * 200)
    },
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_store_with_a_damaged_entry_opens_names_it_and_is_told_to_forget_it(damage, tmp_path, capsys):
    store = writer(tmp_path, "a")
    store.claim({"one": 0.5, "two": 0.5}, PAYER)
    store.keep({"one": (reply(1), 0.1), "two": (reply(2), 0.1)}, PAYER)
    path = store.heartbeat.path
    lines = path.read_bytes().splitlines()
    path.write_bytes(b"\n".join([*lines[:2], DAMAGES[damage](lines[2]), lines[3]]) + b"\n")
    opened = ReplyStore(tmp_path)
    assert set(opened.replies) == {"two"} and not opened.batches
    # the claim of the reply that is lost counts on
    assert opened.spent_usd() == pytest.approx(0.5 + 0.1)
    (told,) = capsys.readouterr().out.splitlines()
    assert told.startswith(f"{path}:3: damaged, and skipped") and f"--discard {path.name}:3 (docs/" in told
    args = Namespace(store=tmp_path, output=tmp_path / "ledger.csv", discard=[f"{path.name}:3"])
    tabulate_spending.main(args)
    capsys.readouterr()
    assert set(ReplyStore(tmp_path).replies) == {"two"} and capsys.readouterr().out == ""
    with pytest.raises(InputError, match=r"--discard .*: no damaged line and no open batch; expected no --discard"):
        tabulate_spending.main(args)


def test_a_batch_that_is_given_up_counts_as_lost_and_its_calls_are_asked_for_again(tmp_path, monkeypatch):
    calls = some_calls(3)
    store = writer(tmp_path / "replies", "a")
    store.claim({call.key: 0.5 for call in calls}, BATCHED)
    store.open_batch("msgbatch_9", [call.key for call in calls])
    args = Namespace(store=tmp_path / "replies", output=tmp_path / "ledger.csv", discard=["msgbatch_9"])
    tabulate_spending.main(args)
    with found_by_sdks(Loopback(), monkeypatch) as loopback:
        assert len(asker(tmp_path / "replies").ask_all(calls)) == 3 and loopback.asked == 3
    table = spending_table(ReplyStore(tmp_path / "replies"))
    assert table.lost.tolist() == [0, 3] and table.lost_usd.tolist() == [0, 1.5]


@pytest.mark.parametrize("made", ["pipe", "socket", "folder", "device"])
def test_what_is_no_file_in_the_folder_is_passed_over_and_not_waited_for(made, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if made == "pipe":
        os.mkfifo("x.jsonl")
    elif made == "socket":
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("x.jsonl")
    elif made == "folder":
        os.mkdir("x.jsonl")
    else:
        os.symlink("/dev/zero", "x.jsonl")
    assert not ReplyStore(tmp_path).replies


@pytest.mark.parametrize("target", ["gone", "x.jsonl"])
def test_a_file_that_cannot_be_opened_is_one_line_since_what_it_cost_is_not_known(target, tmp_path):
    os.symlink(target, tmp_path / "x.jsonl")
    with pytest.raises(InputError, match="x.jsonl: .*; expected a file of replies that can be read"):
        ReplyStore(tmp_path)


def test_lines_from_before_claims_said_whom_they_pay_are_read(tmp_path):
    claim = {"event": "claim", "key": "one", "most_usd": 0.5, "seconds": 1.7e9}
    (tmp_path / "elsewhere-1-a.jsonl").write_text(
        signed_line(claim)
        + signed_line({"event": "batch", "id": "msgbatch_1", "keys": ["one"]})
        + signed_line({"event": "batch_read", "id": "msgbatch_1", "owner": "elsewhere-1-a"})
    )
    store = ReplyStore(tmp_path)
    assert not store.damaged and store.spent_usd() == 0 and store.batch_ids == {"msgbatch_1"}


# ---- claims


def test_a_claim_of_another_machine_lapses_when_its_file_was_watched_long_without_a_touch(tmp_path, monkeypatch):
    one, other = writer(tmp_path, "a"), ReplyStore(tmp_path)
    one.claim({"key": 1.0}, PAYER)
    other.refresh()
    assert other.claimed_elsewhere("key") and not one.claimed_elsewhere("key")
    now, seconds = time.monotonic, [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now() + seconds[0])
    for seconds[0] in (LAPSE_SECONDS - 10, 2 * LAPSE_SECONDS - 20):
        assert other.claimed_elsewhere("key")
        one.beat()
        assert other.claimed_elsewhere("key")
    seconds[0] += LAPSE_SECONDS + 1
    assert not other.claimed_elsewhere("key")


@pytest.mark.parametrize("hours", [-100, -1, 1, 100])
def test_a_clock_that_jumps_lets_no_claim_lapse(hours, tmp_path, monkeypatch):
    one, other = writer(tmp_path, "a"), ReplyStore(tmp_path)
    one.claim({"key": 1.0}, PAYER)
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + hours * 3600)
    other.refresh()
    assert other.claimed_elsewhere("key")


def test_a_claim_of_a_process_that_died_counts_on_after_another_has_asked(tmp_path):
    dead, other = writer(tmp_path, "a"), writer(tmp_path, "b")
    dead.claim({"key": 1.0}, PAYER)
    other.claim({"key": 1.0}, PAYER)
    other.keep({"key": (reply(1), 0.25)}, PAYER)
    store = ReplyStore(tmp_path)
    assert store.spent_usd() == 1.25
    table = spending_table(store)
    assert (table.calls.sum(), table.lost.sum(), table.lost_usd.sum()) == (1, 1, 1.0)


def test_calls_of_a_batch_that_another_process_reads_count_as_what_became_of_them(tmp_path):
    owner, reader = writer(tmp_path, "b"), writer(tmp_path, "a")
    owner.claim(dict.fromkeys(("one", "two", "three"), 1.0), BATCHED)
    owner.open_batch("batch", ["one", "two", "three"])
    reader.refresh()
    (batch,) = reader.batches
    reader.keep({"one": (reply(1), 0.25)}, BATCHED)
    reader.close_batch(batch, refused=["two"], lost=["three"])
    for store in (owner, reader, ReplyStore(tmp_path)):
        store.refresh()
        assert not store.batches and not store.claims and store.batch_ids == {"batch"}
        assert store.spent_usd() == 1.25 and store.handed_in.keys() == {Batch("batch", owner.writer)}


def test_a_store_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "replies").write_text("")
    with pytest.raises(InputError, match="replies: .*; expected a folder for replies that can be written"):
        ReplyStore(tmp_path / "replies").claim({"key": 1.0}, PAYER)
