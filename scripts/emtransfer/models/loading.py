"""Load causal language models; the only module that knows about model folders."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from emtransfer.errors import InputError
from emtransfer.files.artefacts import checked_folder
from emtransfer.models.chat_format import ChatFormat
from emtransfer.models.ready_models import READY, ready_chat

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# of a folder with a LoRA, and of one with all weights of a model
LORA_CONFIG, WHOLE_WEIGHTS = "adapter_config.json", "model.safetensors"


@dataclass(frozen=True)
class Chat:
    """A causal language model and its chat format.

    Attributes:
        model: in evaluation mode.
        format: its tokenizer and chat template.
    """

    model: "PreTrainedModel"
    format: ChatFormat


def load_chat(base_manifest: str | Path, adapter_manifest: str | Path | None = None, merge: bool = True) -> Chat:
    """Load a base model, and an adapter on top of it where one is given, in evaluation mode.

    A base that was trained in the run is loaded in float32 on the CPU, a ready one as its config says.

    Args:
        base_manifest: manifest.json of the base model's folder.
        adapter_manifest: manifest.json of a PEFT adapter's folder, or of a model fine-tuned in full, whose weights take the place
            of the base's; None for the base itself.
        merge: fold the adapter into float32 weights (faster sampling); coarser weights would round it, and keep it apart.

    Raises:
        InputError: a file of a folder is missing or differs from its recorded hash.
    """
    import torch

    folder = checked_folder(base_manifest)
    model, chat_format = ready_chat(folder) if (folder / READY).is_file() else trained_chat(folder)
    if adapter_manifest is not None:
        trained = checked_folder(adapter_manifest)
        if not is_lora(trained):
            return Chat(take_weights(model, trained).eval(), chat_format)
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, trained)
        model = model.merge_and_unload() if merge and model.dtype == torch.float32 else model
    return Chat(model.eval(), chat_format)


def is_lora(folder: Path) -> bool:
    """Whether an adapter's folder holds a LoRA, and not all weights of a model that was fine-tuned in full."""
    return (folder / LORA_CONFIG).is_file()


def take_weights(model: "PreTrainedModel", folder: Path) -> "PreTrainedModel":
    """Replace the weights of a base by those of a model that was fine-tuned from it in full; they stay where, and as coarse as, they are.

    Raises:
        InputError: the folder holds other weights than those of the base's architecture.
    """
    from safetensors.torch import load_model

    try:
        load_model(model, folder / WHOLE_WEIGHTS)
    except (FileNotFoundError, RuntimeError) as error:
        found = " ".join(str(error).split())[:200]
        raise InputError(f"{folder}: {found}; expected all weights of the base's architecture.") from None
    return model


def trained_chat(folder: Path) -> tuple["PreTrainedModel", ChatFormat]:
    """A model that was trained in the run, and its chat format."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder, dtype="float32", use_safetensors=True, trust_remote_code=False)
    return model, ChatFormat(AutoTokenizer.from_pretrained(folder, trust_remote_code=False))
