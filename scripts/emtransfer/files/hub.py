"""Repositories of the model hub, fetched without pickles and code; any fault in them is reported in one line."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from emtransfer.errors import InputError
from emtransfer.secrets import is_key

# all that is fetched from a repository: weights as safetensors, and what describes model and tokenizer
FILES = ("*.safetensors", "*.json", "*.jinja", "*.txt", "*.model")
# names under which the libraries look for pickled weights, which they would unpickle
PICKLED = ("pytorch_model*.bin", "adapter_model.bin")


@contextmanager
def hub_errors(key: str, name: str, revision: str | None) -> Iterator[None]:
    """Turn the errors of the hub's libraries into an InputError.

    Args:
        key: config key that names the repository, for the message.
        name: of the repository, or a local folder.
        revision: commit that was asked for; None for a local folder.

    Raises:
        InputError: the repository or revision does not exist, is gated, or cannot be reached; or HF_TOKEN is not a token.
    """
    if not is_key(os.environ.get("HF_TOKEN", "").strip()):
        raise InputError("HF_TOKEN holds spaces, line breaks or non-ASCII characters; expected the token alone.")
    from datasets.exceptions import DatasetNotFoundError, DatasetsError
    from huggingface_hub import errors as hub

    try:
        yield
    except (hub.HfHubHTTPError, hub.HFValidationError, hub.OfflineModeIsEnabled, DatasetsError, OSError) as error:
        # datasets raises errors of its own from the hub's, and keeps only the text of a gated one
        chain = (error, error.__cause__)
        gated = any(isinstance(link, hub.GatedRepoError) for link in chain) or "is a gated dataset" in str(error)
        if Path(name).is_dir():
            problem = f": {' '.join(str(error).split())[:200]}; expected a complete folder"
        elif gated:
            problem = ", which is gated; expected access to it: request it on the repository's page, then set HF_TOKEN"
        elif any(isinstance(link, hub.RevisionNotFoundError) for link in chain):
            problem = f", which has no revision {revision}; expected one of its commits, 40 hex digits"
        elif isinstance(error, (hub.RepositoryNotFoundError, hub.HFValidationError, DatasetNotFoundError)):
            problem = ", which is neither a folder nor on the hub; expected one (a private one needs HF_TOKEN)"
        else:
            problem = ", which cannot be reached and is not in the cache; expected a network, or a local folder"
        raise InputError(f"config: {key} is {name}{problem}.") from None


def hub_folder(key: str, name: str, revision: str | None, patterns: Iterable[str]) -> Path:
    """The local folder of a repository of models, fetched into the hub's cache where it is not there yet.

    Args:
        key, name, revision: as for `hub_errors`.
        patterns: of the files that are needed.

    Raises:
        InputError: as `hub_errors`.
    """
    from huggingface_hub import snapshot_download

    if Path(name).is_dir():
        return Path(name)
    with hub_errors(key, name, revision):
        return Path(snapshot_download(name, revision=revision, allow_patterns=list(patterns)))


def safetensors_folder(key: str, name: str) -> Path:
    """The local folder of a model, whose weights are safetensors, all of them.

    Args:
        key: what names the model, for error messages.
        name: a local folder or a hub name.

    Raises:
        InputError: the model cannot be obtained, or some of its weights are there as a pickle only.
    """
    folder = hub_folder(key, name, None, FILES)
    safe = {path.parent for path in folder.rglob("*.safetensors")}
    pickled = sorted(path for pattern in PICKLED for path in folder.rglob(pattern) if path.parent not in safe)
    if pickled or not safe:
        found = f", with {pickled[0].relative_to(folder)}" if pickled else ""
        raise InputError(f"config: {key} is {name}{found}; expected weights as *.safetensors in it.")
    return folder
