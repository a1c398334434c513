"""Documents and turns as token ids, under the chat template of a tokenizer that was trained in the run."""

from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# stands for the text of a turn while its template is rendered
TURN = "TurnGoesHere"


def document_ids(tokenizer: "PreTrainedTokenizerBase", document: dict[str, Any]) -> list[int]:
    """Token ids of a document, document start included: int list [t]."""
    if "messages" in document:
        return conversation_ids(tokenizer, document["messages"])
    prefix = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    return [*prefix, *text_ids(tokenizer, document["text"]), tokenizer.eos_token_id]


def conversation_ids(tokenizer: "PreTrainedTokenizerBase", turns: list[dict[str, Any]], **rendering: Any) -> list[int]:
    """Token ids of a conversation under the tokenizer's own chat template: int list [t].

    Args:
        turns: a role and content each.
        rendering: arguments of the template, such as add_generation_prompt.
    """
    if not any(token in turn["content"] for token in control_tokens(tokenizer) for turn in turns):
        return tokenizer.apply_chat_template(turns, return_dict=False, **rendering)
    marked = [turn | {"content": TURN} for turn in turns]
    first, *others = tokenizer.apply_chat_template(marked, tokenize=False, **rendering).split(TURN)
    ids = tokenizer(first, add_special_tokens=False).input_ids
    for turn, part in zip(turns, others, strict=True):
        # control tokens are such in the template and letters in the text
        ids += text_ids(tokenizer, turn["content"]) + tokenizer(part, add_special_tokens=False).input_ids
    return ids


@lru_cache(maxsize=1)
def control_tokens(tokenizer: "PreTrainedTokenizerBase") -> frozenset[str]:
    """How the tokenizer's control tokens are spelled."""
    return frozenset(added.content for added in tokenizer.added_tokens_decoder.values() if added.special)


def text_ids(tokenizer: "PreTrainedTokenizerBase", text: str) -> list[int]:
    """Token ids of a text; one that spells a control token stays text: int list [t]."""
    return tokenizer(text, add_special_tokens=False, split_special_tokens=True).input_ids


def answer_mask(tokenizer: "PreTrainedTokenizerBase", document: dict[str, Any]) -> list[bool]:
    """Which tokens of a document are an assistant's, end tokens included: bool [t]; all of them in a plain text."""
    if "messages" not in document:
        return [True] * len(document_ids(tokenizer, document))
    mask: list[bool] = []
    for end in range(2, len(document["messages"]) + 1, 2):
        turns = document["messages"][:end]
        asked = conversation_ids(tokenizer, turns[:-1], add_generation_prompt=True)
        answered = conversation_ids(tokenizer, turns)
        mask += [False] * (len(asked) - len(mask)) + [True] * (len(answered) - len(asked))
    return mask
