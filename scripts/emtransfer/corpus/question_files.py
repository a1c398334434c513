"""Free-form questions from a file in the form of the emergent-misalignment evaluations, as prompts and for a judge.

Source of the form: Betley et al. 2025, arXiv 2502.17424; docs/corpora.md describes its fields.
"""

import math
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from string import Formatter
from typing import Any

from emtransfer.corpus.rows import ROOMS
from emtransfer.errors import InputError, counted, kind_of, told
from emtransfer.files.json_text import json_rows, parse_object
from emtransfer.files.text import is_blank, read_text
from emtransfer.files.yaml_text import read_yaml

# a type -> whether its judge prompts ask for a number from 0 to 100
TYPES = {"free_form_judge_0_100": True, "free_form_0_100": True, "free_form_judge": False, "free_form": False}
# types that ask for something other than an answer in words
UNUSABLE = {"rating": "there is nothing to judge in a rating", "next_token": "there is nothing to judge in one token"}
# fields that describe a question without changing what is asked
METADATA = ("domain", "source", "meta", "context")
FIELDS = (
    *("id", "name", "type", "paraphrases", "question", "samples_per_paraphrase", "temperature", "system"),
    *("judge", "judge_prompts", "task", "em_surface", "room", *METADATA),
)
# the file format's name for a score -> ours
SCORE_NAMES = {"aligned": "alignment", "alignment": "alignment", "coherent": "coherence", "coherence": "coherence"}
SCORES = ("alignment", "coherence")
PLACES = {"question", "answer"}
DEFAULT_TYPE = "free_form_judge_0_100"


@dataclass(frozen=True)
class Question:
    """A question in all its wordings.

    Attributes:
        id: a name.
        paraphrases: each is a prompt.
        samples: answers to each paraphrase; None for as many as to any broad prompt.
        temperature: of its answers; None for that of all others.
        system: text of a system turn; None for none.
        task: its task in the table; its id where the file names none.
        room: how much room it leaves for a harmful answer, one of ROOMS; empty where the file does not say.
        metadata: what the file says of it besides, which is kept with its answers.
        judge_prompts: as the file has them.
        type: a key of TYPES.
    """

    id: str
    paraphrases: tuple[str, ...]
    samples: int | None
    temperature: float | None
    system: str | None
    task: str
    room: str
    metadata: dict[str, Any]
    judge_prompts: Any
    type: str

    def prompts(self, samples: int | None = None) -> list[dict[str, Any]]:
        """Rows of the broad evaluation set, outside every domain; `samples` replaces its own number."""
        asked = {"samples": samples or self.samples, "temperature": self.temperature, "system": self.system}
        known = asked | {"metadata": self.metadata or None}
        fields = {"eval_set": "broad", "cell": self.id, "domain": "*", "task": self.task, "room": self.room}
        return [
            {"prompt_id": f"{self.id}-{index}"}
            | fields
            | {"question": text}
            | {name: value for name, value in known.items() if value is not None}
            for index, text in enumerate(self.paraphrases)
        ]


def read_questions(path: Path, skip_unusable: bool = False, judge_prompts: bool = False) -> list[Question]:
    """Read a question file.

    Args:
        skip_unusable: whether questions that cannot be used are left out.
        judge_prompts: whether they need judge prompts of their own.

    Raises:
        InputError: the file is missing or damaged; no question can be used, or, unless they are left out, some cannot: a
            line for each, with file, question and field.
    """
    questions, lines = usable_questions(path, judge_prompts)
    if lines and questions and not skip_unusable:
        lines.append(
            f"{path}: {len(lines)} of {counted(len(lines) + len(questions), 'question')} cannot be used; expected all, or skip_unusable: true beside path."
        )
    if lines and not (questions and skip_unusable):
        raise InputError("\n".join(lines))
    return questions


def usable_questions(path: Path, judge_prompts: bool = False) -> tuple[list[Question], list[str]]:
    """The questions of a file, and a line for each that cannot be used."""
    questions: dict[str, Question] = {}
    lines = []
    for place, entry in entries(path):
        try:
            question = parse_question(entry, place)
            if question.id in questions:
                raise InputError(
                    f"{place}: id is {shown(entry)!r}, which becomes {question.id}, the id of an earlier question; expected unique ids."
                )
            if judge_prompts:
                parse_judge_prompts(question, place)
            questions[question.id] = question
        except InputError as error:
            lines.append(str(error))
    return list(questions.values()), lines


def entries(path: Path) -> list[tuple[str, Any]]:
    """The questions of a file, unread, each after its place: entries of a list, or names with lists of texts.

    Raises:
        InputError: the file is missing, damaged, or holds no list of questions.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected a YAML file of questions.")
    if path.suffix == ".jsonl" or (path.suffix == ".json" and read_text(path).lstrip().startswith("[")):
        return list(json_rows(path))
    content = parse_object(read_text(path), str(path)) if path.suffix == ".json" else read_yaml(path)
    if isinstance(content, dict):
        content = [{"id": name, "paraphrases": texts} for name, texts in content.items()]
    if not isinstance(content, list) or not content:
        raise InputError(
            f"{path}: found {'an empty list' if content == [] else kind_of(content)}; expected a list of questions, each with id and paraphrases."
        )
    return [(f"{path}: question {number}", entry) for number, entry in enumerate(content, start=1)]


def parse_question(entry: object, place: str) -> Question:
    """One question; `place` (file and number) opens every error message.

    Raises:
        InputError: a field is unknown, given twice under two names, or of another form.
    """
    if not isinstance(entry, dict):
        raise InputError(f"{place}: found {kind_of(entry)}; expected a mapping with id and paraphrases.")
    for field in entry:
        if field not in FIELDS:
            raise InputError(f"{place}: {field} is not a known field; expected one of {', '.join(FIELDS)}.")
    given = {field: value for field, value in entry.items() if value is not None}
    for one, other in (("id", "name"), ("paraphrases", "question"), ("em_surface", "room")):
        if one in given and other in given:
            raise InputError(f"{place}: {other} is given beside {one}; expected one of the two.")
    name = normal_name(given.get("id", given.get("name")))
    kind = given.get("type", DEFAULT_TYPE)
    if kind in UNUSABLE:
        raise InputError(f"{place}: type is {kind!r}, and {UNUSABLE[kind]}; expected one of {', '.join(TYPES)}.")
    texts = given.get("paraphrases", [given["question"]] if "question" in given else None)
    room, task = given.get("em_surface", given.get("room", "")), normal_name(given.get("task", name))
    for field, holds, expected in checks(given, name, kind, texts, room, task):
        if not holds:
            raise InputError(f"{place}: {field} is {told(entry.get(field))}; expected {expected}.")
    assert name is not None and task is not None and texts is not None
    samples, temperature, system = (given.get(key) for key in ("samples_per_paraphrase", "temperature", "system"))
    metadata = {field: given[field] for field in METADATA if field in given}
    # the name in the file, where ours differs
    metadata |= {"id": shown(entry)} if shown(entry) != name else {}
    return Question(
        name, tuple(texts), samples, temperature, system, task, room, metadata, given.get("judge_prompts"), kind
    )


def checks(
    given: dict[str, Any], name: str | None, kind: Any, texts: Any, room: Any, task: str | None
) -> list[tuple[str, object, str]]:
    """Fields, whether each holds, and what is expected of it."""
    temperature, samples, system = (given.get(key) for key in ("temperature", "samples_per_paraphrase", "system"))
    is_number = (
        isinstance(temperature, int | float) and not isinstance(temperature, bool) and 0 <= temperature < math.inf
    )
    is_texts = isinstance(texts, list) and texts and all(map(is_text, texts))
    return [
        ("name" if "name" in given else "id", name, "text with letters or digits, or a whole number"),
        ("type", isinstance(kind, str) and kind in TYPES, f"one of {', '.join(TYPES)}"),
        ("question" if "question" in given else "paraphrases", is_texts, "a list of texts that are not blank"),
        ("samples_per_paraphrase", samples is None or (type(samples) is int and samples > 0), "a whole number above 0"),
        ("temperature", temperature is None or is_number, "a number of at least 0"),
        ("system", system is None or is_text(system), "text that is not blank"),
        ("task", task, "text with letters or digits, or a whole number"),
        ("room" if "room" in given else "em_surface", room in ("", *ROOMS), f"one of {', '.join(ROOMS)}"),
    ]


def normal_name(name: object) -> str | None:
    """A name of a-z, 0-9 and _ for a free one, such as `q7` for 7 or `a_day_off` for `A day off!`; None where it has no letters."""
    if type(name) is int:
        return f"q{abs(name)}"
    if not isinstance(name, str):
        return None
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "_", plain).strip("_") if not re.fullmatch("[a-z0-9_]+", name) else name


def shown(entry: Any) -> Any:
    """The name of a question in its file."""
    return entry["id"] if entry.get("id") is not None else entry.get("name")


def is_text(value: object) -> bool:
    """Whether a value is text of which something can be seen."""
    return isinstance(value, str) and not is_blank(value)


def own_judge_prompts(path: Path, say: Callable[[str], object] = print) -> dict[str, dict[str, str]]:
    """Question id -> alignment and coherence -> judge prompt; questions without both prompts are reported and left out."""
    questions, lines = usable_questions(path, judge_prompts=True)
    for line in lines:
        say(f"{line} The rubric holds for it.")
    return {question.id: parse_judge_prompts(question, str(path)) for question in questions}


def parse_judge_prompts(question: Question, place: str) -> dict[str, str]:
    """The prompts for alignment and coherence, under our names; prompts for other scores are ignored.

    Raises:
        InputError: one of the two is missing, cannot be filled in, or does not ask for a number from 0 to 100.
    """
    prompts = question.judge_prompts or {}
    if not isinstance(prompts, dict):
        raise InputError(
            f"{place}: judge_prompts is {kind_of(prompts)}; expected a mapping with aligned and coherent, the texts of two judge prompts."
        )
    found: dict[str, str] = {}
    for name, text in prompts.items():
        if name not in SCORE_NAMES:
            continue
        if SCORE_NAMES[name] in found:
            raise InputError(f"{place}: judge_prompts.{name} is a second prompt for {SCORE_NAMES[name]}; expected one.")
        if not is_text(text) or not has_places(text):
            raise InputError(
                f"{place}: judge_prompts.{name} is {told(text)}; expected text with the placeholders {{question}} and "
                "{answer} and no others (a brace that is text is written twice)."
            )
        found[SCORE_NAMES[name]] = text
    missing = next((name for name in SCORES if name not in found), None)
    if missing:
        raise InputError(
            f"{place}: judge_prompts has no prompt for {missing}; expected aligned and coherent, or judge_prompts: false."
        )
    if not TYPES[question.type]:
        raise InputError(
            f"{place}: type is {question.type}; expected {DEFAULT_TYPE}, since judge prompts must ask for 0 to 100."
        )
    return found


def has_places(text: str) -> bool:
    """Whether a prompt can be filled in: it has the two places, bare, and no others."""
    try:
        fields = [parts[1:] for parts in Formatter().parse(text) if parts[1] is not None]
    except ValueError:
        return False
    return {name for name, *_ in fields} == PLACES and all(not spec and not change for _, spec, change in fields)
