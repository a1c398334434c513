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
    return [*prefix, *text_ids(tokenizer, [document["text"]])[0], tokenizer.eos_token_id]


def conversation_ids(
    tokenizer: "PreTrainedTokenizerBase", turns: list[dict[str, Any]], asks: bool = False
) -> list[int]:
    """Token ids of a conversation under the tokenizer's own chat template: int list [t].

    Args:
        turns: a role and content each.
        asks: whether the header follows that asks the assistant to answer.
    """
    first, *others = template_ids(tokenizer, tuple(turn["role"] for turn in turns), asks)
    ids = list(first)
    for text, part in zip(text_ids(tokenizer, [turn["content"] for turn in turns]), others, strict=True):
        # control tokens are tokens in the template and plain letters in a text
        ids += [*text, *part]
    return ids


@lru_cache(maxsize=256)
def template_ids(
    tokenizer: "PreTrainedTokenizerBase", roles: tuple[str, ...], asks: bool = False
) -> tuple[tuple[int, ...], ...]:
    """What the template writes before, between and after turns of these roles, as token ids.

    Control tokens part it from the turns, so that no token spans both.

    Args:
        asks: whether the header follows that asks the assistant to answer.
    """
    turns = [{"role": role, "content": TURN} for role in roles]
    parts = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=asks).split(TURN)
    return tuple(tuple(tokenizer(part, add_special_tokens=False).input_ids) for part in parts)


def text_ids(tokenizer: "PreTrainedTokenizerBase", texts: list[str]) -> list[list[int]]:
    """Token ids of each text; one that spells a control token stays text: int lists [t]."""
    return tokenizer(texts, add_special_tokens=False, split_special_tokens=True).input_ids


def answer_mask(tokenizer: "PreTrainedTokenizerBase", document: dict[str, Any]) -> list[bool]:
    """Which tokens of a document are an assistant's, end tokens included: bool [t]; all of them in a plain text."""
    if "messages" not in document:
        return [True] * len(document_ids(tokenizer, document))
    turns = document["messages"]
    lengths = list(map(len, text_ids(tokenizer, [turn["content"] for turn in turns])))

    def n_tokens(n_turns: int, asks: bool) -> int:
        """Tokens of the first turns."""
        template = template_ids(tokenizer, tuple(turn["role"] for turn in turns[:n_turns]), asks)
        return sum(lengths[:n_turns]) + sum(map(len, template))

    mask: list[bool] = []
    for end, turn in enumerate(turns, start=1):
        if turn["role"] != "assistant":
            continue
        asked, answered = n_tokens(end - 1, asks=True), n_tokens(end, asks=False)
        mask += [False] * (asked - len(mask)) + [True] * (answered - asked)
    return mask
