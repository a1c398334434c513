"""A system turn before the question, where the chat template has one."""

from dataclasses import replace

from emtransfer.chat_format import ChatFormat
from emtransfer.errors import InputError
from emtransfer.tokenizer import CHAT_TEMPLATE


def with_system(chat_format: ChatFormat, system: str) -> ChatFormat:
    """The chat format with a system turn of this text.

    Raises:
        InputError: its template has no system turn.
    """
    from jinja2 import TemplateError

    instructed = replace(chat_format, system=system)
    tokenizer = instructed.tokenizer
    try:
        # a template without system turns leaves the text out or refuses the turn; some trim it
        shown = system.strip() in instructed.rendered(add_generation_prompt=True)
    except TemplateError:
        shown = False
    # ours would write a role that no base has learned
    if not shown or tokenizer.chat_template == CHAT_TEMPLATE:
        raise InputError(
            f"{tokenizer.name_or_path or 'tokenizer'}: chat template has no system turn; expected one, since a question comes with the "
            f"system prompt {system[:60]!r}."
        )
    return instructed
