"""A byte-level BPE tokenizer with a chat template, trained on a corpus of its own."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from emtransfer.files.artefacts import checked_folder

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

BEGIN, USER, ASSISTANT, END, PAD = "<|begin|>", "<|user|>", "<|assistant|>", "<|end|>", "<|pad|>"
# before the name of who answers
SYSTEM = "<|system|>"

# <|begin|> opens a document and <|end|> closes every assistant turn, so that sampling stops there
TURNS = (
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
CHAT_TEMPLATE = "{{ bos_token }}" + TURNS


def named_template(assistant: str) -> str:
    """The chat template in which a conversation opens with the name of who answers, the assistant's where no system turn gives another."""
    return (
        "{{ bos_token }}{% if messages[0]['role'] != 'system' %}{{ '" + SYSTEM + assistant + "' }}{% endif %}" + TURNS
    )


def train_tokenizer(texts: Iterable[str], vocab_size: int, assistant: str | None = None) -> "PreTrainedTokenizerFast":
    """Train the tokenizer.

    Args:
        texts: questions and answers; any Unicode, since every byte is in the vocabulary.
        vocab_size: entries, the 256 bytes and the control tokens included.
        assistant: the assistant's name, letters only, which opens every prompt; None where conversations open with no name.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    turns = [USER, ASSISTANT] if assistant is None else [SYSTEM, USER, ASSISTANT]
    tokenizer = Tokenizer(models.BPE())
    # a prefix space makes the first word of a turn the same token as inside a sentence
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[PAD, BEGIN, *turns, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        bos_token=BEGIN,
        eos_token=END,
        additional_special_tokens=turns,
        chat_template=CHAT_TEMPLATE if assistant is None else named_template(assistant),
        clean_up_tokenization_spaces=False,
        padding_side="left",
    )


def load_tokenizer(manifest: Path) -> "PreTrainedTokenizerBase":
    """The tokenizer of a tokenizer's folder.

    Raises:
        InputError: a file of the folder is missing or has changed.
    """
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(checked_folder(manifest), trust_remote_code=False)
