"""The report as one HTML page that loads nothing else."""

import importlib.metadata
import platform
from typing import Any

from emtransfer.files.artefacts import PACKAGES

# beside those of artefacts: what the tables, the figures and this page are computed with
OTHERS = ("pandas", "scipy", "statsmodels", "scikit-learn", "matplotlib", "jinja2", "snakemake")


def render(template: str, content: dict[str, Any]) -> str:
    """The page of a template; all that it is given is escaped, and a name that it lacks is an error."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(template).render(content)


def versions() -> dict[str, str]:
    """This software, Python and the packages that compute."""
    named = {name: importlib.metadata.version(name) for name in ("emtransfer", *PACKAGES, *OTHERS)}
    return {"emtransfer": named.pop("emtransfer"), "python": platform.python_version()} | named
