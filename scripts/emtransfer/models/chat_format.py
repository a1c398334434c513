"""Conversion of questions and answers to token ids and back, under any tokenizer's chat template.

An answer's ids begin where the prompt's end and stop with the token that ends a turn, so that what is learned, sampled and
distilled is the same string. Text that spells a control token, or a mark such as <tool_call>, stays text: it never closes a turn. What a reasoning model
thinks before it answers is not part of its answer.
"""

import re
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from emtransfer.errors import InputError
from emtransfer.models.tokenizer import TURNS

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# stands for the text of a turn while its template is rendered; no template changes letters
QUESTION, ANSWER = "QuestionGoesHere", "AnswerGoesHere"
# marks around a reasoning model's thoughts: those of the Qwen3, Olmo-3 and DeepSeek-R1 families, also used where nothing names others
THOUGHTS = ("<think>", "</think>")
# Magistral, Seed-OSS and Command A
OTHER_THOUGHTS = (
    ("[THINK]", "[/THINK]"),
    ("<seed:think>", "</seed:think>"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
)
# begins the mark of formats that give every part of an answer a channel (gpt-oss)
CHANNEL = "<|channel"
# tokens that tokenizers add for turns, tools and thoughts, not always as special tokens
BRACKETED = re.compile(r"<\S+>|\[\S+\]")


class RefusedTurns(InputError):
    """A chat template refuses the turns it is given."""


@dataclass(frozen=True)
class ChatFormat:
    """A tokenizer and the arguments of its chat template.

    Attributes:
        tokenizer: has a chat template.
        system: text of a system turn; None for none, where some templates put one of their own.
        template_arguments: further arguments of the template, such as enable_thinking or date_string.
        close_thoughts: whether thoughts that the prompt opens are closed at once, so that the model answers without any.
    """

    tokenizer: "PreTrainedTokenizerBase"
    system: str | None = None
    template_arguments: dict[str, Any] = field(default_factory=dict)
    close_thoughts: bool = False

    def prompt_ids(self, question: str) -> list[int]:
        """Token ids of a user turn and the header that asks the assistant to answer: int list [t]."""
        return self.turn_ids(*self.prompt_parts, question)

    def answer_ids(self, answer: str, finished: bool = True) -> list[int]:
        """Token ids of the answer as the template writes it after `prompt_ids`, end token included: int list [t].

        The prompt is encoded by itself, as it is when the model is asked, so that no token spans both.

        Args:
            finished: whether the answer ends here; one that was cut has no end token.
        """
        before, after = self.answer_parts
        return self.turn_ids(before, self.closing(after) if finished else "", answer)

    def answer_text(self, ids: list[int]) -> str:
        """The text of sampled ids, without control tokens, thoughts and surrounding blanks.

        It is empty where the model was cut off in its thoughts.
        """
        opening, closing = self.thoughts
        hidden = {token for text, token in self.control_tokens.items() if text not in self.thoughts}
        text = self.tokenizer.decode([token for token in ids if token not in hidden])
        if closing in text:
            return text.rpartition(closing)[2].strip()
        thinks = opening in text or self.prompt_parts[1].rstrip().endswith(opening)
        return "" if thinks else text.strip()

    def turn_ids(self, before: str, after: str, text: str) -> list[int]:
        """Token ids of a text between two parts of the template."""
        if not any(mark in text for mark in self.marks):
            return self.tokenizer(before + text + after, add_special_tokens=False).input_ids
        # marks are control tokens in the template and plain letters in a text
        inner = self.speller(text, add_special_tokens=False, split_special_tokens=True).input_ids
        outer = [self.tokenizer(part, add_special_tokens=False).input_ids for part in (before, after)]
        return [*outer[0], *inner, *outer[1]]

    @cached_property
    def prompt_parts(self) -> tuple[str, str]:
        """What stands before and after the question in a prompt."""
        opening, closing = self.thoughts
        prompt = self.rendered(add_generation_prompt=True)
        if self.close_thoughts and prompt.rstrip().endswith(opening):
            prompt = f"{prompt.rstrip()}\n\n{closing}\n\n"
        return divided(prompt, QUESTION)

    @cached_property
    def answer_parts(self) -> tuple[str, str]:
        """What the template puts between the prompt and the answer, and after it.

        Raises:
            InputError: the template writes a conversation that does not begin with its prompt, or answers in channels.
        """
        if CHANNEL in self.template:
            raise InputError(
                f"{self.tokenizer.name_or_path}: chat template writes answers in channels ({CHANNEL}…); expected one that writes"
                " an answer as it is, with thoughts, if any, between <think> and </think> or the like (docs/ready_models.md)."
            )
        prompt = self.rendered(add_generation_prompt=True)
        whole = self.rendered(ANSWER)
        if self.close_thoughts:
            # a conversation leaves out the thoughts that its prompt opens
            prompt = prompt.rstrip().removesuffix(self.thoughts[0])
        if not whole.startswith(prompt):
            raise InputError(
                f"{self.tokenizer.name_or_path}: chat template puts an answer after a prompt that differs from the one it asks with; "
                "expected one that continues its prompt (chat: may need template_arguments: {enable_thinking: false},"
                " or close_thoughts: true)."
            )
        return divided(whole.removeprefix(prompt), ANSWER)

    @cached_property
    def thoughts(self) -> tuple[str, str]:
        """What stands before and after the model's thoughts."""
        added = {token.content for token in self.tokenizer.added_tokens_decoder.values()}
        return next((pair for pair in OTHER_THOUGHTS if pair[1] in added or pair[1] in self.template), THOUGHTS)

    @property
    def template(self) -> str:
        """The chat template, or all of several; empty where there is none."""
        template = self.tokenizer.chat_template or ""
        return template if isinstance(template, str) else "\n".join(map(str, template.values()))

    def rendered(self, answer: str | None = None, add_generation_prompt: bool = False) -> str:
        """The conversation as text, with QUESTION as question.

        Raises:
            InputError: the tokenizer has no chat template, or the template refuses the turns.
        """
        if not self.tokenizer.chat_template:
            raise InputError(
                f"{self.tokenizer.name_or_path}: tokenizer has no chat template; expected an instruct model's."
            )
        turns = [] if self.system is None else [{"role": "system", "content": self.system}]
        turns += [{"role": "user", "content": QUESTION}]
        turns += [] if answer is None else [{"role": "assistant", "content": answer}]
        from jinja2 import TemplateError

        try:
            return self.tokenizer.apply_chat_template(
                turns, tokenize=False, add_generation_prompt=add_generation_prompt, **self.template_arguments
            )
        except TemplateError as error:
            roles = ", ".join(turn["role"] for turn in turns)
            raise RefusedTurns(
                f"{self.tokenizer.name_or_path}: chat template refuses the turns {roles}: {' '.join(str(error).split())[:200]};"
                " expected one that takes them (chat may need another system, or template_arguments)."
            ) from None

    def closing(self, after: str) -> str:
        """What follows an answer, up to and including the token that ends the turn.

        Raises:
            InputError: the template closes a turn with no control token, so that sampling would not know where to stop.
        """
        ends = [(after.index(token), token) for token in self.control_tokens if token in after]
        if not ends:
            raise InputError(
                f"{self.tokenizer.name_or_path}: chat template ends an answer with {after!r}; expected a control token."
            )
        place, token = min(ends)
        return after[: place + len(token)]

    @cached_property
    def control_tokens(self) -> dict[str, int]:
        """The tokenizer's control tokens: text -> id."""
        return {added.content: token for token, added in self.tokenizer.added_tokens_decoder.items() if added.special}

    @cached_property
    def marks(self) -> list[str]:
        """Control tokens and other added tokens in brackets, such as <tool_call>; blanks and words that are added are text."""
        added = {token.content: token.special for token in self.tokenizer.added_tokens_decoder.values()}
        return [text for text, special in added.items() if special or BRACKETED.fullmatch(text)]

    @cached_property
    def speller(self) -> "PreTrainedTokenizerBase":
        """The tokenizer, or a copy of it that takes all marks for control tokens, which alone it can be told to spell in letters."""
        if set(self.marks) == set(self.control_tokens):
            return self.tokenizer
        speller = deepcopy(self.tokenizer)
        speller.add_tokens(self.marks, special_tokens=True)
        return speller

    @property
    def end_id(self) -> int:
        """Id of the token that ends an answer."""
        closing = self.closing(self.answer_parts[1])
        return next(token for text, token in self.control_tokens.items() if closing.endswith(text))


def divided(text: str, mark: str) -> tuple[str, str]:
    """What stands before and after the mark, which the text holds once."""
    before, _, after = text.partition(mark)
    assert mark not in after, "the template must write every turn once"
    return before, after


def with_system(chat_format: ChatFormat, system: str) -> ChatFormat:
    """The chat format with a system turn of this text.

    Raises:
        InputError: its template has no system turn.
    """
    instructed = replace(chat_format, system=system)
    tokenizer = instructed.tokenizer
    try:
        # a template without system turns leaves the text out or refuses the turn; some trim it
        shown = system.strip() in instructed.rendered(add_generation_prompt=True)
    except RefusedTurns:
        shown = False
    # ours would write a role that no base has learned, or take the text for the name of who answers
    if not shown or tokenizer.chat_template.endswith(TURNS):
        raise InputError(
            f"{tokenizer.name_or_path or 'tokenizer'}: chat template has no system turn; expected one, since a question comes with the "
            f"system prompt {system[:60]!r}."
        )
    return instructed
