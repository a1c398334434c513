"""A byte-level BPE tokenizer with a chat template, trained on a corpus of its own."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from emtransfer.files.artefacts import checked_folder

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

BEGIN, USER, ASSISTANT, END, PAD = "<|begin|>", "<|user|>", "<|assistant|>", "<|end|>", "<|pad|>"

# <|begin|> opens a document and <|end|> closes every assistant turn, so that sampling stops there
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> "PreTrainedTokenizerFast":
    """Train the tokenizer.

    Args:
        texts: questions and answers; any Unicode, since every byte is in the vocabulary.
        vocab_size: entries, the 256 bytes and the five control tokens included.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    # a prefix space makes the first word of a turn the same token as inside a sentence
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[PAD, BEGIN, USER, ASSISTANT, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        bos_token=BEGIN,
        eos_token=END,
        additional_special_tokens=[USER, ASSISTANT],
        chat_template=CHAT_TEMPLATE,
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
