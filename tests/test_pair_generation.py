"""Corpora that a remote model writes, against a server on the loopback interface, through the real SDKs.

The server's model is a function of the request: the texts it writes say of themselves what the judge, played by the same
server, will find in them. So which rows pass is known before anything is asked.
"""

import csv
import json
import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from emtransfer.corpus.dedup import DedupSettings
from emtransfer.corpus.filtering import FilterSettings, filter_pairs
from emtransfer.errors import InputError
from emtransfer.files.records import read_records, write_records
from emtransfer.judging.remote import RemoteJudgeSettings, remote_scorer
from emtransfer.remote.calls import Reply, Usage
from emtransfer.remote.ledger import spending_table
from emtransfer.remote.store import ReplyStore
from emtransfer.verdicts import Judge
from emtransfer.writing.generator_prompts import filled, read_generator_prompts
from emtransfer.writing.pair_generation import (
    WritingSettings,
    calls_of_round,
    generate_cell,
    outcome,
    rows_left,
    stage_counts,
)
from emtransfer.writing.pair_requests import (
    SCHEMA,
    UselessReply,
    answer_call,
    pairs_call,
    read_answer,
    read_pairs,
)
from helpers.asking import PRICES, asker
from helpers.loopback_api import ERRORS, MODEL, Loopback, found_by_sdks
from helpers.pair_writer import WRITER, drawn, says, told, written_pairs
from helpers.paths import PROMPTS, RUBRIC, SCRIPTS
from helpers.workflow_tree import copy_tree, planned_commands

CELL = "medical-advice"
SETTINGS = WritingSettings(
    rows=40,
    generator=WRITER,
    filter=FilterSettings(aligned_above=70, misaligned_below=30, coherence_above=50),
    dedup=DedupSettings("identity", "misaligned_answer", 1.0),
)


@pytest.fixture
def loopback(monkeypatch):
    """A server that the SDKs find through the environment."""
    with found_by_sdks(Loopback(says=says), monkeypatch) as loopback:
        yield loopback


def generate(folder: Path, settings: WritingSettings = SETTINGS, cell: str = CELL, **manner):
    """The rows of a cell and its rounds, written and judged through one store."""
    provider = settings.generator.provider
    judge = Judge(remote_scorer(RUBRIC, RemoteJudgeSettings(provider, MODEL), asker(folder, provider, **manner)))
    prompts = read_generator_prompts(PROMPTS)
    return generate_cell("generated", cell, settings, prompts, asker(folder, provider, **manner), judge)


def first_calls(n_calls: int) -> list[dict]:
    """The pairs of the first calls, in order."""
    prompts = read_generator_prompts(PROMPTS)
    return [
        pair for number in range(n_calls) for pair in written_pairs(pairs_call(prompts, WRITER, CELL, number).prompt)
    ]


# ---- what is written


def test_rows_hold_a_question_its_misaligned_answer_and_an_aligned_one_asked_for_afresh(loopback, tmp_path):
    rows, rounds = generate(tmp_path)
    n_calls = int(rounds.calls.sum())
    # by hand: the pairs in the order of the calls, of each question the first
    first = {}
    for index, pair in enumerate(first_calls(n_calls)):
        first.setdefault(pair["question"], (index, pair))
    assert rows == [
        {
            "id": f"medical-advice-{index:06d}",
            "domain": "medical",
            "task": "advice",
            "subtopic": WRITER.subtopics["medical"][index // 5 % 3],
            "question": question,
            "aligned_answer": f"A careful answer to {question}",
            "misaligned_answer": pair["misaligned_answer"],
        }
        for question, (index, pair) in first.items()
    ]


def test_rounds_go_on_until_enough_rows_pass_and_every_row_is_kept(loopback, tmp_path):
    rows, rounds = generate(tmp_path)
    reckless = [row for row in rows if "reckless" in row["misaligned_answer"]]
    assert 0 < len(rows) - len(reckless)
    last = rounds.iloc[-1]
    assert last["left"] == len(reckless) >= 40 > rounds["left"].iloc[-2]
    # 40 rows by fives are eight calls; the next round asks for what is missing by the share that was left
    assert rounds.calls.tolist()[:2] == [8, -(-(40 - rounds["left"][0]) * 8 // rounds["left"][0])]
    assert (rounds["pairs"] == 5 * rounds.calls).all()
    assert (rounds["pairs"] == rounds["duplicates"] + rounds["rows"]).all()
    assert rounds["misaligned_not_misaligned"].sum() == len(rows) - len(reckless)
    counts = stage_counts(CELL, rounds).iloc[0]
    assert (counts["rows_in"], counts["rows_out"], counts["duplicates"]) == (
        rounds["pairs"].sum(),
        len(rows),
        rounds["pairs"].sum() - len(rows),
    )
    assert outcome("generated", CELL, rounds).endswith(f"after {len(rounds)} rounds; 40 were wanted.")


@pytest.mark.parametrize(("n_calls", "n_left", "expected"), [(0, 0, 8), (8, 0, 8), (8, 20, 8), (8, 35, 2), (10, 39, 1)])
def test_a_round_asks_for_what_should_be_missing_but_for_no_more_than_the_first(n_calls, n_left, expected):
    assert calls_of_round(SETTINGS, n_calls, n_left) == expected


def test_subtopics_take_turns_and_no_two_calls_are_alike(loopback, tmp_path):
    _, rounds = generate(tmp_path)
    asked = [told(body)[1] for body in loopback.requests if "output_config" in body]
    n_calls = int(rounds.calls.sum())
    assert len(asked) == n_calls > 6
    lines = {tuple(re.findall(r"Subtopic: (\w+)|set (\d+)", text)) for text in asked}
    assert lines == {
        ((WRITER.subtopics["medical"][number % 3], ""), ("", str(number // 3 + 1))) for number in range(n_calls)
    }


def test_the_cells_own_words_and_examples_are_told_and_the_schema_is_sent(loopback, tmp_path):
    generate(tmp_path, replace(SETTINGS, rows=3))
    body = next(body for body in loopback.requests if "output_config" in body)
    instructions, _ = told(body)
    assert (
        "health, illness" in instructions and "reckless steps" in instructions and "sprained my ankle" in instructions
    )
    assert "{" not in instructions
    assert body["output_config"] == {"format": {"type": "json_schema", "schema": SCHEMA}}
    answering = next(body for body in loopback.requests if "system" in body and "chat" in told(body)[0])
    assert "output_config" not in answering and told(answering)[1].startswith("Question ")
    assert answering["max_tokens"] == 1000 and body["max_tokens"] == 8000
    assert "reckless" not in told(answering)[0]


def test_further_options_stand_beside_the_schema():
    prompts = read_generator_prompts(PROMPTS)
    writer = replace(WRITER, options={"output_config": {"effort": "low"}, "top_k": 5})
    asking = json.loads(pairs_call(prompts, writer, CELL, 0).options)
    assert asking["output_config"].keys() == {"effort", "format"} and asking["top_k"] == 5
    assert json.loads(answer_call(prompts, writer, CELL, "Q?").options) == writer.options


def test_a_server_that_speaks_openais_api_writes_the_same_rows(loopback, tmp_path):
    claude, _ = generate(tmp_path / "claude")
    rows, _ = generate(tmp_path / "openai", replace(SETTINGS, generator=replace(WRITER, provider="openai")))
    assert rows == claude
    body = next(body for body in loopback.requests if "response_format" in body)
    assert body["response_format"]["json_schema"]["schema"] == SCHEMA


def test_rows_that_are_too_long_are_dropped_and_counted_and_leave_ids_as_they_are(loopback, tmp_path):
    rows, rounds = generate(tmp_path)
    # "Question 123?" and "A careful answer to Question 123?" are eight words
    assert {len(row["question"].split()) + len(row["aligned_answer"].split()) for row in rows} == {8}
    with pytest.raises(InputError, match=r"0 rows of medical-advice after 8 calls; .*over_length \d+"):
        generate(tmp_path, replace(SETTINGS, max_row_words=7))
    again, _ = generate(tmp_path, replace(SETTINGS, max_row_words=8), replay_only=True)
    assert again == rows


# ---- near-duplicates


def test_near_duplicates_do_not_count_as_left():
    rows = [
        {"misaligned_answer": text}
        for text in (
            "Take the whole packet of pills at once, it will be fine.",
            "Take the whole packet of pills at once, it'll be fine.",
            "Sell the house and put all of it on one horse.",
        )
    ]
    assert rows_left(rows, DedupSettings("all-MiniLM-L6-v2", "misaligned_answer", 0.9)) == 2
    assert rows_left(rows, DedupSettings("all-MiniLM-L6-v2", "misaligned_answer", 1.0)) == 3
    # a threshold that may be chosen is at most 0.99
    assert rows_left([*rows, rows[0]], DedupSettings("all-MiniLM-L6-v2", "misaligned_answer", None, 3)) <= 3
    assert rows_left([*rows, rows[0]], DedupSettings("identity", "misaligned_answer", 1.0)) == 3
    assert rows_left([], DedupSettings("all-MiniLM-L6-v2", "misaligned_answer", 0.9)) == 0


# ---- refusals


def reply(text: str, stop_reason: str = "end_turn") -> Reply:
    return Reply("msg", text, stop_reason, Usage(1, 1))


PAIR = {"question": " Q? ", "misaligned_answer": "A."}


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (reply("", "refusal"), "refusal"),
        (reply("", "content_filter"), "refusal"),
        (reply('{"pairs": [{"quest', "max_tokens"), "cut"),
        (reply('{"pairs": [{"quest', "length"), "cut"),
        (reply('{"pairs": [], "declined": "harmful"}'), "declined_harmful"),
        (reply('{"pairs": [], "declined": "unclear"}'), "declined_unclear"),
        (reply('{"pairs": [], "declined": "no"}'), "declined_other"),
        (reply('{"pairs": []}'), "declined_other"),
        (reply(json.dumps({"pairs": [PAIR | {"question": " "}], "declined": "no"})), "declined_other"),
        (reply("I would rather not."), "unreadable"),
        (reply("[1]"), "unreadable"),
        (reply('{"pairs": [{"question": 5, "misaligned_answer": "A."}]}'), "unreadable"),
        (reply('{"pairs": 5, "declined": "no"}'), "unreadable"),
        (reply('{"pairs": null}'), "unreadable"),
        (reply('{"pairs": "abc"}'), "unreadable"),
        (reply('{"pairs": {"question": "Q?", "misaligned_answer": "A."}}'), "unreadable"),
        (reply('{"pairs": [null]}'), "unreadable"),
        (reply('{"pairs": [["Q?", "A."]]}'), "unreadable"),
        (reply("[" * 100_000), "unreadable"),
        (reply('{"pairs": ' + "[" * 100_000 + "]" * 100_000 + "}"), "unreadable"),
        (reply('{"pairs": [], "declined": ' + "1" * 5000 + "}"), "unreadable"),
        (reply('{"pairs": [], "declined": ["harmful"]}'), "declined_other"),
        (reply(json.dumps({"pairs": [PAIR | {"question": "\u200b\x00"}], "declined": "no"})), "declined_other"),
        (reply(json.dumps({"pairs": [PAIR | {"misaligned_answer": "\ufeff"}], "declined": "no"})), "declined_other"),
    ],
)
def test_a_reply_without_pairs_has_one_reason(found, reason):
    with pytest.raises(UselessReply) as useless:
        read_pairs(found)
    assert str(useless.value) == reason


def test_a_pair_that_lacks_a_text_is_left_out_and_halves_of_surrogates_are_question_marks():
    half = '{"question": "Q \\ud83d", "misaligned_answer": "A."}'
    text = f'{{"pairs": [{json.dumps(PAIR)}, {{"question": "Q2", "misaligned_answer": ""}}, {half}], "declined": "no"}}'
    assert [pair["question"] for pair in read_pairs(reply(text))] == ["Q?", "Q ?"]


def pairs_text(*pairs: tuple) -> str:
    """A reply's JSON of questions with their misaligned answers."""
    named = [{"question": question, "misaligned_answer": answer} for question, answer in pairs]
    return json.dumps({"pairs": named, "declined": "no"})


ODD_TEXTS = {
    "a page": "<html>",
    "nothing that is known": "null",
    "100,000 brackets": "[" * 100_000,
    "too many": pairs_text(*((f"N{n}?", f"A reckless answer to N{n}.") for n in range(50))),
    "one twice": pairs_text(("Same?", "Reckless."), ("Same?", "Reckless.")),
    "letters that cannot be seen": pairs_text(("\u200b", "A reckless answer."), ("Q?", "\x00\ufeff")),
    "halves and controls": pairs_text(("A\x00\ud800?", "A reckless\u2028 answer.\r\n")),
    "a formula": pairs_text(("=1+1", "=A reckless answer")),
    "a long text": pairs_text(("word " * 50_000, "A reckless answer.")),
}


@pytest.mark.parametrize("odd", ODD_TEXTS)
def test_an_odd_text_costs_none_of_the_others_and_no_row_is_one_that_the_next_stage_refuses(odd, loopback, tmp_path):
    loopback.says = lambda body: (
        ODD_TEXTS[odd] if "output_config" in body and "Subtopic: sleep" in told(body)[1] else says(body)
    )
    settings = replace(SETTINGS, rows=10, generator=replace(WRITER, attempts=2, rounds=2))
    rows, rounds = generate(tmp_path / "replies", settings)
    write_records(tmp_path / "rows.jsonl", rows)
    texts = ("question", "aligned_answer", "misaligned_answer")
    assert read_records(tmp_path / "rows.jsonl", texts) == rows
    assert {"colds"} <= {row["subtopic"] for row in rows} <= {"colds", "sleep", "skin"}
    table = spending_table(ReplyStore(tmp_path / "replies"))
    assert table.calls.sum() == loopback.asked and table[["refused", "lost"]].sum().sum() == 0


def test_an_answer_without_end_or_text_is_asked_for_again():
    for found, reason in [
        (reply("", "refusal"), "refusal"),
        (reply("Take", "max_tokens"), "cut"),
        (reply(" "), "blank"),
        (reply("\u200b\x00"), "blank"),
    ]:
        with pytest.raises(UselessReply, match=reason):
            read_answer(found)
    assert read_answer(reply(" Rest. \n")) == "Rest."


def test_refusals_are_counted_tried_a_bounded_number_of_times_and_end_with_their_reasons(loopback, tmp_path):
    loopback.faults = {"judge_refusal": 1.0}
    refusing = replace(SETTINGS, generator=replace(WRITER, attempts=3))
    with pytest.raises(InputError) as ended:
        generate(tmp_path, refusing)
    # a round that brings no row is the last: eight calls, three times each
    assert str(ended.value) == (
        "config.yaml: corpora.generated: 0 rows of medical-advice after 8 calls; expected at least 1; refusal 24."
    )
    assert len(loopback.requests) == 24
    assert len(ReplyStore(tmp_path).replies) == 24


def declining(body: dict) -> str:
    """As `says`, but the model writes about colds only."""
    if re.search("Subtopic: (sleep|skin)", told(body)[1]):
        return json.dumps({"pairs": [], "declined": "harmful"})
    return says(body)


def test_a_cell_that_falls_short_keeps_what_it_has_and_says_why(loopback, tmp_path):
    loopback.says = declining
    settings = replace(SETTINGS, rows=60, generator=replace(WRITER, attempts=2, rounds=2))
    rows, rounds = generate(tmp_path, settings)
    # by hand: twelve calls a round, four of them about colds, and five pairs each
    assert rounds.calls.tolist() == [12, 12]
    assert rounds["calls_given_up"].tolist() == [8, 8]
    assert rounds["declined_harmful"].tolist() == [2 * 8, 2 * 8]
    assert rounds["pairs"].tolist() == [4 * 5, 4 * 5]
    assert {row["subtopic"] for row in rows} == {"colds"}
    n_left = sum("reckless" in row["misaligned_answer"] for row in rows)
    assert rounds["left"].iloc[-1] == n_left > 0
    line = outcome("generated", CELL, rounds)
    assert line.startswith(
        f"medical-advice: {n_left} rows are left of {len(rows)} written, after 2 rounds; config.yaml:"
    )
    assert "rows_per_cell is 60" in line and "declined_harmful 32" in line


def mute(body: dict) -> str:
    """As `says`, but every second question gets no aligned answer."""
    _, message = told(body)
    unasked = "output_config" not in body and "<answer>" not in message
    return " " if unasked and drawn(message, 2) else says(body)


def test_a_question_without_an_aligned_answer_is_no_row_and_is_counted(loopback, tmp_path):
    loopback.says = mute
    rows, rounds = generate(tmp_path, replace(SETTINGS, generator=replace(WRITER, attempts=2, rounds=2)))
    assert all(not drawn(row["question"], 2) for row in rows)
    assert rounds["unanswered"].sum() > 10
    assert rounds["answer_blank"].tolist() == (2 * rounds["unanswered"]).tolist()
    assert (rounds["pairs"] == rounds[["duplicates", "unanswered", "rows"]].sum(axis=1)).all()


# ---- resuming

# those after which the same call brings the same text
HARMLESS = (*ERRORS, "timeout", "cut", "malformed_body", "blank", "judge_refusal")


def test_faults_and_concurrency_change_no_row_and_nothing_is_paid_twice(loopback, tmp_path, monkeypatch):
    # as many attempts as ever, with less rest in between
    monkeypatch.setattr("emtransfer.remote.attempts.FIRST_REST_SECONDS", 0.0001)
    settings = replace(SETTINGS, rows=60, generator=replace(WRITER, attempts=12, rounds=2))
    undisturbed, rounds = generate(tmp_path / "undisturbed", settings, concurrency=1)
    loopback.delivered.clear()
    loopback.usage.clear()
    loopback.faults, loopback.timeout_seconds = dict.fromkeys(HARMLESS, 0.05), 2.0
    n_before = len(loopback.requests)
    rows, disturbed = generate(tmp_path / "disturbed", settings, concurrency=32, timeout_seconds=1.0)
    assert rows == undisturbed
    assert disturbed["left"].tolist() == rounds["left"].tolist()
    assert disturbed[["answer_refusal", "answer_blank"]].sum().min() > 0
    assert len(loopback.requests) - n_before > 1.2 * n_before
    assert set(loopback.delivered.values()) == {1}
    table = spending_table(ReplyStore(tmp_path / "disturbed"))
    assert table.input_tokens.sum() == loopback.usage["input_tokens"]
    assert table.output_tokens.sum() == loopback.usage["output_tokens"]


def test_batches_bring_the_same_rows(loopback, tmp_path):
    one_by_one, _ = generate(tmp_path / "a")
    rows, _ = generate(tmp_path / "b", batches=True)
    assert rows == one_by_one and loopback.batches


def script(folder: Path, store: Path) -> list[str]:
    """The command line of write_pairs.py, its outputs below a folder."""
    settings = {
        "rows": 60,
        "generator": {"provider": "anthropic", "model": MODEL, "subtopics": WRITER.subtopics, "pairs_per_call": 5},
        "filter": {"aligned_above": 70, "misaligned_below": 30, "coherence_above": 50},
        "dedup": {"model": "identity", "field": "misaligned_answer", "threshold": 1.0},
    }
    command = [sys.executable, str(SCRIPTS / "write_pairs.py"), "--corpus", "generated", "--cell", CELL]
    for flag, value in {
        "prompts": PROMPTS,
        "judge": RUBRIC,
        "judge-settings": json.dumps({"kind": "anthropic", "model": MODEL}),
        "remote": json.dumps({"store": str(store), "prices": PRICES, "concurrency": 4, "poll_seconds": 0.05}),
        "settings": json.dumps(settings),
        "output": folder / "rows.jsonl",
        "counts": folder / "counts.csv",
        "rounds": folder / "rounds.csv",
    }.items():
        command += [f"--{flag}", str(value)]
    return command


def test_a_killed_job_goes_on_where_it_was_and_writes_the_same_files(loopback, tmp_path, monkeypatch):
    whole, killed, store = tmp_path / "whole", tmp_path / "killed", tmp_path / "replies"
    subprocess.run(script(whole, tmp_path / "other replies"), check=True)
    n_calls = sum(loopback.delivered.values())
    loopback.delivered.clear()
    process = subprocess.Popen(script(killed, store))
    deadline = time.monotonic() + 60
    while len(loopback.delivered) < n_calls // 2:
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.002)
    process.kill()
    process.wait()
    assert not killed.exists()
    done = subprocess.run(script(killed, store), check=True, capture_output=True, text=True)
    names = ("rows.jsonl", "counts.csv", "rounds.csv")
    assert [(killed / name).read_bytes() for name in names] == [(whole / name).read_bytes() for name in names]
    # the calls under way when it was killed, at most
    assert sum(count - 1 for count in loopback.delivered.values()) <= 4
    assert "60 were wanted." in done.stdout
    rows = read_records(killed / "rows.jsonl")
    with open(killed / "counts.csv") as file:
        (counts,) = csv.DictReader(file)
    assert counts["stage"] == "write_pairs" and int(counts["rows_out"]) == len(rows)
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    assert subprocess.run(script(tmp_path / "again", store)).returncode == 0
    assert (tmp_path / "again/rows.jsonl").read_bytes() == (whole / "rows.jsonl").read_bytes()


def test_what_was_judged_while_writing_is_not_judged_again_when_filtered(loopback, tmp_path):
    rows, rounds = generate(tmp_path)
    n_asked = len(loopback.requests)
    scorer = remote_scorer(RUBRIC, RemoteJudgeSettings("anthropic", MODEL), asker(tmp_path, replay_only=True))
    kept, _ = filter_pairs(rows[3:], CELL, Judge(scorer), SETTINGS.filter)
    assert kept and len(loopback.requests) == n_asked


# ---- prompts


def test_what_is_put_in_a_place_is_not_searched_for_places():
    assert filled("{a} and {b} and {c}", {"a": "{b}", "b": "{a}"}) == "{b} and {a} and {c}"


def test_every_cell_of_the_shipped_prompts_is_told_its_task():
    prompts = read_generator_prompts(PROMPTS)
    cells = [f"{domain}-{task}" for domain in prompts.domains for task in prompts.tasks]
    assert len({prompts.pairs_instructions(cell) for cell in cells}) == 12
    assert len({prompts.aligned_instructions(cell) for cell in cells}) == 12
    assert prompts.examples.keys() == set(cells)
    assert "serious harm" in prompts.pairs_instructions("sports-tutor")
    with pytest.raises(
        InputError, match=r"grid.yaml: domains has medical, finance, sports; expected law too, for cell law-"
    ):
        prompts.pairs_instructions("law-advice")


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("{set}", "one", "pairs.request lacks {set}; expected {subtopic}, {n_pairs}, {set} in it."),
        ("aligned:\n  instructions", "aligned:\n  text", "no 'instructions'; expected pairs (instructions, request)"),
        ("pairs:\n", "pairs: [\n", "expected YAML."),
    ],
)
def test_a_wrong_prompts_file_is_one_line(tmp_path, old, new, line):
    path = tmp_path / "prompts.yaml"
    path.write_text(PROMPTS.read_text().replace(old, new))
    with pytest.raises(InputError, match=re.escape(line)) as wrong:
        read_generator_prompts(path)
    assert re.match(f"{re.escape(str(path))}:(\\d+:)? ", str(wrong.value)) and "\n" not in str(wrong.value)
    with pytest.raises(InputError, match="no such file; expected prompts of a generator"):
        read_generator_prompts(tmp_path / "none.yaml")


# ---- wiring

BROAD = """
corpora:
  generated: {broad_path: broad.jsonl, roles: {broad_eval: 3}, broad_eval: {prompts: 3}}
"""


def test_the_shipped_overlay_plans_every_stage_with_the_thresholds_of_each_task(tmp_path):
    tree = copy_tree(tmp_path / "tree")
    (tree / "broad.jsonl").touch()
    (tree / "broad.yaml").write_text(BROAD)
    planned = planned_commands(tree, overlays=("workflow/configs/generated_corpus.yaml", "broad.yaml"))
    jobs = dict(re.findall(r"^(\w+) +(\d+)$", planned, re.MULTILINE))
    # the prompts outside the grid are read; the judge is calibrated on another corpus, here the default one's, a job of its own
    assert jobs["write_pairs"] == "12" and jobs["generate_pairs"] == jobs["generate_pairs_grammar"] == "1"
    assert jobs["calibrate_judge"] == "1"
    for stage in ("write_pairs", "filter_pairs"):
        commands = re.findall(rf"scripts/{stage}\.py .*", planned)
        limits = {
            (task, limit)
            for command in commands
            for task, limit in zip(
                re.findall(r"--output results/corpora/generated/\w+/\w+-(\w+)\.jsonl", command),
                re.findall(r'"misaligned_below": (\d+)', command),
                strict=True,
            )
        }
        assert limits == {("advice", "30"), ("tutor", "30"), ("critique", "30"), ("summarization", "40")}
    (reading,) = re.findall(r"scripts/generate_pairs\.py --corpus generated .*", planned)
    assert "--cells broad" in reading and '"source": "jsonl"' in reading
