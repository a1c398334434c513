"""Location of an answer in Inspect's browser: the log of its model, and the address of its sample."""

import re
from urllib.parse import quote


def log_path(experiment: str, model: str) -> str:
    """The log of a model, all seeds of it, below the folder of logs; `model` is its path in the grid."""
    return f"{experiment}/{re.sub(r'/seed[0-9]+$', '', model)}.eval"


def sample_link(experiment: str, model: str, prompt_id: str) -> str:
    """Address of the first answer to a prompt with its scores and the base's answer, from the folder of results on."""
    return (
        f"inspect/index.html#/logs/{log_path(experiment, model)}/samples/sample/{quote(prompt_id, safe='')}/1/scoring"
    )
