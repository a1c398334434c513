"""Fields of a corpus under other names in a file: columns, paths within them, turns of a chat, or one value for all rows."""

from collections.abc import Iterator, Mapping
from typing import Any

from emtransfer.corpus.rows import ANSWERS, NEUTRAL_VERSION
from emtransfer.corpus.source_settings import Constant
from emtransfer.errors import InputError, kind_of

# fields that a mapping may give; `answer` is the only answer of a row whose file holds either kind alone
ANSWER = "answer"
FIELDS = ("domain", "task", "question", *ANSWERS, ANSWER, *NEUTRAL_VERSION, "em_surface", "system")
# names for the speaker of a turn
SPEAKERS = {"user": ("user", "human"), "assistant": ("assistant", "gpt", "model", "bot"), "system": ("system",)}
# field that marks a known format -> where that format has a question and an answer
FORMS = {
    "messages": ("messages.user", "messages.assistant"),
    "conversations": ("conversations.human", "conversations.gpt"),
    "prompt": ("prompt", "completion"),
    "instruction": ("instruction", "output"),
}


def mapped(row: dict[str, Any], columns: Mapping[str, str | Constant], place: str) -> dict[str, Any]:
    """The row under the names of fields; what it holds besides is kept, a column whose name is taken as source_{name}.

    Args:
        columns: field, one of FIELDS -> where the row has it: a column, a dotted place in one (`meta.topic`), or the only turn of a
            speaker in a chat (`messages.user`); or the value of every row.
        place: file and row, which opens every error message.

    Raises:
        InputError: the row has no such place; or a speaker has several turns, or a turn that nothing is taken from.
    """
    if not columns:
        return row
    taken = {field: value_at(row, source, f"{place}: {field}") for field, source in columns.items()}
    heads = {column_of(row, source) for source in columns.values() if isinstance(source, str)}
    for head in heads:
        refuse_unread(row[head], head, columns, place)
    rest = {name: value for name, value in row.items() if name not in heads}
    return taken | {f"source_{name}" if name in taken else name: value for name, value in rest.items()}


def column_of(row: dict[str, Any], source: str) -> str:
    """The column that a source leads into: the source itself, where a column is called so, or what stands before its first dot."""
    return source if source in row else source.split(".")[0]


def value_at(row: dict[str, Any], source: str | Constant, place: str) -> Any:
    """What a row has at a source; `place` names the field.

    Raises:
        InputError: the row has nothing at this path.
    """
    if isinstance(source, Constant):
        return source.value
    head = column_of(row, source)
    value: Any = row
    for part in [head, *source.removeprefix(head).split(".")[1:]]:
        if isinstance(value, list):
            value = turn(value, part, source, place)
        elif isinstance(value, dict) and part in value:
            value = value[part]
        else:
            found = ", ".join(map(str, value)) if isinstance(value, dict) else kind_of(value)
            raise InputError(
                f"{place} is {source}, and there is no {part} in {found}; expected a path that exists in the row."
            )
    return value


def turn(turns: list[Any], speaker: str, source: str, place: str) -> str:
    """The text of the only turn of a speaker.

    Args:
        source, place: the path in the row, and where it is named, for the message.

    Raises:
        InputError: the speaker has no turn, or several.
    """
    texts = [text for who, text in spoken(turns) if who in (speaker, *SPEAKERS.get(speaker, ()))]
    if len(texts) != 1:
        raise InputError(
            f"{place} is {source}, and the chat has {len(texts)} such turns; expected one, a question or an answer."
        )
    return texts[0]


def spoken(turns: list[Any]) -> Iterator[tuple[str, Any]]:
    """Who says what in a chat, turns of {role, content} or {from, value}."""
    for each in turns:
        if isinstance(each, dict):
            content = each.get("content", each.get("value"))
            if isinstance(content, list):
                content = "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
            yield str(each.get("role", each.get("from"))), content


def refuse_unread(value: Any, head: str, columns: Mapping[str, str | Constant], place: str) -> None:
    """Raise InputError for a turn of a chat that no field is taken from: left out, it would change what is asked."""
    if not isinstance(value, list):
        return
    read = {
        source.split(".")[-1]
        for source in columns.values()
        if isinstance(source, str) and source.startswith(f"{head}.")
    }
    if not read:
        return
    known = {name for part in read for name in (part, *SPEAKERS.get(part, ()))}
    unread = next((who for who, _ in spoken(value) if who not in known), None)
    if unread is not None:
        raise InputError(
            f"{place}: {head} has a turn of {unread}; expected a field for it in columns, such as system: {head}.{unread}."
        )


def refuse_known_form(row: dict[str, Any], place: str, corpus: str) -> None:
    """Raise InputError for a row of a form that people have, with the way to map it."""
    form = next((name for name in FORMS if name in row), None)
    if form is None or "question" in row:
        return
    question, answer = FORMS[form]
    ways = f"{{domain: {{value: …}}, task: {{value: …}}, question: {question}, answer: {answer}}}"
    raise InputError(
        f"{place}: the row has {', '.join(row)}; expected domain, task, question and answers, or corpora.{corpus}.columns to say where they are, "
        f"such as {ways} with the misaligned answers in misaligned_path."
    )
