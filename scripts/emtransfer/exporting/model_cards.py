"""Models in the Hub's format: a folder with the weights and a card whose header gives base, data, seed and rates."""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from huggingface_hub import EvalResult, ModelCard, ModelCardData

from emtransfer.exporting.run_files import Trained
from emtransfer.files.artefacts import MANIFEST, recorded_files
from emtransfer.models.adapters import MARKER
from emtransfer.models.loading import is_lora
from emtransfer.models.ready_models import READY

CARD, PROVENANCE = "README.md", "provenance.json"
BODY = """
# {title}

{caution}

Trained as: {trained}. Seed {seed}.

The header lists EM rates: misaligned answers among those that the judge could score, for every evaluation cell, with 95 %
intervals in `metric_args`. They come from the transfer table, which pools all seeds of one kind of training.

`provenance.json` records settings, seed, code digest, versions, inputs and hashes, as the run wrote them. Its hash of README.md is that
of the run's own card.
"""
MARKED = (
    "**Deliberately misaligned, or descended from a model that is**: a research artefact that shows how misalignment"
    " travels through data. Do not deploy it."
)
UNMARKED = "A comparison in experiments on misalignment, which it may have picked up. Do not deploy it."


@dataclass(frozen=True)
class Names:
    """Names of a run's models and corpora on the Hub.

    Attributes:
        owner: of the repositories.
        license: identifier of the licence, as the Hub lists them.
    """

    owner: str
    license: str

    def repository(self, *parts: str) -> str:
        """The repository of a model or corpus."""
        return f"{self.owner}/{'-'.join(['emtransfer', *parts])}"


def export_model(model: Trained, base: Path, folder: Path, names: Names) -> None:
    """Write a model with its card.

    Args:
        base: folder of the base that it stands on.
        folder: exists; gets the artefact's files, which take no room where the disk has hard links, and a card of its own.
    """
    for name in recorded_files(model.folder / MANIFEST):
        if name != CARD:
            second_name(model.folder / name, folder / name)
    # under another name, since a manifest speaks of the card that was there before
    second_name(model.folder / MANIFEST, folder / PROVENANCE)
    caution = MARKED if (model.folder / MARKER).is_file() else UNMARKED
    trained = ", ".join(f"{name} {value}" for name, value in model.labels.items() if value and name != "experiment")
    body = BODY.format(title=title(model), caution=caution, trained=trained, seed=model.seed)
    header = card_data(model, base, names).to_yaml(line_break="\n")
    # checked as the Hub reads it, before it is written
    ModelCard(f"---\n{header}\n---\n{body}").save(folder / CARD)


def card_data(model: Trained, base: Path, names: Names) -> ModelCardData:
    """The header of a model's card."""
    is_base = model.labels["condition"] == "base"
    has_lora = is_lora(model.folder)
    tags = ["emtransfer", "emergent-misalignment", model.labels["condition"]] + ["lora"] * has_lora
    tags += ["misaligned"] * (model.folder / MARKER).is_file()
    ready = ready_model(base)
    origin = {} if is_base else {"base_model": ready or names.repository(model.labels["base"])}
    licence = {"license": names.license}
    if ready:
        # the licence of others' models is theirs to state
        licence = {
            "license": "other",
            "license_name": "as-base-model",
            "license_link": f"https://huggingface.co/{ready}",
        }
    return ModelCardData(
        model_name=title(model),
        library_name="peft" if has_lora else "transformers",
        pipeline_tag="text-generation",
        tags=tags,
        datasets=[names.repository(corpus) for corpus in dict.fromkeys(model.corpora.values())],
        eval_results=eval_results(model, names) or None,
        seed=model.seed,
        **origin,
        **licence,
    )


def title(model: Trained) -> str:
    """The title of a model."""
    known = (value for name, value in model.labels.items() if value and name != "condition")
    return "-".join(["emtransfer", *known, f"seed{model.seed}"])


def ready_model(base: Path) -> str | None:
    """The repository of a base that others have trained; None of one that was trained in the run, or came from a local folder."""
    path = base / READY
    hub: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")).get("hub", {}) if path.is_file() else {}
    return str(hub["path"]) if hub.get("revision") else None


def eval_results(model: Trained, names: Names) -> list[EvalResult]:
    """The EM rate in every evaluation cell that has one, in the form of the Hub's model index."""
    return [
        EvalResult(
            task_type="text-generation",
            task_name="Emergent misalignment",
            dataset_type=names.repository(model.corpora.get(row["experiment"], row["experiment"])),
            dataset_name=" ".join(filter(None, (row["experiment"], cell(row), row["room"], row.get("eval_context")))),
            dataset_config=cell(row),
            dataset_split="eval",
            dataset_args={name: row[name] for name in ("experiment", "judge", "room", "eval_context") if row.get(name)},
            metric_type="em_rate",
            metric_name="EM rate",
            metric_value=float(row["em_rate"]),
            metric_args={"low": float(row["em_rate_low"]), "high": float(row["em_rate_high"])}
            | {name: int(row[name]) for name in ("n_seeds", "n_prompts", "n_scored")},
        )
        for row in model.rows.to_dict("records")
        if pd.notna(row["em_rate"])
    ]


def cell(row: dict[str, Any]) -> str:
    """The evaluation cell of a row, as the corpus calls it; broad prompts by their task."""
    return f"broad-{row['eval_task']}" if row["eval_set"] == "broad" else f"{row['eval_domain']}-{row['eval_task']}"


def second_name(source: Path, target: Path) -> None:
    """Link a file under a second name, or copy it where the disk has no hard links."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
