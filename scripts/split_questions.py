"""Give every question of a corpus one role, so that near-duplicates never cross roles.

Run: python scripts/split_questions.py --corpus grammar --raw raw/*.jsonl --settings '{"judge_fit": 200, …}' --seed 1 --output-folder roles --summary roles.csv
"""

import argparse
from pathlib import Path

from emtransfer.arguments import json_argument
from emtransfer.corpus.published_split import PublishedRoles, PublishedSplitSettings, published_roles, read_split
from emtransfer.corpus.roles import RoleSettings, split_questions
from emtransfer.corpus.rows import BROAD
from emtransfer.errors import counted, run
from emtransfer.files.records import read_records, write_records, write_table
from emtransfer.models.embedding import embed_texts
from emtransfer.settings import read_settings


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", required=True, help="name of the corpus in the config, for error messages")
    parser.add_argument(
        "--raw", type=Path, nargs="+", required=True, help="raw rows, one JSONL per cell, named {cell}.jsonl"
    )
    parser.add_argument(
        "--settings", type=json_argument, required=True, help="JSON or @FILE: the fields of RoleSettings"
    )
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument(
        "--output-folder", type=Path, required=True, help="folder for the {cell}.jsonl of each raw file"
    )
    parser.add_argument("--summary", type=Path, required=True, help="CSV: questions per cell and role")
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    cells = {path.stem: read_records(path) for path in args.raw}
    settings = read_settings(RoleSettings, args.settings)
    published = checked_split(cells, settings.published, args.corpus) if settings.published else None
    split, summary = split_questions(cells, settings, args.seed, args.corpus, embed_texts, published)
    for cell, rows in split.items():
        write_records(args.output_folder / f"{cell}.jsonl", rows)
    write_table(args.summary, summary)
    print(summary.to_string(index=False))


def checked_split(cells: dict[str, list[dict]], settings: PublishedSplitSettings, corpus: str) -> PublishedRoles:
    """The roles of a published split for the cells of the grid, with a line on what was not taken from it."""
    split = read_split(Path(settings.path))
    in_grid = {cell: rows for cell, rows in cells.items() if cell != BROAD}
    published = published_roles(in_grid, split, settings, corpus)
    for cell, n_unmatched in published.unmatched.items():
        print(
            f"{cell}: {counted(n_unmatched, 'question does', 'questions do')} not match {settings.path}; the seeded split gives their roles."
        )
    foreign = split.keys() - in_grid.keys()
    if foreign:
        print(f"Ignored cells of {settings.path} that are not in {corpus}: {', '.join(sorted(foreign))}.")
    return published


if __name__ == "__main__":
    run(main, parse_args())
