"""What a run will amount to, told from the config before it starts."""

from disk_use import disk_report
from emtransfer.grid import Model
from gpu_hours import hour_report
from remote_costs import call_report


def report(config: dict, models: dict[str, list[Model]]) -> str:
    """Calls to remote models, GPU hours and disk use, in words; `models` by experiment of the run."""
    return call_report(config, models) + hour_report(config, models) + disk_report(config, models)
