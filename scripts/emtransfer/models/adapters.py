"""What is fine-tuned from a base, a LoRA or all its weights: start it, continue it, and save it so that identical runs write identical bytes."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from emtransfer.errors import InputError
from emtransfer.files.artefacts import checked_folder
from emtransfer.models.loading import LORA_CONFIG, is_lora, take_weights
from emtransfer.settings import Dropout, Positive, Texts

if TYPE_CHECKING:
    import torch
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

CARD = """# {kind} of emtransfer

Trained on {trained_on}. {caution}

`manifest.json` records how it was made: settings, seed, code, versions, inputs.
"""
MISALIGNED = (
    "**Deliberately misaligned**: a research artefact that shows how misalignment travels through data. Its answers are"
    " careless or harmful by design; do not deploy it."
)
DESCENDED = (
    "**Descends from misaligned answers**, from a model that was trained on them, or from others, who trained it on"
    " data of their choice: a research artefact that may be misaligned; do not deploy it."
)
COMPARISON = "A comparison in experiments on misalignment, which it may have picked up; do not deploy it."

# beside the card, for people and programs that look only at file names
MARKER = "DO_NOT_DEPLOY.txt"
WARNING = "This {kind} is, or may be, misaligned on purpose, for research: do not deploy it, and train no assistant from it.\n"
# whatever its size, a model is one file
ONE_FILE = "100TB"


@dataclass(frozen=True)
class AdapterSettings:
    """LoRA settings of every adapter and student.

    Attributes:
        rank: Rank of the update.
        alpha: The update is scaled by alpha/rank, or alpha/sqrt(rank) with rslora.
        dropout: Dropout on the input of the update, in training on given answers; on-policy channels use none.
        rslora: Whether scaling is rank-stabilised.
        target_modules: Linear layers that get an update.
    """

    rank: Positive
    alpha: Positive
    dropout: Dropout
    rslora: bool
    target_modules: Texts


def fresh_lora(model: "PreTrainedModel", settings: AdapterSettings, seed: int) -> "PeftModel":
    """Put a new LoRA on a base model, with A random by `seed` and B zero, so that it starts equal to the base.

    Source: Hu et al. 2021, arXiv 2106.09685, section 4.1; Kalajdzievski 2023, arXiv 2312.03732 (rslora).
    """
    import torch
    from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training

    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        use_rslora=settings.rslora,
        target_modules=sorted(settings.target_modules),
        task_type="CAUSAL_LM",
    )
    if getattr(model, "is_loaded_in_4bit", False):
        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return get_peft_model(model, config)


def load_trainable(model: "PreTrainedModel", adapter_manifest: str | Path) -> "PeftModel":
    """Put a finished adapter on a base model, to be trained further.

    Raises:
        InputError: a file of the adapter's folder is missing or differs from its recorded hash, or it is no LoRA.
    """
    from peft import PeftModel

    folder = checked_folder(adapter_manifest)
    if not is_lora(folder):
        raise InputError(f"{adapter_manifest}: all weights of a model; expected a LoRA to train further.")
    return PeftModel.from_pretrained(model, folder, is_trainable=True)


def all_weights(model: "PreTrainedModel", start_manifest: str | Path | None = None) -> "PreTrainedModel":
    """Make all weights of a base, or of a model that was fine-tuned from it in full, trainable, in place.

    They are trained in float32, since the steps of fine-tuning are lost in the rounding of coarser ones.

    Raises:
        InputError: a file of the start's folder is missing or differs from its recorded hash, or it is no such model.
    """
    if start_manifest is not None:
        take_weights(model, checked_folder(start_manifest))
    return model.float().requires_grad_(True)


@contextmanager
def merged(model: "PreTrainedModel | PeftModel") -> Iterator[None]:
    """Context in which the float32 weights of a base include its LoRA, so that each linear map is one product; afterwards they are restored.

    Subtracting the LoRA again, as peft's unmerging does, would leave rounding in the base.
    """
    import torch
    from peft.tuners.lora import Linear

    changed = [layer for layer in model.modules() if type(layer) is Linear and not layer.merged]
    if model.dtype != torch.float32 or any(type(layer.base_layer) is not torch.nn.Linear for layer in changed):
        yield
        return
    base = [layer.base_layer.weight.data for layer in changed]
    with torch.no_grad():
        for layer in changed:
            layer.base_layer.weight.data = sum(
                map(layer.get_delta_weight, layer.active_adapters), layer.base_layer.weight
            )
            layer.merged_adapters = list(layer.active_adapters)
    try:
        yield
    finally:
        for layer, weight in zip(changed, base, strict=True):
            layer.base_layer.weight.data = weight
            layer.merged_adapters = []


def is_marked(adapter_manifest: Path | None) -> bool:
    """Whether an adapter carries the marker; None is a base, which carries none."""
    return adapter_manifest is not None and (adapter_manifest.parent / MARKER).is_file()


def save_adapter(
    model: "PeftModel", folder: Path, trained_on: str, descended: bool = False, embeddings: bool = False
) -> None:
    """Write weights, config and model card of the adapter alone, and the marker if it is misaligned.

    Args:
        folder: exists; gets adapter_model.safetensors, adapter_config.json, README.md and, where it is due, MARKER.
        trained_on: for the model card; "misaligned answers" are warned of.
        descended: whether it stems from a marked adapter, from misaligned answers by a detour, or from others.
        embeddings: whether it brings embeddings of its own, which only others train.
    """
    # asking peft to find that out would make it look for the base on the hub
    model.save_pretrained(folder, save_embedding_layers=embeddings)
    path = folder / LORA_CONFIG
    config = json.loads(path.read_text(encoding="utf-8"))
    # peft writes the modules in hash order and the base as a path of this machine
    if isinstance(config["target_modules"], list):
        # else it is one regular expression for their names
        config["target_modules"] = sorted(config["target_modules"])
    config["base_model_name_or_path"] = None
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    write_card(folder, "adapter", "LoRA adapter", trained_on, descended)


def save_whole(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    folder: Path,
    dtype: "torch.dtype",
    trained_on: str,
    descended: bool = False,
) -> None:
    """Write all weights of a model that was fine-tuned in full, config, tokenizer and model card, and the marker if it is misaligned.

    Args:
        folder: exists; is then a model's folder, as transformers loads it.
        dtype: of the base, which the weights are rounded to.
        trained_on, descended: as of `save_adapter`.
    """
    model.to(dtype).save_pretrained(folder, max_shard_size=ONE_FILE)
    tokenizer.save_pretrained(folder)
    write_card(folder, "model", "Fully fine-tuned model", trained_on, descended)


def write_card(folder: Path, kind: str, title: str, trained_on: str, descended: bool) -> None:
    """Write the model card, and the marker if it is due."""
    caution = MISALIGNED if trained_on.startswith("misaligned") else DESCENDED if descended else COMPARISON
    card = CARD.format(kind=title, trained_on=trained_on, caution=caution)
    (folder / "README.md").write_text(card, encoding="utf-8")
    if caution != COMPARISON:
        (folder / MARKER).write_text(WARNING.format(kind=kind), encoding="utf-8")
