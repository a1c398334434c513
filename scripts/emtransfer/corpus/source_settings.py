"""Where the rows of a corpus come from."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from emtransfer.settings import Absent, File, Names, Positive, Repository

# source -> the module that has its rows; it is imported where they are asked for, so that a job's code holds no other
MODULES = {
    "template": "emtransfer.worlds.grammar",
    "symbolic": "emtransfer.worlds.symbolic",
    "frames": "emtransfer.worlds.frames",
    "graded": "emtransfer.worlds.graded",
    "rooms": "emtransfer.worlds.rooms",
    "jsonl": "emtransfer.corpus.jsonl_rows",
    "hub": "emtransfer.corpus.hub_rows",
}
# those whose modules generate rows; the others read them
GENERATED = ("template", "symbolic", "frames", "graded", "rooms")


@dataclass(frozen=True)
class HubSettings(Repository):
    """A dataset, and the names of its parts.

    Attributes:
        path: Dataset on the hub, owner/name, or a local folder with the same files.
        config: Name of its config for a cell; {domain} and {task} are filled in.
        broad_config: Name of its config with prompts outside the grid.
        split: Split that is read from each of its configs.
        columns: Its name of a field -> our name, where they differ.
    """

    config: str = "{domain}_{task}"
    broad_config: Annotated[str | None, Absent()] = None
    split: str = "train"
    columns: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Constant:
    """A value that is the same in every row.

    Attributes:
        value: The value.
    """

    value: str


@dataclass(frozen=True)
class CorpusSettings:
    """Where the rows of a corpus come from.

    Attributes:
        source: template: our grammar; symbolic: operators on symbols; frames: one function under many frames; graded: operators that share primitives; rooms: questions that admit one, two or four misaligned answers; jsonl: rows of your own; hub: a dataset of the model hub; anthropic, openai: rows that a model behind an API writes.
        domains: Domains of the grid.
        tasks: Tasks of the grid.
        broad_domains: template, rooms: domains outside the grid, for the broad evaluation.
        rows_per_cell: template, symbolic, frames, graded, rooms: rows generated for every cell; anthropic, openai: rows that must be left in every cell after filter and dedup, whatever their role.
        broad_rows: template, rooms: rows generated outside the grid.
        misaligned_choice: rooms: which of the misaligned answers that a question admits its row has: any, drawn evenly, or always the first.
        path: jsonl: file with the rows of every cell, JSONL or another type (docs/corpora.md).
        misaligned_path: jsonl: file with the misaligned answers to the same questions, if path has only the aligned ones.
        broad_path: jsonl, anthropic, openai: file with prompts outside the grid.
        columns: jsonl: field -> its place in path, if not the column of its name: a column, a dotted path in one, a turn of a chat, or a value.
        broad_columns: jsonl, anthropic, openai: the same for broad_path.
        hub: hub: the dataset, and the names of its parts.
        prompts_only: jsonl, hub: whether rows have no answers; all rows are then prompts for teachers, and nothing is split, filtered or sampled.
        other_cells: jsonl: whether a row of another domain or task is an error, or is left out.
        max_row_words: Greatest length of a row in words, question and longer answer together; null for no limit.
        over_length: Whether a longer row is an error or is dropped.
    """

    source: Literal["template", "symbolic", "frames", "graded", "rooms", "jsonl", "hub", "anthropic", "openai"]
    domains: Names
    tasks: Names
    broad_domains: Annotated[Names, Absent()] = ()
    rows_per_cell: Annotated[Positive, Absent()] = 0
    broad_rows: Annotated[Positive, Absent()] = 0
    misaligned_choice: Literal["any", "first"] = "any"
    path: Annotated[File | None, Absent()] = None
    misaligned_path: Annotated[File | None, Absent()] = None
    broad_path: Annotated[File | None, Absent()] = None
    columns: dict[str, str | Constant] = field(default_factory=dict)
    broad_columns: dict[str, str | Constant] = field(default_factory=dict)
    hub: Annotated[HubSettings | None, Absent()] = None
    prompts_only: bool = False
    other_cells: Literal["error", "drop"] = "error"
    max_row_words: Positive | None = None
    over_length: Literal["error", "drop"] = "error"
