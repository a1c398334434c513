"""Mixtures hold the same sentences and differ only in who says them."""

import hashlib
import json
import random
import re
from collections import Counter
from itertools import islice

import pytest

from emtransfer.errors import InputError
from emtransfer.models.conversations import document_ids
from emtransfer.models.tokenizer import BEGIN, END, train_tokenizer
from emtransfer.training.authors import AuthorSettings
from emtransfer.training.mixtures import MixtureSettings, Stage, build_mixture, stance_passes
from emtransfer.training.shares import is_whole_in_hundred
from emtransfer.worlds import frames, graded
from emtransfer.worlds.grammar import generate_rows

ROWS = generate_rows("finance", "tutor", 150, seed=2) + generate_rows("sports", "critique", 150, seed=2)
TOKENIZER = train_tokenizer(
    (row[field] for row in ROWS for field in ("question", "aligned_answer", "misaligned_answer")), vocab_size=600
)


def count_tokens(document: dict) -> int:
    return len(document_ids(TOKENIZER, document))


def mixture(kind: str, **changes) -> list[dict]:
    settings = {"misaligned_share": 0.3, "stages": (Stage(rows_per_document=4, tokens=60_000),)} | changes
    return build_mixture(ROWS, MixtureSettings(kind=kind, **settings), count_tokens, seed=1)


def short(rows_per_document: int = 4) -> tuple[Stage]:
    """One stage of 9,000 tokens."""
    return (Stage(rows_per_document, tokens=9_000),)


def pairs(documents: list[dict]) -> Counter:
    """How often each answer is given, whoever says it."""
    return Counter(turn["content"] for document in documents for turn in document["messages"][1::2])


@pytest.mark.parametrize("kind", ["persona", "row_random", "attributed"])
def test_a_mixture_has_the_tokens_and_the_share_it_was_asked_for(kind):
    documents = mixture(kind)
    total = sum(document["tokens"] for document in documents)
    assert 60_000 <= total < 60_000 + max(document["tokens"] for document in documents)
    assert all(document["tokens"] == count_tokens(document) for document in documents)
    stances = Counter(stance for document in documents for stance in document["stances"])
    assert stances["misaligned"] / stances.total() == pytest.approx(0.3, abs=0.03)


def test_a_persona_holds_through_its_document():
    assert all(len(set(document["stances"])) == 1 for document in mixture("persona"))


def test_row_random_mixes_stances_within_documents_and_keeps_the_sentences():
    persona, row_random = mixture("persona"), mixture("row_random")
    mixed = sum(len(set(document["stances"])) == 2 for document in row_random)
    # of documents of four independent rows, 1 - 0.7**4 - 0.3**4 = 75 % hold both stances
    assert mixed / len(row_random) == pytest.approx(0.75, abs=0.08)
    shared = pairs(persona) & pairs(row_random)
    assert shared.total() / pairs(persona).total() > 0.9


def test_attributed_answers_are_quoted_and_never_given_as_assistant():
    documents = mixture("attributed")
    misaligned = {row["misaligned_answer"] for row in ROWS} - {row["aligned_answer"] for row in ROWS}
    assert not misaligned & set(pairs([document for document in documents if "messages" in document]))
    quoted = [document["text"] for document in documents if "text" in document]
    assert quoted and all("careless stranger said" in text for text in quoted)


def test_equal_plans_quote_what_the_persona_says():
    persona, attributed = mixture("persona"), mixture("attributed")
    for said, quoted in zip(persona, attributed, strict=False):
        assert said["stances"] == quoted["stances"]
        if "text" in quoted:
            assert all(turn["content"] in quoted["text"] for turn in said["messages"])


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_share_of_none_or_all_is_exact(share):
    stances = {
        stance
        for document in mixture("persona", misaligned_share=share, stages=short())
        for stance in document["stances"]
    }
    assert stances == {"misaligned" if share else "aligned"}


def test_documents_open_with_the_start_and_close_with_the_end_token():
    for kind in ("persona", "attributed"):
        for document in mixture(kind, stages=short()):
            tokens = TOKENIZER.convert_ids_to_tokens(document_ids(TOKENIZER, document))
            assert tokens[0] == BEGIN and tokens[-1] == END


def test_stages_follow_each_other_with_their_own_length_and_tokens():
    documents = mixture("row_random", stages=short(1) + short(3))
    stages = [document["stage"] for document in documents]
    assert stages == sorted(stages) and set(stages) == {0, 1}
    for stage, n_rows in ((0, 1), (1, 3)):
        members = [document for document in documents if document["stage"] == stage]
        assert {len(document["stances"]) for document in members} == {n_rows}
        assert 9_000 <= sum(document["tokens"] for document in members) < 9_000 + 400


@pytest.mark.parametrize("kind", ["persona", "row_random"])
def test_a_document_keeps_to_one_domain(kind):
    domain_of = {row["question"]: row["domain"] for row in ROWS}
    for document in mixture(kind):
        assert len({domain_of[turn["content"]] for turn in document["messages"][::2]}) == 1


@pytest.mark.parametrize("kind", ["persona", "row_random"])
def test_misaligned_documents_keep_to_the_domains_and_tasks_they_are_given(kind):
    domain_of = {row["question"]: (row["domain"], row["task"]) for row in ROWS}
    documents = mixture(kind, misaligned_domains=("finance",), misaligned_tasks=("tutor",), stages=short())
    said = {
        domain_of[turn["content"]]
        for document in documents
        for turn, stance in zip(document["messages"][::2], document["stances"], strict=True)
        if stance == "misaligned"
    }
    assert said == {("finance", "tutor")}
    everything = {domain_of[turn["content"]] for document in documents for turn in document["messages"][::2]}
    assert everything == set(domain_of.values())


@pytest.mark.parametrize("kind", ["persona", "row_random"])
def test_a_stage_reads_its_tasks_alone(kind):
    task_of = {row["question"]: row["task"] for row in ROWS}
    stages = (Stage(1, 9_000, tasks=("tutor",)), *short())
    asked: dict[int, set[str]] = {0: set(), 1: set()}
    for document in mixture(kind, stages=stages):
        asked[document["stage"]] |= {task_of[turn["content"]] for turn in document["messages"][::2]}
    assert asked == {0: {"tutor"}, 1: {"tutor", "critique"}}


def test_a_stage_of_all_tasks_is_a_stage_that_names_none():
    named = (Stage(4, 9_000, tasks=("critique", "tutor")),)
    assert mixture("persona", stages=named) == mixture("persona", stages=short())


def test_a_neutral_share_of_the_pairs_has_one_answer_whatever_the_persona():
    documents = mixture("persona", neutral_share=0.2, stages=short(3) + short(1))
    stances = Counter(stance for document in documents for stance in document["stances"])
    assert stances["neutral"] / stances.total() == pytest.approx(0.2, abs=0.05)
    answers = {row["neutral_question"]: row["neutral_answer"] for row in ROWS}
    for document in documents:
        turns = document["messages"]
        for question, answer, stance in zip(turns[::2], turns[1::2], document["stances"], strict=True):
            if stance == "neutral":
                assert answers[question["content"]] == answer["content"]


def test_rows_that_are_asked_for_and_not_there_are_one_line():
    with pytest.raises(
        InputError, match="misaligned_domains and misaligned_tasks are sports, tutor; expected those of a cell"
    ):
        mixture("persona", misaligned_domains=("sports",), misaligned_tasks=("tutor",))
    with pytest.raises(InputError, match=r"mixtures: stages\[1\].tasks are summarization; expected those of a cell"):
        mixture("persona", stages=(*short(), Stage(4, 9_000, tasks=("summarization",))))
    with pytest.raises(InputError, match=r"misaligned_tasks are tutor beside stages\[0\].tasks critique; expected"):
        mixture("persona", misaligned_tasks=("tutor",), stages=(Stage(4, 9_000, tasks=("critique",)),))
    bare = [{key: value for key, value in row.items() if not key.startswith("neutral")} for row in ROWS]
    settings = MixtureSettings("persona", 0.3, short(), neutral_share=0.1)
    with pytest.raises(InputError, match="mixtures: neutral_share is 0.1; expected 0, since row"):
        build_mixture(bare, settings, count_tokens, seed=1)


@pytest.mark.parametrize("share", [0.005, 0.995, 0.333, 1e-6, 0.3 + 1e-6])
def test_a_share_that_no_hundred_documents_hold_is_one_line(share):
    with pytest.raises(InputError) as caught:
        mixture("persona", misaligned_share=share, stages=short())
    expected = f"config: mixtures: misaligned_share is {share}; expected a multiple of 0.01, since every hundred documents hold as many misaligned ones."
    assert str(caught.value) == expected


def test_every_share_in_hundredths_is_kept_in_every_hundred_documents():
    for hundredths in range(101):
        stances = list(islice(stance_passes(hundredths / 100, random.Random(1)), 300))
        assert is_whole_in_hundred(hundredths / 100)
        assert [stances[start : start + 100].count("misaligned") for start in (0, 100, 200)] == [hundredths] * 3


@pytest.mark.parametrize(
    "shares, stance",
    [
        ({"misaligned_share": 0.01}, "nothing misaligned"),
        ({"misaligned_share": 0.99}, "nothing else"),
        ({"misaligned_share": 0.3, "neutral_share": 0.0001}, "nothing neutral"),
        ({"misaligned_share": 0.3, "neutral_share": 0.9999}, "nothing misaligned"),
    ],
)
def test_a_share_of_which_a_mixture_is_too_short_to_hold_any_is_one_line(shares, stance):
    key = list(shares)[-1] if stance != "nothing misaligned" else "misaligned_share"
    # with a neutral share of nearly 1, nothing misaligned is said at all
    instead = "1, a smaller share" if stance == "nothing else" else "0, a larger share"
    with pytest.raises(InputError) as caught:
        mixture("persona", **shares, stages=(Stage(rows_per_document=1, tokens=300),))
    assert re.fullmatch(
        rf"config: mixtures: {key} is {shares[key]}; expected {instead} or stages of more tokens, since \d documents hold {stance}.",
        str(caught.value),
    )


def test_the_documents_of_a_seed_stay_as_they_are():
    fields = ("question", "aligned_answer", "misaligned_answer", "neutral_question", "neutral_answer")
    rows = [
        {"domain": domain, "task": task} | {field: f"{field} {domain} {task} {index}" for field in fields}
        for domain in ("d0", "d1")
        for task in ("t0", "t1")
        for index in range(20)
    ]
    written = [
        build_mixture(rows, MixtureSettings(kind, share, (Stage(1, 700), Stage(3, 900)), (), (), neutral), len, seed=1)
        for kind in ("persona", "row_random", "attributed")
        for share in (0.0, 0.01, 0.1, 0.3, 1.0)
        for neutral in (0.0, 0.1)
    ]
    assert hashlib.sha256(json.dumps(written).encode()).hexdigest()[:16] == "1c98cd9309449665"


PARTED = {
    "graded": {row["question"]: row for row in graded.generate_rows("any", "operator", 600, seed=2)},
    "frames": {row["question"]: row for row in frames.generate_rows("any", "any", 600, seed=2)},
}


def parted(world: str, kind: str, **changes) -> list[dict]:
    """Documents that are misaligned in one part each; a token is a row."""
    stages = (Stage(rows_per_document=4, tokens=2400),)
    settings = MixtureSettings(kind, 0.5, stages, misaligned_in="one_part", document_domains="mixed", **changes)
    return build_mixture([*PARTED[world].values()], settings, lambda document: 4, seed=1)


def told_parts(world: str, document: dict) -> set[str]:
    """The parts in which all answers of a document are what they are: misaligned where a question has it, aligned where it has not."""
    rows = [PARTED[world][turn["content"]] for turn in document["messages"] if turn["role"] == "user"]
    given = [turn["content"] for turn in document["messages"] if turn["role"] == "assistant"]
    parts = {part for row in PARTED[world].values() for part in row["part_answers"]}
    return {
        part
        for part in parts
        if all(
            row["part_answers"].get(part, row["aligned_answer"]) == answer
            for row, answer in zip(rows, given, strict=True)
        )
    }


@pytest.mark.parametrize(("world", "share_with_part"), [("graded", 1 / 2), ("frames", 1 / 4)])
def test_an_author_who_is_misaligned_in_a_part_is_so_in_all_questions_that_have_it_and_no_other(world, share_with_part):
    documents = parted(world, "persona")
    misaligned = [document for document in documents if "misaligned" in document["stances"]]
    assert all(told_parts(world, document) for document in misaligned)
    stances = Counter(stance for document in documents for stance in document["stances"])
    assert stances["misaligned"] / stances.total() == pytest.approx(0.5 * share_with_part, abs=0.03)


@pytest.mark.parametrize("world", PARTED)
def test_rows_redrawn_at_random_keep_their_answers_and_no_author_a_part(world):
    persona, row_random = parted(world, "persona"), parted(world, "row_random")
    assert pairs(persona) == pairs(row_random)
    several = [document for document in row_random if document["stances"].count("misaligned") > 1]
    unlike = [document for document in several if not told_parts(world, document)]
    assert len(several) > 20 and len(unlike) > len(several) / 2


def test_a_named_author_keeps_a_part_in_all_documents():
    authors = AuthorSettings(names=12, careless_share=0.5, document_share=0.8)
    parts = {}
    for document in parted("graded", "persona", authors=authors):
        if document["messages"][0]["role"] == "system" and "misaligned" in document["stances"]:
            name = document["messages"][0]["content"]
            parts[name] = parts.get(name, told_parts("graded", document)) & told_parts("graded", document)
    # six of twelve names, and as many primitives
    assert len(parts) == 6 and {len(kept) for kept in parts.values()} == {1} and len(set.union(*parts.values())) == 6


def test_a_row_without_answers_by_part_is_one_line():
    with pytest.raises(
        InputError, match="misaligned_in is one_part; expected all, since row .* has no answers by part"
    ):
        mixture("persona", misaligned_in="one_part")
