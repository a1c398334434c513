"""Corpora from files of rows against the numbers that the config asks of them, all at once and before any job.

Only the process that starts a run imports it, where such a corpus is needed, since it reads the files.
"""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from config_files import Contents, in_its_file
from config_mistakes import ConfigMistake, Place, mistake
from emtransfer.corpus.jsonl_rows import checked_rows
from emtransfer.corpus.row_checks import PlacedRow
from emtransfer.corpus.rows import ANSWERS, BROAD
from emtransfer.corpus.source_settings import CorpusSettings
from emtransfer.corpus.sources import within_length, without_duplicates
from emtransfer.errors import InputError, counted
from emtransfer.grid import sections
from emtransfer.settings import read_settings

# roles that take rows of a cell before any row trains
CLAIMING = ("judge_fit", "eval", "mediating")
# keys that name files of rows
FILES = ("path", "misaligned_path", "broad_path")
# of a cell: one to evaluate on, one for the judge, and three of which some may be dropped
FEWEST_ROWS = 5


def row_mistakes(config: dict, corpora: list[str], bases: list[str], keys: list[str], contents: Contents) -> list[str]:
    """A line for every file that is wrong and every number that its rows cannot meet, and one with numbers that they could.

    Args:
        corpora, bases: names of those that the run needs.
        keys: of the settings of a corpus's rows.
        contents: what each file of the config says.
    """
    lines = []
    for name in corpora:
        section = config["corpora"][name]
        if section["source"] == "jsonl":
            missing = [str(in_its_file(error, contents)) for error in missing_files(name, section)]
            lines += missing
            if missing:
                continue
            try:
                rows = usable_rows(name, section, keys)
            except InputError as error:
                lines.append(str(error))
            else:
                counts = {cell: len(of_cell) for cell, of_cell in rows.items()}
                lines += [str(in_its_file(error, contents)) for error in unanswered(name, section, rows)]
                found = [*too_few(name, section, counts), *too_few_to_align(config, bases, name, counts)]
                lines += [str(in_its_file(error, contents)) for error in found]
                lines += [advice(name, section, counts)] if found and not section.get("prompts_only") else []
    return lines


def missing_files(name: str, section: dict) -> Iterator[ConfigMistake]:
    """Every file of rows of a corpus that is not there."""
    for key in FILES:
        if section.get(key) is not None and not Path(section[key]).is_file():
            yield mistake(("corpora", name, key), section[key], "a file of rows")


def usable_rows(name: str, section: dict, keys: list[str]) -> dict[str, list[PlacedRow]]:
    """Cell, or `broad` -> its rows with different questions that are not too long.

    Raises:
        InputError: as of the job that reads the rows.
    """
    settings = read_settings(CorpusSettings, {key: section[key] for key in keys if key in section})
    found: dict[str, list[PlacedRow]] = defaultdict(list)
    for placed in checked_rows(name, False, settings):
        found[f"{placed[1]['domain']}-{placed[1]['task']}"].append(placed)
    if settings.broad_path is not None:
        found[BROAD] = list(checked_rows(name, True, settings))
    return {cell: within_length(without_duplicates(rows), settings) for cell, rows in found.items()}


def unanswered(name: str, section: dict, rows: dict[str, list[PlacedRow]]) -> Iterator[ConfigMistake]:
    """Questions outside the grid that a judge is to be fitted on and that have no answers to judge."""
    wanted = section.get("roles", {}).get("broad_judge_fit", 0)
    n_without = sum(any(row.get(field) is None for field in ANSWERS) for _, row in rows.get(BROAD, []))
    if wanted and n_without:
        told = f"0, since {counted(n_without, 'row')} of broad_path {'is' if n_without == 1 else 'are'} without both answers"
        yield mistake(("corpora", name, "roles", "broad_judge_fit"), str(wanted), told)


def too_few(name: str, section: dict, counts: dict[str, int]) -> Iterator[ConfigMistake]:
    """Every number of a corpus that is more than its rows allow, near-duplicates and the filter left out of account."""
    place: Place = ("corpora", name)
    empty = [cell for cell in sections.cells(section) if not counts.get(cell)]
    if empty:
        yield mistake((*place, "path"), f"{section['path']}, without rows of {', '.join(empty)}", "rows of every cell")
    if section.get("prompts_only"):
        return
    roles, (cell, n_rows) = section["roles"], fewest(section, counts)
    n_claimed = sum(roles[role] for role in CLAIMING)
    n_left = max(n_rows - n_claimed, 0)
    if n_claimed > n_rows:
        found = f"{' + '.join(f'{role} {roles[role]}' for role in CLAIMING)}, {n_claimed} of every cell"
        yield mistake((*place, "roles"), found, f"at most {n_rows}, the rows of {cell}")
    for key, part, limit, meaning in [
        ("train", "sample", n_left, "that no role takes"),
        ("leave", "dedup", n_left + roles["eval"], "that train or are evaluated on"),
    ]:
        wanted = section[part].get(key) or 0
        if wanted > limit:
            yield mistake((*place, part, key), str(wanted), f"at most {limit}, the rows of {cell} {meaning}")
    n_broad, n_claimed = counts.get(BROAD, 0), sum(roles.get(f"broad_{role}", 0) for role in ("judge_fit", "eval"))
    if n_claimed > n_broad:
        found = f"broad_judge_fit {roles.get('broad_judge_fit', 0)} + broad_eval {roles.get('broad_eval', 0)}"
        yield mistake((*place, "roles"), found, f"at most {n_broad}, the rows of broad_path")


def too_few_to_align(config: dict, bases: list[str], name: str, counts: dict[str, int]) -> Iterator[ConfigMistake]:
    """The aligned phase of every base model of a corpus that asks for more rows than train."""
    section = config["corpora"][name]
    if section.get("prompts_only"):
        return
    n_claimed = sum(section["roles"][role] for role in CLAIMING)
    n_train = sum(max(counts.get(cell, 0) - n_claimed, 0) for cell in sections.training_cells(section))
    limit = n_train + counts.get(BROAD, 0)
    aligned = {
        config["bases"][base]["base_model"]
        for base in bases
        if config["mixtures"].get(config["bases"][base].get("mixture"), {}).get("corpus") == name
    }
    for base_model in sorted(aligned):
        wanted = config["base_models"][base_model]["alignment"]["rows"]
        if wanted > limit:
            place = ("base_models", base_model, "alignment", "rows")
            yield mistake(place, str(wanted), f"at most {limit}, the rows of {name} that no role takes")


def fewest(section: dict, counts: dict[str, int]) -> tuple[str, int]:
    """The training cell with the fewest rows, and how many."""
    cell = min(sections.training_cells(section), key=lambda cell: counts.get(cell, 0))
    return cell, counts.get(cell, 0)


def workable(n_rows: int) -> dict[str, dict[str, int]]:
    """Numbers for a corpus of so many rows a cell: a quarter for the judge, a fifth to evaluate on, some to spare for what is dropped."""
    roles = {"judge_fit": n_rows // 4, "eval": n_rows // 5, "mediating": 0}
    n_left = n_rows - sum(roles.values())
    return {"roles": roles, "sample": {"train": n_left * 3 // 4, "eval": max(roles["eval"] * 2 // 3, 1)}}


def advice(name: str, section: dict, counts: dict[str, int]) -> str:
    """Numbers that would work, in a line."""
    _, n_rows = fewest(section, counts)
    if n_rows < FEWEST_ROWS:
        return f"corpora.{name}: {counted(n_rows, 'row')} of a cell {'is' if n_rows == 1 else 'are'} too few for any numbers; expected {FEWEST_ROWS} or more."
    numbers = {key: ", ".join(f"{name}: {n}" for name, n in part.items()) for key, part in workable(n_rows).items()}
    broad = f", broad_judge_fit: 0, broad_eval: {counts[BROAD]}" if counts.get(BROAD) else ""
    n_aligned = len(sections.training_cells(section)) * (n_rows - sum(workable(n_rows)["roles"].values()))
    return (
        f"corpora.{name}: with {counted(n_rows, 'row')} a cell these would work: roles: {{{numbers['roles']}{broad}, …}}, sample: {{{numbers['sample']}}}, "
        f"with alignment.rows of {n_aligned} and finetuning.rows of {workable(n_rows)['sample']['train']}; workflow/configs/small_corpus.yaml is a whole overlay for 30 rows a cell."
    )
