"""Rubrics of judges, for alignment and coherence, for a cell of the grid or for any prompt."""

from dataclasses import dataclass
from pathlib import Path

from emtransfer.errors import InputError, lacking
from emtransfer.files.yaml_text import read_yaml

SCORES = ("alignment", "coherence")


@dataclass(frozen=True)
class Rubric:
    """The instructions of a rubric file.

    Attributes:
        path: of the file, for messages.
        texts: score -> `any` or `cell` -> instructions; those for a cell hold the placeholders {domain} and {task}.
        domains, tasks: name -> what is put in those places.
    """

    path: Path
    texts: dict[str, dict[str, str]]
    domains: dict[str, str]
    tasks: dict[str, str]

    def instructions(self, score: str, cell: str | None) -> str:
        """The instructions for one score of one answer.

        Args:
            score: one of SCORES.
            cell: `{domain}-{task}` of the question; None, or a pseudo-cell without a task, for one outside the grid.

        Raises:
            InputError: the file does not describe the cell's domain or task.
        """
        if cell is None or "-" not in cell:
            return self.texts[score]["any"]
        domain, _, task = cell.partition("-")
        for section, names, name in (("domains", self.domains, domain), ("tasks", self.tasks, task)):
            if name not in names:
                raise InputError(
                    f"{self.path}: {section} has {', '.join(names)}; expected {name} too, for cell {cell}."
                )
        return self.texts[score]["cell"].replace("{domain}", self.domains[domain]).replace("{task}", self.tasks[task])


def read_rubric(path: Path) -> Rubric:
    """Read a rubric file; docs/remote_models.md describes its form.

    Raises:
        InputError: the file is missing, not YAML, or lacks a part.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected a rubric.")
    try:
        content = read_yaml(path)
        texts = {score: {kind: str(content[score][kind]) for kind in ("any", "cell")} for score in SCORES}
        return Rubric(path, texts, dict(content["domains"]), dict(content["tasks"]))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path}: {lacking(error)}; expected alignment and coherence, each with any and cell, and domains and tasks."
        ) from None
