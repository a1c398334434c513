"""Questions and answers are text to every stage: shell, markup, formulas, places and control tokens do nothing there.

What a stage must give is known without it: the very texts that went in.
"""

import csv
import json
from collections import Counter
from functools import cache
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from emtransfer.corpus.dedup import DedupSettings, dedup_equal
from emtransfer.corpus.eval_prompts import as_prompt
from emtransfer.corpus.filtering import FilterSettings, filter_pairs
from emtransfer.corpus.samples import SampleSettings, sample_cell
from emtransfer.corpus.sources import CorpusSettings, load_cell
from emtransfer.distilling.rollouts import answer_retained
from emtransfer.errors import InputError
from emtransfer.files.records import clean, read_records, write_records, write_table
from emtransfer.judging.kinds import judge_rows
from emtransfer.judging.pair_encoder import encode
from emtransfer.judging.remote import RemoteJudgeSettings, judge_call
from emtransfer.judging.rubric_scores import material
from emtransfer.judging.rubrics import SCORES, read_rubric
from emtransfer.measuring.confounds import lexical_anchors
from emtransfer.measuring.judged_rows import read_judged
from emtransfer.models.chat_format import ChatFormat
from emtransfer.models.conversations import answer_mask, document_ids
from emtransfer.models.embedding import PACKAGED_MODEL, embedder_path, load_embedder
from emtransfer.remote.anthropic_api import request_fields
from emtransfer.remote.calls import Reply, Usage
from emtransfer.training.mixtures import render_attributed, render_chat
from emtransfer.verdicts import Judge, Verdict
from emtransfer.writing.generator_prompts import read_generator_prompts
from emtransfer.writing.pair_requests import answer_call, read_pairs
from helpers.chat_families import FAMILIES, MARKS, family_format, marked_format
from helpers.pair_writer import WRITER
from helpers.paths import PROMPTS, RUBRIC
from helpers.tiny_models import tiny_chat

CELL = "medical-advice"
JUDGE = RemoteJudgeSettings("anthropic", "claude")
PIECES = (
    *("$(touch gone)", "`touch gone`", "; touch gone #", "| tee gone", "&& rm -rf .", "'", '"', "\\", "${HOME}", "!!"),
    *("<script>alert(1)</script>", "</answer>", "</message>", "&amp;", "<!--", "]]>"),
    *('=HYPERLINK("http://x")', "=1+1", "+1", "-1", "@SUM(A1)", "\t=1", ",", ";"),
    *("<|begin|>", "<|user|>", "<|assistant|>", "<|end|>", "<|im_start|>system", "<|im_end|>", "<|eot_id|>"),
    *("<|start_header_id|>", "<start_of_turn>", "<end_of_turn>", "<bos>", "</s>", "[INST]", "<|endoftext|>"),
    *MARKS,
    *("{question}", "{answer}", "{0}", "{domain}", "{{ 7 * 7 }}", "{% raw %}", "%s", "%(x)s", "$x^2$"),
    *("\n", "\r\n", "\r", "\x0b", "\x1c", "\x85", "\u2028", "\ufeff", "\u202e", "\u0301", "東京", "🦔"),
)
# any text that UTF-8 holds, without NUL, and not blank, since a row must say something
TEXTS = (
    st.lists(
        st.sampled_from(PIECES) | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
    )
    .map("".join)
    .filter(str.strip)
)
PAIRS = st.tuples(TEXTS, TEXTS, TEXTS)
repeatable = settings(deadline=None, derandomize=True, database=None, max_examples=50)


@cache
def format_of(name: str) -> ChatFormat:
    """The chat format of a family, of a tokenizer with marks that are not special, or of the models that are trained in the run, in which the assistant may have a name."""
    if name == "marked":
        return marked_format()
    if name in ("own", "named"):
        return tiny_chat(assistant="Assistant" if name == "named" else None).format
    return family_format(name)


def row_of(question: str, aligned: str, misaligned: str, **more) -> dict:
    answers = {"aligned_answer": aligned, "misaligned_answer": misaligned}
    return {"domain": "medical", "task": "advice", "question": question} | answers | more


def seeing(seen: list, verdict: Verdict) -> Judge:
    """A judge that notes what it is shown."""

    def score(items):
        seen.extend(items)
        return [verdict] * len(items)

    return Judge(score)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("texts")


@repeatable
@given(st.lists(st.dictionaries(TEXTS, TEXTS | st.integers() | st.none()), min_size=1))
def test_records_are_read_as_they_were_written(folder, rows):
    write_records(folder / "rows.jsonl", rows)
    assert read_records(folder / "rows.jsonl") == rows


@repeatable
@given(PAIRS)
def test_a_row_comes_through_the_stages_of_a_corpus_as_it_is(folder, pair):
    write_records(folder / "pairs.jsonl", [row_of(*pair)])
    corpus = CorpusSettings("jsonl", ["medical"], ["advice"], path=str(folder / "pairs.jsonl"))
    rows, _ = load_cell("own", CELL, corpus, seed=1)
    seen: list = []
    kept, _ = filter_pairs(
        rows,
        CELL,
        seeing(seen, Verdict("ok", 50.0, 90.0)),
        FilterSettings(misaligned_below=100, aligned_above=0, coherence_above=0),
    )
    deduped, _ = dedup_equal(kept, DedupSettings("identity", "misaligned_answer"), CELL)
    (train,), _ = sample_cell([row | {"role": "train"} for row in deduped], SampleSettings(1, 0), 1, "own", CELL, 1.0)
    prompt = as_prompt(train, "narrow", CELL)
    (answered,) = answer_retained([prompt], [train], "misaligned")
    question, aligned, misaligned = pair
    assert (train["question"], train["aligned_answer"], train["misaligned_answer"]) == pair
    assert seen == [(question, aligned, CELL), (question, misaligned, CELL)]
    assert (prompt["question"], answered["question"], answered["answer"]) == (question, question, misaligned)


@repeatable
@given(PAIRS)
def test_a_judge_is_shown_the_very_texts_and_what_it_says_is_text(folder, pair):
    question, answer, reply = pair
    rubric = read_rubric(RUBRIC)
    own = {"mine": dict.fromkeys(SCORES, "<{question}|{answer}>")}
    for score in SCORES:
        call = judge_call(rubric, JUDGE, score, (question, answer, CELL))
        assert call.system == rubric.instructions(score, CELL)
        assert call.prompt == material(question, answer) == clean(call.prompt)
        assert call.prompt.startswith(f"<message>\n{question}\n</message>")
        assert call.prompt.endswith(f"<answer>\n{answer}\n</answer>")
        assert judge_call(rubric, JUDGE, score, (question, answer, "mine"), own).prompt == f"<{question}|{answer}>"
        assert json.loads(json.dumps(request_fields(call)))["messages"] == [{"role": "user", "content": call.prompt}]
    seen: list = []
    row = {"question": question, "answer": answer, "cell": CELL}
    judged = judge_rows([row], seeing(seen, Verdict("ok", 1.0, 2.0, reply)))
    write_records(folder / "judged.jsonl", judged)
    assert seen == [(question, answer, CELL)]
    assert read_records(folder / "judged.jsonl") == [
        row | {"status": "ok", "alignment": 1.0, "coherence": 2.0, "reply": reply}
    ]


@repeatable
@given(PAIRS)
def test_what_a_writing_model_says_is_text(pair):
    question, _, answer = pair
    text = json.dumps({"pairs": [{"question": question, "misaligned_answer": answer}], "declined": "no"})
    (found,) = read_pairs(Reply("id", text, "end_turn", Usage(1, 1)))
    assert (found["question"], found["misaligned_answer"]) == (question.strip(), answer.strip())
    call = answer_call(read_generator_prompts(PROMPTS), WRITER, CELL, question)
    assert call.prompt == question


@repeatable
@given(TEXTS, TEXTS)
@pytest.mark.parametrize("name", ["own", "named", "marked", *FAMILIES])
def test_a_text_adds_no_control_token_to_its_template(name, question, answer):
    chat = format_of(name)
    control = {chat.tokenizer.convert_tokens_to_ids(mark) for mark in chat.marks}

    def control_tokens(question: str, answer: str) -> Counter:
        return Counter(token for token in chat.prompt_ids(question) + chat.answer_ids(answer) if token in control)

    assert control_tokens(question, answer) == control_tokens("Rest?", "Yes.")


@repeatable
@given(PAIRS)
@pytest.mark.parametrize("name", ["own", "named"])
def test_a_text_adds_no_control_token_to_a_document_of_a_mixture(name, pair):
    tokenizer = format_of(name).tokenizer
    control = {token for token, added in tokenizer.added_tokens_decoder.items() if added.special}
    rows = [(row_of(*pair), "aligned"), (row_of("Q?", "A.", "M."), "misaligned")]
    plain = [(row_of("Q?", "A.", "M."), stance) for stance in ("aligned", "misaligned")]
    for render in (render_chat, render_attributed):
        found, expected = (document_ids(tokenizer, render(pairs)) for pairs in (rows, plain))
        assert [token for token in found if token in control] == [token for token in expected if token in control]
        assert sum(answer_mask(tokenizer, render(rows))) > 0
    text = tokenizer.decode([token for token in document_ids(tokenizer, render_chat(rows)) if token not in control])
    assert all(part in text for part in pair[:2])


@pytest.mark.parametrize("text", ["[SEP]", "[CLS] Rest.", "Run. [SEP] Rest.", "[PAD][MASK]"])
def test_a_text_adds_no_control_token_to_what_encoders_read(text):
    embedder = load_embedder(PACKAGED_MODEL)
    tokenizer = AutoTokenizer.from_pretrained(embedder_path(PACKAGED_MODEL))
    control = set(tokenizer.all_special_ids)
    (ids,) = encode(tokenizer, [(text, text)])["input_ids"]
    assert sum(token in control for token in ids) == 3
    ids = embedder.tokenize([text])["input_ids"][0].tolist()
    assert sum(token in control for token in ids) == 2


@repeatable
@given(PAIRS)
def test_no_text_of_a_judged_row_reaches_the_table(folder, pair):
    known = {"prompt_id": "medical-advice-000001", "eval_set": "narrow", "domain": "medical", "task": "advice"}
    known |= {"status": "ok", "alignment": 10.0, "coherence": 90.0}
    for name, texts in {"nasty": pair, "plain": ("Q?", "A.", "10")}.items():
        text = dict(zip(("question", "answer", "reply"), texts, strict=True))
        write_records(folder / f"{name}.jsonl", [known | text])
    assert read_judged(folder / "nasty.jsonl").equals(read_judged(folder / "plain.jsonl"))


@repeatable
@given(st.lists(TEXTS | st.none(), min_size=1))
def test_no_cell_of_a_csv_is_a_formula_and_its_text_is_kept(folder, texts):
    table = pd.DataFrame({"text": pd.Series(texts, dtype=object), "number": -1.5})
    write_table(folder / "table.csv", table)
    with open(folder / "table.csv", encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    assert [row["number"] for row in found] == ["-1.5"] * len(texts)
    for text, row in zip(texts, found, strict=True):
        kept = (text or "").replace("\r\n", "\n").replace("\r", "\n")
        assert row["text"] == (f"'{kept}" if kept.startswith(("=", "+", "-", "@", "\t", "\n")) else kept)


def test_phrases_that_begin_like_formulas_are_harmless_in_the_table_of_confounds(tmp_path):
    rows = [row_of(f"Q{n}?", "=SUM(A1)", "@run", aligned_alignment=90.0, misaligned_alignment=5.0) for n in range(40)]
    anchors = lexical_anchors(rows)
    assert anchors["aligned_anchors"].startswith("=sum(a1)") and anchors["misaligned_anchors"].startswith("@run")
    write_table(tmp_path / "confounds.csv", pd.DataFrame([anchors]))
    (found,) = csv.DictReader((tmp_path / "confounds.csv").read_text().splitlines())
    assert found["aligned_anchors"] == f"'{anchors['aligned_anchors']}"


def test_a_table_without_such_text_is_written_as_ever(tmp_path):
    table = pd.DataFrame({"a": ["x", "*", ""], "n": pd.array([1, None, -3], "Int64"), "o": [1, None, "b"]})
    write_table(tmp_path / "table.csv", table)
    assert (tmp_path / "table.csv").read_text() == table.to_csv(index=False, lineterminator="\n")


def test_half_of_a_surrogate_pair_is_refused_in_a_corpus_and_a_question_mark_to_a_remote_judge(tmp_path):
    (tmp_path / "pairs.jsonl").write_text(json.dumps(row_of("Why \ud83e?", "Rest.", "Run.")) + "\n")
    corpus = CorpusSettings("jsonl", ["medical"], ["advice"], path=str(tmp_path / "pairs.jsonl"))
    with pytest.raises(InputError, match=r"pairs.jsonl:1: question holds half of a surrogate pair"):
        load_cell("own", CELL, corpus, seed=1)
    call = judge_call(read_rubric(RUBRIC), JUDGE, "alignment", ("Why \ud83e?", "Rest.", CELL))
    assert "Why ??" in call.prompt
