"""Load causal language models; the only module that knows about model folders."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from emtransfer.files.artefacts import checked_folder
from emtransfer.models.chat_format import ChatFormat
from emtransfer.models.ready_models import READY, ready_chat

if TYPE_CHECKING:
    from transformers import PreTrainedModel


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
        adapter_manifest: manifest.json of a PEFT adapter's folder, or None for the base itself.
        merge: fold the adapter into float32 weights (faster sampling); coarser weights would round it, and keep it apart.

    Raises:
        InputError: a file of a folder is missing or differs from its recorded hash.
    """
    import torch

    folder = checked_folder(base_manifest)
    model, chat_format = ready_chat(folder) if (folder / READY).is_file() else trained_chat(folder)
    if adapter_manifest is not None:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, checked_folder(adapter_manifest))
        model = model.merge_and_unload() if merge and model.dtype == torch.float32 else model
    return Chat(model.eval(), chat_format)


def trained_chat(folder: Path) -> tuple["PreTrainedModel", ChatFormat]:
    """A model that was trained in the run, and its chat format."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder, dtype="float32", use_safetensors=True, trust_remote_code=False)
    return model, ChatFormat(AutoTokenizer.from_pretrained(folder, trust_remote_code=False))
