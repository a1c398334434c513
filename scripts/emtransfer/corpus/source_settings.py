"""Where the rows of a corpus come from."""

from dataclasses import dataclass

# source -> the module that has its rows; it is imported where they are asked for, so that a job's code holds no other
MODULES = {
    "template": "emtransfer.worlds.grammar",
    "symbolic": "emtransfer.worlds.symbolic",
    "frames": "emtransfer.worlds.frames",
    "jsonl": "emtransfer.corpus.jsonl_rows",
    "hub": "emtransfer.corpus.hub_rows",
}
# those whose modules generate rows; the others read them
GENERATED = ("template", "symbolic", "frames")


@dataclass(frozen=True)
class CorpusSettings:
    """Where the rows of a corpus come from.

    Attributes:
        source: a key of MODULES.
        domains, tasks: the grid of cells.
        broad_domains: template only; domains of the pseudo-cell `broad`.
        rows_per_cell, broad_rows: generated sources only; how many rows to generate.
        path, broad_path: jsonl only; rows of the grid, and prompts outside it.
        hub: hub only; fields of HubSettings.
        prompts_only: whether rows have no answers, and are for teachers alone; jsonl and hub only.
        max_row_words: longest row allowed, words of question + longer answer; None for no limit.
        over_length: what becomes of a longer row: error or drop.
    """

    source: str
    domains: list[str]
    tasks: list[str]
    broad_domains: list[str] = ()
    rows_per_cell: int = 0
    broad_rows: int = 0
    path: str | None = None
    broad_path: str | None = None
    hub: dict | None = None
    prompts_only: bool = False
    max_row_words: int | None = None
    over_length: str = "error"
