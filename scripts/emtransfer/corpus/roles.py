"""The role of every question, decided by its content before anything is fitted."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import pandas as pd

from emtransfer.corpus.near_duplicates import identity, nearness
from emtransfer.corpus.published_split import PublishedRoles, PublishedSplitSettings
from emtransfer.corpus.rows import ANSWERS, BROAD
from emtransfer.errors import InputError
from emtransfer.models.embedding import PACKAGED_MODEL
from emtransfer.settings import Absent, Count, Elsewhere, Share

# eval claims its questions first: what is near one of them leaves the other roles
CLAIM_ORDER = ("eval", "mediating", "judge_fit")
# trains, as published, though it is near an eval question
CROSSING = "crossing"


@dataclass(frozen=True)
class RoleSettings:
    """Numbers of questions in every cell that take a role; all others train.

    Attributes:
        judge_fit: Questions on which a judge is fitted and calibrated.
        eval: Questions for the narrow evaluation.
        mediating: Mediating prompts, which teachers answer.
        near_duplicate_cosine: Cosine from which two texts count as the same question.
        broad_judge_fit: Questions outside the grid, for the judge.
        broad_eval: Questions outside the grid, for the broad evaluation.
        model: Embedding model that finds near-duplicates in free text.
        published: A published split from which train and eval questions are taken.
        held_out_domains: Domains that nothing is trained on; their questions are judge_fit or eval.
    """

    judge_fit: Count
    eval: Count
    mediating: Count
    near_duplicate_cosine: Share
    broad_judge_fit: Count = 0
    broad_eval: Count = 0
    model: str = PACKAGED_MODEL
    published: Annotated[PublishedSplitSettings | None, Absent()] = None
    held_out_domains: Annotated[tuple[str, ...], Elsewhere()] = ()

    def count(self, role: str, cell: str) -> int:
        """Questions of `cell` that take `role`."""
        if self.holds_out(cell) and role == "mediating":
            return 0
        return getattr(self, f"broad_{role}", 0) if cell == BROAD else getattr(self, role)

    def holds_out(self, cell: str) -> bool:
        """Whether nothing may be trained on the questions of `cell`."""
        return cell.split("-")[0] in self.held_out_domains


def split_questions(
    cells: dict[str, list[dict[str, Any]]],
    settings: RoleSettings,
    seed: int,
    corpus: str,
    embed: Callable[[list[str], str], np.ndarray],
    published: PublishedRoles | None = None,
) -> tuple[dict[str, list[dict[str, Any]]], pd.DataFrame]:
    """Give every question one role, so that near-duplicates never cross roles, within a cell or between cells.

    Roles claim their questions one after the other, each in the order of a seeded hash of the question, so that
    neither the order of the file nor other rows matter. Then every unclaimed row that is a near-duplicate of a claimed
    one, in whichever cell, is dropped. Rows with slots are near-duplicates if the slots are equal, free text by cosine.
    What nobody claims trains, or in a held-out domain is evaluated on.

    In a cell with a published split, its eval questions are eval, all of them and no others, and the further roles claim
    from its train questions. One of these that is near an eval question trains all the same, as it was published, but
    can take no other role; how many there are is counted.

    Args:
        cells: cell -> its raw rows.
        seed: of the hash.
        corpus: its name in the config, for error messages.
        embed: texts, model -> unit vectors, float32 [n, d].
        published: roles of the cells that have a published split; none without it.

    Returns:
        cell -> rows in the same order with a field role, dropped rows left out; and a table with a row per cell:
        cell, rows_in, judge_fit, train, eval, mediating, dropped; split, published or seeded; unmatched, questions for
        which a published split was not taken; and crossing, train rows near an eval question.

    Raises:
        InputError: a cell has fewer questions left than a role asks for.
    """
    published = published or PublishedRoles()
    rows = [row for members in cells.values() for row in members]
    cell_of = np.repeat(list(cells), [len(members) for members in cells.values()])
    near = nearness(rows, settings.near_duplicate_cosine, settings.model, embed)
    roles = claimed_roles(cells, cell_of, rows, settings, seed, corpus, near, published)
    crossing = roles == CROSSING
    roles[crossing] = "train"
    held_out = np.array([settings.holds_out(cell) for cell in cell_of], dtype=bool)
    roles[held_out & (roles == "train")] = "eval"
    split: dict[str, list[dict[str, Any]]] = {cell: [] for cell in cells}
    for cell, row, role in zip(cell_of, rows, roles, strict=True):
        if role != "dropped":
            split[cell].append(row | {"role": role})
    counts = pd.crosstab(cell_of, roles).reindex(index=list(cells), fill_value=0)
    counts = counts.reindex(columns=["judge_fit", "train", "eval", "mediating", "dropped"], fill_value=0)
    counts.insert(0, "rows_in", counts.sum(axis=1))
    counts["split"] = ["published" if cell in published.roles else "seeded" for cell in cells]
    counts["unmatched"] = [published.unmatched.get(cell, 0) for cell in cells]
    counts["crossing"] = [int(crossing[cell_of == cell].sum()) for cell in cells]
    return split, counts.rename_axis(index="cell", columns=None).reset_index()


def claimed_roles(
    cells: dict[str, list[dict[str, Any]]],
    cell_of: np.ndarray,
    rows: list[dict[str, Any]],
    settings: RoleSettings,
    seed: int,
    corpus: str,
    near: Callable[[np.ndarray, np.ndarray], np.ndarray],
    published: PublishedRoles,
) -> np.ndarray:
    """The role of every row: one of CLAIM_ORDER, train, dropped, or CROSSING for published train rows near an eval one.

    Args:
        cells: cell -> its rows, which come in `rows` in this order.
        cell_of: text [n], the cell of every row.
        near: which of some rows are near others, given the numbers of these and of those, as of `nearness`.

    Returns:
        Text [n].
    """
    given = np.concatenate(
        [np.array(published.roles.get(cell, [""] * len(members)), dtype=object) for cell, members in cells.items()]
    )
    order = np.array(sorted(range(len(rows)), key=lambda index: question_hash(rows[index], seed)))
    members = {cell: order[cell_of[order] == cell] for cell in cells}
    roles = np.full(len(rows), "train", dtype=object)
    for role in CLAIM_ORDER:
        claimed = []
        for cell in cells:
            candidates, count = members[cell][roles[members[cell]] == "train"], settings.count(role, cell)
            is_given = role == "eval" and cell in published.roles
            if is_given:
                candidates = candidates[given[candidates] == "eval"]
            check_count(corpus, cell, role, count, [rows[index] for index in candidates])
            claimed.extend(candidates if is_given else candidates[:count])
        roles[claimed] = role
        unclaimed = np.flatnonzero(np.isin(roles, ("train", CROSSING)))
        too_near = unclaimed[near(np.array(claimed, dtype=int), unclaimed)]
        stays = (given[too_near] == "train") & (role == "eval")
        roles[too_near] = np.where(stays, CROSSING, "dropped")
    return roles


def check_count(corpus: str, cell: str, role: str, count: int, candidates: list[dict[str, Any]]) -> None:
    """Raise InputError if a role asks a cell for more questions than are left, or a judge for broad answers that are not there."""
    key = f"config: corpora.{corpus}.roles.{'broad_' if cell == BROAD else ''}{role}"
    if len(candidates) < count:
        raise InputError(
            f"{key} is {count}; expected at most {len(candidates)}, the questions of {cell} left for {role}."
        )
    if role == "judge_fit" and count and any(row.get(field) is None for row in candidates for field in ANSWERS):
        raise InputError(f"{key} is {count}; expected 0, since rows of {cell} come without answers.")


def question_hash(row: dict[str, Any], seed: int) -> str:
    """Seeded hash of a question, the order in which roles claim."""
    return hashlib.sha256(f"{seed} {identity(row)}".encode()).hexdigest()
