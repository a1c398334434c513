"""What a run will amount to, told from the config before it starts."""

from disk_use import disk_report
from emtransfer.grid.labels import Model
from gpu_hours import hour_report
from needed import needed
from processor_minutes import minute_report
from remote_costs import call_report


def report(config: dict, models: dict[str, list[Model]], n_processors: int) -> str:
    """Calls to remote models, GPU hours, processor minutes and disk use, in words.

    Args:
        config: as validated.
        models: experiment of the run -> its models.
        n_processors: of this machine.
    """
    text = call_report(config, models) + hour_report(config, models)
    text += minute_report(config, models, n_processors) + disk_report(config, models)
    need = needed(config, models)
    unknown = [name for name in need["corpus"] + need["prompts"] if is_unsized(config["corpora"][name])]
    note = f"{', '.join(unknown)}: only the rows that roles and samples name are counted.\n"
    return text + (note if unknown else "")


def is_unsized(corpus: dict) -> bool:
    """Whether the config does not say how many rows a corpus has."""
    return "rows_per_cell" not in corpus
