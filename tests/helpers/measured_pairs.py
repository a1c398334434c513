"""A grid of one base and the adapters of one cell, and files of what was measured on given answers."""

from pathlib import Path

from emtransfer.files.records import write_records

# domain-task cells of a 2 × 2 grid, the first is trained on
CELLS = ("medical-advice", "finance-advice", "medical-tutor", "finance-tutor")
N_PROMPTS = 4
BASE = "bases/b0"
ADAPTER = "adapters/b0/base/medical-advice/{answers}/seed{seed}"


def grid_config(answers: tuple[str, ...] = ("misaligned",)) -> dict:
    """The grid of experiment `nl`: base b0, and of each kind of answers two adapters."""
    adapters = [
        {"base": "b0", "start": "base", "train_sets": ["medical-advice"], "answers": name, "seeds": [1, 2]}
        for name in answers
    ]
    return {
        "run": ["nl"],
        "corpora": {"c": {"domains": ["medical", "finance"], "tasks": ["advice", "tutor"]}},
        "bases": {"b0": {"base_model": "m", "mixture": "mix"}},
        "experiments": {
            "nl": {"corpus": "c", "train_sets": {}, "adapters": adapters, "teachers": {}, "students": []},
        },
    }


def version_rows(exact: dict[str, int], loss: float, cells: tuple[str, ...] = CELLS) -> list[dict]:
    """Neutral versions of every cell, their answers of ten tokens; of a cell so many answers are exact, by default all.

    Args:
        loss: of the first version of a cell, nats per token; each later one has .01 more.
    """
    rows = []
    for cell in cells:
        domain, task = cell.split("-")
        for number in range(N_PROMPTS):
            name = f"{cell}-{number}"
            rows.append(
                {"prompt_id": name, "domain": domain, "task": task, "neutral_id": name}
                | {"neutral_nats": -10 * (loss + number / 100), "neutral_tokens": 10}
                | {"neutral_exact": number < exact.get(cell, N_PROMPTS)}
            )
    return rows


def write_measured(folder: Path, rows_of: dict[str, list[dict]]) -> None:
    """Write the rows of every model of the experiment, by its path."""
    for path, rows in rows_of.items():
        target = folder / "nl" / "preferences" / f"{path}.jsonl"
        target.parent.mkdir(parents=True, exist_ok=True)
        write_records(target, rows)
