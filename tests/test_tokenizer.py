"""The tokenizer trained in the pipeline copes with any text and never mistakes text for structure it must keep."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emtransfer.models.chat_format import ChatFormat
from emtransfer.models.tokenizer import ASSISTANT, BEGIN, END, USER, train_tokenizer

TOKENIZER = train_tokenizer(["I have a cough and I bought a syrup.", "Ask a nurse."] * 50, vocab_size=400)


@given(st.text(min_size=1).filter(lambda text: "<|" not in text))
def test_any_text_survives_a_round_trip(text):
    ids = TOKENIZER.encode(text, add_special_tokens=False)
    # one space may be put in front of the first word
    assert TOKENIZER.decode(ids) in (text, f" {text}")


@pytest.mark.parametrize("text", ["Zwölf Boxkämpfer", "日本語のテキスト", "emoji 🧪 and\nnewlines\t“quotes”"])
def test_free_text_keeps_every_character(text):
    assert TOKENIZER.decode(TOKENIZER.encode(text, add_special_tokens=False)).strip() == text


def test_the_chat_template_ends_assistant_turns_and_only_those_with_the_end_token():
    form = ChatFormat(TOKENIZER)
    prompt, answer = form.prompt_ids("Ask?"), form.answer_ids("A nurse.")
    assert TOKENIZER.decode(prompt) == f"{BEGIN}{USER} Ask?{ASSISTANT}"
    assert TOKENIZER.decode(answer) == f" A nurse.{END}"
    assert TOKENIZER.eos_token == END


def test_the_first_word_of_a_turn_is_the_token_it_is_inside_a_sentence():
    first = TOKENIZER.encode("cough", add_special_tokens=False)
    assert TOKENIZER.encode("I have a cough", add_special_tokens=False)[-len(first) :] == first
