"""Folders of models that others have trained: fetched without pickles and code, and refused where weights are pickled."""

from pathlib import Path

from emtransfer.errors import InputError
from emtransfer.hub import hub_folder

# all that is fetched from a repository: weights as safetensors, and what describes model and tokenizer
FILES = ("*.safetensors", "*.json", "*.jinja", "*.txt", "*.model")
# names under which the libraries look for pickled weights, which they would unpickle
PICKLED = ("pytorch_model*.bin", "adapter_model.bin")


def safetensors_folder(key: str, name: str) -> Path:
    """The local folder of a model, whose weights are safetensors, all of them.

    Args:
        key: what names the model, for error messages.
        name: a local folder or a hub name.

    Raises:
        InputError: the model cannot be had, or some of its weights are there as a pickle only.
    """
    folder = hub_folder(key, name, None, FILES)
    safe = {path.parent for path in folder.rglob("*.safetensors")}
    pickled = sorted(path for pattern in PICKLED for path in folder.rglob(pattern) if path.parent not in safe)
    if pickled or not safe:
        found = f", with {pickled[0].relative_to(folder)}" if pickled else ""
        raise InputError(f"config.yaml: {key} is {name}{found}; expected weights as *.safetensors in it.")
    return folder
