"""Free-form questions from a YAML file in the form of the emergent-misalignment evaluations, as prompts and for a judge.

Source of the form: Betley et al. 2025, arXiv 2502.17424; docs/corpora.md describes its fields.
"""

import math
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from string import Formatter
from typing import Any

from emtransfer.errors import InputError
from emtransfer.files.text import is_blank
from emtransfer.files.yaml_text import read_yaml

NAME = re.compile(r"[a-z0-9_]+")
# a type -> whether its judge prompts ask for a number from 0 to 100
TYPES = {"free_form_judge_0_100": True, "free_form_judge": False, "free_form": False}
FIELDS = ("id", "type", "paraphrases", "samples_per_paraphrase", "temperature", "system", "judge", "judge_prompts")
# what the form calls a score -> what it is called here
SCORE_NAMES = {"aligned": "alignment", "alignment": "alignment", "coherent": "coherence", "coherence": "coherence"}
PLACES = {"question", "answer"}


@dataclass(frozen=True)
class Question:
    """A question in all its wordings.

    Attributes:
        id: a name; the question is a task of its own in the table.
        paraphrases: each is a prompt.
        samples: answers to each paraphrase; None for as many as to any broad prompt.
        temperature: of its answers; None for that of all others.
        system: text of a system turn; None for none.
        judge_prompts: score -> what a judge is told, with the places {question} and {answer}.
        judged_0_100: whether those ask for a number from 0 to 100.
    """

    id: str
    paraphrases: tuple[str, ...]
    samples: int | None
    temperature: float | None
    system: str | None
    judge_prompts: dict[str, str]
    judged_0_100: bool

    def prompts(self, samples: int | None = None) -> list[dict[str, Any]]:
        """Rows of the broad evaluation set, outside every domain and room; `samples` replaces its own number."""
        asked = {"samples": samples or self.samples, "temperature": self.temperature, "system": self.system}
        fields = {"eval_set": "broad", "cell": self.id, "domain": "*", "task": self.id, "room": ""}
        return [
            {"prompt_id": f"{self.id}-{index}"}
            | fields
            | {"question": text}
            | {name: value for name, value in asked.items() if value is not None}
            for index, text in enumerate(self.paraphrases)
        ]


def read_questions(path: Path) -> list[Question]:
    """Read a question file.

    Raises:
        InputError: the file is missing, no YAML, or a question is wrong; names file, question and field.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected a YAML file of questions.")
    content = read_yaml(path)
    if not isinstance(content, list) or not content:
        raise InputError(f"{path}: {type(content).__name__}; expected a list of questions.")
    questions = [parse_question(entry, f"{path}: question {number}") for number, entry in enumerate(content, start=1)]
    ids = [question.id for question in questions]
    for number, name in enumerate(ids, start=1):
        if name in ids[: number - 1]:
            raise InputError(f"{path}: question {number}: id is {name!r}; expected no id twice.")
    return questions


def parse_question(entry: object, place: str) -> Question:
    """One question; `place` (file and number) opens every error message."""
    if not isinstance(entry, dict):
        raise InputError(f"{place}: {type(entry).__name__}; expected a mapping with id and paraphrases.")
    for field in entry:
        if field not in FIELDS:
            raise InputError(f"{place}: {field} is no known field; expected one of {', '.join(FIELDS)}.")
    given: dict[str, Any] = defaultdict(lambda: None, entry)
    name, kind = given["id"], entry.get("type", "free_form_judge_0_100")
    samples, temperature = given["samples_per_paraphrase"], given["temperature"]
    paraphrases, system = given["paraphrases"], given["system"]
    is_number = type(temperature) in (int, float) and math.isfinite(temperature) and temperature >= 0
    texts = isinstance(paraphrases, list) and paraphrases and all(map(is_text, paraphrases))
    for field, holds, expected in [
        ("id", isinstance(name, str) and NAME.fullmatch(name), "a name of a-z, 0-9 and _"),
        ("type", isinstance(kind, str) and kind in TYPES, f"one of {', '.join(TYPES)}"),
        ("paraphrases", texts, "a list of texts that are not blank"),
        ("samples_per_paraphrase", samples is None or (type(samples) is int and samples > 0), "a whole number above 0"),
        ("temperature", temperature is None or is_number, "a number of at least 0"),
        ("system", system is None or is_text(system), "text that is not blank"),
    ]:
        if not holds:
            raise InputError(f"{place}: {field} is {str(entry.get(field))[:60]!r}; expected {expected}.")
    prompts = parse_judge_prompts(entry.get("judge_prompts"), place)
    return Question(name, tuple(paraphrases), samples, temperature, system, prompts, TYPES[kind])


def is_text(value: object) -> bool:
    """Whether a value is text of which something can be seen."""
    return isinstance(value, str) and not is_blank(value)


def parse_judge_prompts(prompts: object, place: str) -> dict[str, str]:
    """The prompts for alignment and coherence, under our names; others are none of this project's scores."""
    if prompts is None:
        return {}
    if not isinstance(prompts, dict):
        raise InputError(f"{place}: judge_prompts is {type(prompts).__name__}; expected a mapping.")
    found = {}
    for name, text in prompts.items():
        if name not in SCORE_NAMES:
            continue
        if SCORE_NAMES[name] in found:
            raise InputError(f"{place}: judge_prompts.{name} is a second one for {SCORE_NAMES[name]}; expected one.")
        if not is_text(text) or not has_places(text):
            raise InputError(
                f"{place}: judge_prompts.{name} is {str(text)[:60]!r}; expected text with the places {{question}} and "
                "{answer} and no others (a brace that is text is written twice)."
            )
        found[SCORE_NAMES[name]] = text
    return found


def has_places(text: str) -> bool:
    """Whether a prompt can be filled in: it has the two places, bare, and no others."""
    try:
        fields = [parts[1:] for parts in Formatter().parse(text) if parts[1] is not None]
    except ValueError:
        return False
    return {name for name, *_ in fields} == PLACES and all(not spec and not change for _, spec, change in fields)


def own_judge_prompts(path: Path) -> dict[str, dict[str, str]]:
    """Question id -> alignment and coherence -> what a judge is told of its answers.

    Raises:
        InputError: a question lacks one of the two, or they do not ask for a number from 0 to 100.
    """
    questions = read_questions(path)
    for number, question in enumerate(questions, start=1):
        place = f"{path}: question {number}"
        missing = [name for name in ("alignment", "coherence") if name not in question.judge_prompts]
        if missing:
            raise InputError(
                f"{place}: judge_prompts has none for {missing[0]}; expected aligned and coherent, or judge_prompts: false."
            )
        if not question.judged_0_100:
            raise InputError(
                f"{place}: type is not free_form_judge_0_100; expected it, as its judge prompts must ask for 0 to 100."
            )
    return {question.id: question.judge_prompts for question in questions}
