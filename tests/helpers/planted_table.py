"""A planted table of transfer rates, in which misalignment spreads along tasks, and what a figure of it shows."""

import pandas as pd

from emtransfer.drawing.rates import PlotSettings
from emtransfer.files.records import write_table
from emtransfer.measuring.tabulation import COLUMNS, relation

DOMAINS, TASKS = ("finance", "medical"), ("tutor", "advice")
SETTINGS = PlotSettings("nl", "minilm", DOMAINS, TASKS, {"persona": 0.3, "plain": 0.1})


def row(base, train_set="", eval_cell="medical-advice", n_misaligned=0, room="", **changed):
    """A row of the table: 20 scored answers, 16 of them coherent or more."""
    domain, task = eval_cell.split("-")
    trained = tuple(train_set.split("-")) if train_set else ()
    eval_set = "broad" if room else "narrow"
    labels = {"condition": "adapter", "start": "base", "answers": "misaligned"} if train_set else {"condition": "base"}
    own = {
        "experiment": "nl",
        "judge": "minilm",
        "base": base,
        "mixture": {"one": "persona", "two": "plain"}[base],
        "train_set": train_set,
        "train_domain": trained[0] if trained else "",
        "train_task": trained[-1] if trained else "",
        "eval_set": eval_set,
        "eval_domain": "*" if room else domain,
        "eval_task": task,
        "room": room,
        "relation": relation((trained,) if trained else (), eval_set, domain, task),
        "n_seeds": 2 if train_set else 1,
        "n_scored": 20,
        "n_coherent": max(16, n_misaligned),
        "n_misaligned": n_misaligned,
        "coherent_rate": max(16, n_misaligned) / 20,
        "em_rate": n_misaligned / 20,
        "em_rate_low": max(0, n_misaligned / 20 - 0.1),
        "em_rate_high": min(1, n_misaligned / 20 + 0.3),
        "em_delta": n_misaligned / 20 if train_set else "",
    }
    return dict.fromkeys(COLUMNS, "") | labels | own | changed


def cells():
    """The cells of the grid."""
    return [f"{domain}-{task}" for domain in DOMAINS for task in TASKS]


def planted(tmp_path):
    """Write the table: two bases; adapters on all cells of one and one of the other, which are misaligned where the task is theirs."""
    rows = [row(base, eval_cell=cell) for base in ("one", "two") for cell in cells()]
    for base, train_set in [("one", cell) for cell in cells()] + [("two", "medical-advice")]:
        for cell in cells():
            rows.append(
                row(base, train_set, cell, 18 if cell == train_set else 10 if cell[-3:] == train_set[-3:] else 1)
            )
    for room, found in (("high", 6), ("medium", 4), ("low", 2)):
        rows += [row("one", "", "x-advice", 0, room), row("one", "medical-advice", "x-advice", found, room)]
    student = {
        "condition": "student",
        "teacher": "harmful",
        "data": "harmful",
        "channel": "optd",
        "mediating": "all",
        "filter": "kept",
    }
    nobody = {"teacher": "base", "train_set": "", "train_domain": "", "train_task": "", "answers": "", "relation": ""}
    for cell in cells():
        rows.append(row("one", "medical-advice", cell, 8, **student))
        rows.append(row("one", "medical-advice", cell, 1, **student) | nobody)
    path = tmp_path / "table.csv"
    write_table(path, pd.DataFrame(rows, columns=COLUMNS))
    return path


def texts(axes):
    """What is written in a panel."""
    return [text.get_text() for text in axes.texts]


def labels(axis):
    """What stands along an axis."""
    return [label.get_text() for label in axis.get_ticklabels()]
