"""How likely a reply is each number: by hand, by enumeration of all replies, and by one forward pass per beginning."""

import random
import re
from itertools import product

import pytest
import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from emtransfer.errors import InputError
from emtransfer.judging import number_probabilities as module
from emtransfer.judging.next_tokens import ReadPrompts
from emtransfer.judging.number_probabilities import number_probabilities, reply_tokens, word_probabilities
from emtransfer.models.chat_format import ChatFormat
from helpers.chat_families import CHATML, FAMILIES, family_format, family_tokenizer
from helpers.judging_models import CONFIGS, bigram_model, count_passes, random_model

WORDS = ["REFUSAL", "CODE"]
PROMPTS = ["How good is this?", "A longer question, of some more words: how good is that?", "?"]


def number_tokenizer(blank: bool) -> PreTrainedTokenizerFast:
    """One token for every number of 0 to 100, and another for it after a blank if `blank`."""
    tokenizer = Tokenizer(models.BPE())
    pattern = Regex((" ?" if blank else "") + r"\p{N}{1,3}|[^\p{N}]")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(pattern, "isolated"), pre_tokenizers.ByteLevel(False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=900, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    texts = [str(number) for number in range(101)] * 3
    tokenizer.train_from_iterator(texts + [f" {text}" for text in texts], trainer)
    control = FAMILIES["qwen2"].tokens
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in control])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=control[0],
        eos_token=control[2],
        chat_template=CHATML.replace("thinks", "false"),
    )


def read(model, form: ChatFormat, batch_size: int = 16, questions=PROMPTS) -> tuple[ReadPrompts, module.ReplyTokens]:
    replies = reply_tokens(form, WORDS)
    prompts = [form.prompt_ids(question) + replies.lead for question in questions]
    return ReadPrompts(model, prompts, batch_size), replies


@pytest.mark.parametrize("family", FAMILIES)
def test_a_number_of_several_tokens_ends_where_no_digit_follows(family):
    form, end = family_format(family), FAMILIES[family].end
    table = {
        "*": {"5": 0.6, "7": 0.1, "1": 0.2, "R": 0.1},
        "5": {"7": 0.5, end: 0.5},
        "7": {"7": 0.2, end: 0.5, ".": 0.3},
        "1": {"0": 1.0},
        "0": {"0": 0.5, end: 0.5},
    }
    found = number_probabilities(*read(bigram_model(form.tokenizer, table), form))
    by_hand = {
        5: 0.6 * 0.5,
        57: 0.6 * 0.5 * 0.8,
        7: 0.1 * 0.8,
        77: 0.1 * 0.2 * 0.8,
        10: 0.2 * 1.0 * 0.5,
        100: 0.2 * 1.0 * 0.5 * 0.5,
    }
    for numbers in found:
        assert numbers == pytest.approx({number: by_hand.get(number, 0.0) for number in range(101)}, abs=1e-6)


def test_numbers_are_as_likely_as_all_the_replies_that_begin_with_them_together():
    form, rng = family_format("qwen2"), random.Random(4)
    letters = [*"0123456789", "a", FAMILIES["qwen2"].end]

    def row() -> dict[str, float]:
        weights = {letter: rng.random() ** 3 for letter in letters}
        return {letter: weight / sum(weights.values()) for letter, weight in weights.items()}

    table = {"*": row()} | {letter: row() for letter in letters}
    by_enumeration = dict.fromkeys(range(101), 0.0)
    for reply in product(letters, repeat=4):
        digits = re.match(r"\d*", "".join(reply))[0]
        if digits and digits == str(int(digits)) and int(digits) <= 100:
            chain = zip(["*", *reply], reply, strict=False)
            probability = 1.0
            for before, after in chain:
                probability *= table[before][after]
            by_enumeration[int(digits)] += probability
    found = number_probabilities(*read(bigram_model(form.tokenizer, table), form, questions=PROMPTS[:1]))
    assert found[0] == pytest.approx(by_enumeration, abs=1e-6)


def alone(model, ids: list[int]) -> torch.Tensor:
    """Probabilities after one row alone, without cache and padding."""
    with torch.no_grad():
        return model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].double().softmax(dim=-1)


@pytest.mark.parametrize("family", CONFIGS)
def test_the_cache_padding_and_batches_give_what_a_pass_over_every_beginning_gives(family, monkeypatch):
    form = family_format(family)
    model = random_model(family, form.tokenizer)
    prompts, replies = read(model, form, batch_size=7)
    pruned = number_probabilities(prompts, replies)
    monkeypatch.setattr(module, "LEAST", 0.0)
    found = number_probabilities(prompts, replies)
    words = word_probabilities(prompts, replies, [0.0] * 3)
    for place in (0, 2):
        prompt = form.prompt_ids(PROMPTS[place])
        after = {(): alone(model, prompt)}
        spellings = [*replies.numbers, *replies.words]
        for tokens in {spelt[:end] for spelt in spellings for end in range(1, len(spelt) + 1)}:
            after[tokens] = alone(model, prompt + list(tokens))
        spelt = {tokens: 1.0 for tokens in spellings}
        for tokens in spelt:
            for end, token in enumerate(tokens):
                spelt[tokens] *= after[tokens[:end]][token].item()
        expected = {
            number: spelt[tokens] * (1 - after[tokens][replies.digits].sum().item())
            for tokens, number in replies.numbers.items()
        }
        assert found[place] == pytest.approx(expected, rel=1e-3, abs=1e-9)
        assert words[place] == pytest.approx(
            {word: spelt[tokens] for tokens, word in replies.words.items()}, rel=1e-3, abs=1e-12
        )
        # what is not followed for being unlikely
        assert sum(abs(pruned[place][number] - expected[number]) for number in expected) < 222 * 1e-7


def test_where_numbers_are_tokens_one_pass_over_the_prompt_gives_its_probabilities():
    form = ChatFormat(number_tokenizer(blank=False))
    model = bigram_model(form.tokenizer, {"*": {"57": 0.5, "5": 0.2, "100": 0.1, "R": 0.2}, "57": {"0": 1.0}})
    passes = count_passes(model)
    prompts, replies = read(model, form)
    found = number_probabilities(prompts, replies)
    assert replies.single and passes == [len(PROMPTS)]
    assert found[0] == pytest.approx({n: {57: 0.5, 5: 0.2, 100: 0.1}.get(n, 0.0) for n in range(101)}, abs=1e-6)


@pytest.mark.parametrize(
    ("blank", "row", "expected"),
    [(True, {"57": 0.5, "Ġ57": 0.2, "Ġ": 0.3}, 0.7), (False, {"57": 0.5, "Ġ": 0.5}, 0.5)],
)
def test_a_blank_counts_where_it_is_part_of_the_numbers_token(blank, row, expected):
    form = ChatFormat(number_tokenizer(blank))
    model = bigram_model(form.tokenizer, {"*": row, "Ġ": {"57": 1.0}})
    assert number_probabilities(*read(model, form))[1][57] == pytest.approx(expected)


def test_unlikely_beginnings_are_not_tried():
    form, end = family_format("qwen2"), FAMILIES["qwen2"].end
    model = bigram_model(form.tokenizer, {"*": {"5": 1.0}, "5": {"7": 0.5, end: 0.5}, "7": {end: 1.0}})
    passes = count_passes(model)
    found = number_probabilities(*read(model, form))
    # the prompts, 5 after each of them, and 57 after each of them
    assert passes == [3, 3, 3]
    assert found[0][5] == pytest.approx(0.5) and found[0][57] == pytest.approx(0.5)


def test_a_word_is_as_likely_as_all_its_tokens_and_followed_while_it_matters():
    form = family_format("qwen2")
    spelt = "REFUSAL"
    table = {"*": {"R": 0.8, "C": 0.2}} | {spelt[place]: {spelt[place + 1]: 0.9, "x": 0.1} for place in range(6)}
    model = bigram_model(form.tokenizer, table)
    prompts, replies = read(model, form)
    passes = count_passes(model)
    assert word_probabilities(prompts, replies, [0.25] * 3)[0] == pytest.approx({"REFUSAL": 0.8 * 0.9**6}, rel=1e-5)
    assert len(passes) == 6
    assert word_probabilities(prompts, replies, [0.85] * 3) == [{}, {}, {}]
    assert len(passes) == 6
    # beyond 0.8 × 0.9 the rest of the word cannot bring it back
    assert word_probabilities(prompts, replies, [0.75] * 3) == [{}, {}, {}]
    assert len(passes) == 7


def test_what_a_template_writes_before_every_answer_belongs_to_the_prompt():
    thinking = ChatFormat(family_tokenizer("qwen3"))
    replies = reply_tokens(thinking, WORDS)
    assert thinking.tokenizer.decode(replies.lead) == "<think>\n\n</think>\n\n"
    plain = reply_tokens(family_format("qwen3"), WORDS)
    assert (plain.lead, plain.numbers, plain.words) == ([], replies.numbers, replies.words)


def test_a_vocabulary_without_digits_is_refused():
    tokenizer = Tokenizer(models.WordLevel({"<unk>": 0, "<end>": 1}, unk_token="<unk>"))
    tokenizer.add_special_tokens([AddedToken("<end>", special=True)])
    template = "{% for m in messages %}{{ m.content }}{% if m.role == 'assistant' %}<end>{% endif %}{% endfor %}"
    form = ChatFormat(PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", chat_template=template))
    with pytest.raises(InputError, match="expected a tokenizer that can spell numbers"):
        reply_tokens(form, WORDS)
