"""Adapters that others have trained: fetched, loaded on their base, and saved like our own."""

from pathlib import Path
from typing import TYPE_CHECKING

from emtransfer.errors import InputError, counted
from emtransfer.files.hub import hub_folder
from emtransfer.settings import Repository

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


def load_published(key: str, settings: Repository, model: "PreTrainedModel") -> tuple["PeftModel", bool]:
    """Put an adapter of others on the base it was trained on.

    Args:
        key: config key of the adapter, for error messages.

    Returns:
        The base with the adapter, and whether that brings embeddings of its own.

    Raises:
        InputError: the adapter cannot be obtained, is not a PEFT folder with safetensors, or was trained on another model.
    """
    from peft import PeftModel
    from safetensors import SafetensorError

    folder = hub_folder(f"{key}.path", settings.path, settings.revision, (CONFIG, WEIGHTS))
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            # a trainer's output folder has one in every checkpoint
            inner = sorted(path.parent.name for path in folder.glob(f"*/{name}"))
            hint = f"; there is one in {', '.join(inner)}, of which the path may name one" if inner else ""
            raise InputError(f"config: {key}.path is {settings.path}; expected a PEFT folder with {name}{hint}.")
    try:
        adapted = PeftModel.from_pretrained(model, folder, use_safetensors=True)
    except (RuntimeError, ValueError, TypeError, KeyError, SafetensorError) as error:
        raise InputError(
            f"config: {key}.path is {settings.path}; expected an adapter of its base: {' '.join(str(error).split())[:200]}"
        ) from None
    return adapted, has_embeddings(key, settings, folder, adapted)


def has_embeddings(key: str, settings: Repository, folder: Path, adapted: "PeftModel") -> bool:
    """Whether an adapter's file holds whole embeddings too, which peft writes where they were trained or are a target.

    Raises:
        InputError: the model has not taken over every weight of the file, or others were made up.
    """
    from peft import get_peft_model_state_dict
    from safetensors import safe_open

    with safe_open(folder / WEIGHTS, "pt") as file:
        published = set(file.keys())
    unlike = {
        whole: sorted(published ^ set(get_peft_model_state_dict(adapted, save_embedding_layers=whole)))
        for whole in (False, True)
    }
    fitting = [whole for whole, names in unlike.items() if not names]
    if not fitting:
        raise InputError(
            f"config: {key}.path is {settings.path}; expected weights of the layers that its base has; "
            f"{counted(len(unlike[False]), 'is', 'are')} in only one of the two, such as {unlike[False][0]}."
        )
    return fitting[0]
