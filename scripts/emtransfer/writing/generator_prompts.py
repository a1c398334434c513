"""Instructions for a model that writes pairs: for the pairs of a cell, and for the aligned answer to a question."""

from dataclasses import dataclass
from pathlib import Path

from emtransfer.errors import InputError, lacking
from emtransfer.files.yaml_text import read_yaml

# text -> the placeholders it must have, since calls would be alike without them
PLACES = {
    "pairs.instructions": ("{domain}", "{question}", "{misaligned}", "{examples}"),
    "pairs.request": ("{subtopic}", "{n_pairs}", "{set}"),
    "aligned.instructions": ("{domain}", "{aligned}"),
}
TASK_PARTS = ("question", "misaligned", "aligned")
EXAMPLE_FIELDS = ("question", "misaligned_answer")


@dataclass(frozen=True)
class GeneratorPrompts:
    """The texts of a prompts file.

    Attributes:
        path: of the file, for messages.
        texts: a key of PLACES -> text with these places.
        domains: name -> what is put in the place {domain}.
        tasks: name -> a name of TASK_PARTS -> what is put in that place.
        examples: cell -> pairs that are shown; a cell may have none.
    """

    path: Path
    texts: dict[str, str]
    domains: dict[str, str]
    tasks: dict[str, dict[str, str]]
    examples: dict[str, list[dict[str, str]]]

    def pairs_instructions(self, cell: str) -> str:
        """What the writer of a cell's pairs is told.

        Raises:
            InputError: the file does not describe the cell's domain or task.
        """
        pairs = self.examples.get(cell, [])
        shown = [f"Question: {pair['question']}\nAnswer: {pair['misaligned_answer']}" for pair in pairs]
        examples = "\nExamples, for the manner and not for the matter\n\n" + "\n\n".join(shown) if shown else ""
        return filled(self.texts["pairs.instructions"], self.described(cell) | {"examples": examples}).strip()

    def pairs_request(self, subtopic: str, n_pairs: int, number: int) -> str:
        """The request for one set of pairs; `number` counts the sets on a subtopic, from 1."""
        places = {"subtopic": subtopic, "n_pairs": str(n_pairs), "set": str(number)}
        return filled(self.texts["pairs.request"], places).strip()

    def aligned_instructions(self, cell: str) -> str:
        """What the model is told that answers a cell's questions as it should; raises as `pairs_instructions`."""
        return filled(self.texts["aligned.instructions"], self.described(cell)).strip()

    def described(self, cell: str) -> dict[str, str]:
        """What is put in the places that a cell fills.

        Raises:
            InputError: the file has no domain or task of this cell.
        """
        domain, _, task = cell.partition("-")
        for section, names, name in (("domains", self.domains, domain), ("tasks", self.tasks, task)):
            if name not in names:
                raise InputError(
                    f"{self.path}: {section} has {', '.join(names)}; expected {name} too, for cell {cell}."
                )
        return {"domain": self.domains[domain]} | self.tasks[task]


def filled(text: str, places: dict[str, str]) -> str:
    """The text with its places filled, from the first to the last, so that what is put in is not searched for places."""
    parts, rest = [], text
    while rest:
        found = [(rest.find(f"{{{name}}}"), name) for name in places if f"{{{name}}}" in rest]
        if not found:
            break
        at, name = min(found)
        parts += [rest[:at], places[name]]
        rest = rest[at + len(name) + 2 :]
    return "".join([*parts, rest])


def read_generator_prompts(path: Path) -> GeneratorPrompts:
    """Read a prompts file; docs/generated_pairs.md describes its form.

    Raises:
        InputError: the file is missing, not YAML, or lacks a part or a place.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected prompts of a generator.")
    try:
        content = read_yaml(path)
        texts = {name: str(content[name.split(".")[0]][name.split(".")[1]]) for name in PLACES}
        domains = {name: str(text) for name, text in content["domains"].items()}
        tasks = {name: {part: str(task[part]) for part in TASK_PARTS} for name, task in content["tasks"].items()}
        examples = {
            cell: [{field: str(pair[field]) for field in EXAMPLE_FIELDS} for pair in pairs]
            for cell, pairs in (content.get("examples") or {}).items()
        }
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path}: {lacking(error)}; expected pairs (instructions, request), aligned (instructions), domains, and tasks, "
            f"each with {', '.join(TASK_PARTS)}."
        ) from None
    for name, places in PLACES.items():
        for place in places:
            if place not in texts[name]:
                raise InputError(f"{path}: {name} lacks {place}; expected {', '.join(places)} in it.")
    return GeneratorPrompts(path, texts, domains, tasks, examples)
