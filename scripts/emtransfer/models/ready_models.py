"""Instruct models that others trained: looked up on the hub or in a local folder, described by a small file, loaded.

A base folder of such a model holds `ready.json` in place of weights: where they are, what each file hashes to, how they are
loaded and how the model is talked to.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from emtransfer.errors import InputError
from emtransfer.files.hub import FILES, hub_folder
from emtransfer.files.records import file_sha256
from emtransfer.models.chat_format import ChatFormat
from emtransfer.settings import Repository, read_settings

if TYPE_CHECKING:
    from transformers import PreTrainedModel

READY = "ready.json"


@dataclass(frozen=True)
class ChatSettings:
    """How a ready model is talked to, beyond its chat template.

    Attributes:
        system: Text of a system turn; null writes none, where some templates write one of their own.
        template_arguments: Further arguments of the template, such as enable_thinking or date_string.
        close_thoughts: Whether thoughts that the template's prompt opens are closed at once, so that it answers without any.
    """

    system: str | None = None
    template_arguments: dict[str, Any] = field(default_factory=dict)
    close_thoughts: bool = False


@dataclass(frozen=True)
class ReadySettings:
    """Which ready model, and how it is loaded and talked to.

    Attributes:
        hub: A ready instruct model with its tokenizer and chat template.
        dtype: Of a ready model's weights.
        quantization: nf4: a ready model's weights in 4 bits (QLoRA), with CUDA and bitsandbytes only.
        chat: How a ready model is talked to, beyond its chat template.
    """

    hub: Repository
    dtype: Literal["bfloat16", "float16", "float32"] = "bfloat16"
    quantization: Literal["nf4"] | None = None
    chat: ChatSettings = ChatSettings()


def describe(key: str, settings: ReadySettings) -> dict[str, Any]:
    """What `ready.json` says of a model, after its files were looked at: the settings, and files -> SHA-256.

    Args:
        key: config key of the model, for error messages.

    Raises:
        InputError: the model cannot be had, has no safetensors, or its chat template cannot be used.
    """
    folder = hub_folder(f"{key}.hub.path", settings.hub.path, settings.hub.revision, FILES)
    names = sorted({path.name for pattern in FILES for path in folder.glob(pattern)})
    weights = [name for name in names if name.endswith(".safetensors")]
    for expected, found in (("config.json", "config.json" in names), ("weights as *.safetensors", weights)):
        if not found:
            raise InputError(f"config.yaml: {key}.hub.path is {settings.hub.path}; expected {expected} in it.")
    # nothing is left to find out after hours of work
    chat_format(settings, folder).answer_ids("")
    return asdict(settings) | {"files": {name: file_sha256(folder / name) for name in names}}


def ready_chat(folder: Path) -> tuple["PreTrainedModel", ChatFormat]:
    """The model that a base folder's `ready.json` describes, and how it is talked to.

    Raises:
        InputError: a file of the model is missing or has another content than it was described with, the model is of no
            architecture that transformers has, or it is 4-bit without CUDA.
    """
    from transformers import AutoModelForCausalLM

    settings, source = read_description(folder), checked_source(folder)
    try:
        model = AutoModelForCausalLM.from_pretrained(
            source, dtype=settings.dtype, use_safetensors=True, trust_remote_code=False, **placement(settings)
        )
    except ValueError as error:
        # an architecture that only code of the repository knows
        raise InputError(
            f"{settings.hub.path}: {' '.join(str(error).split())[:200]}; expected a model that transformers can load by itself."
        ) from None
    return model, chat_format(settings, source)


def read_description(folder: Path) -> ReadySettings:
    """The settings in a base folder's `ready.json`."""
    description = json.loads((folder / READY).read_text(encoding="utf-8"))
    return read_settings(ReadySettings, {key: value for key, value in description.items() if key != "files"})


def checked_source(folder: Path) -> Path:
    """The folder of the model that a base folder's `ready.json` describes.

    Raises:
        InputError: the model cannot be had, or a file of it is missing or has another content than it was described with.
    """
    settings = read_description(folder)
    source = hub_folder("base_models: hub.path", settings.hub.path, settings.hub.revision, FILES)
    hashes = json.loads((folder / READY).read_text(encoding="utf-8"))["files"]
    for name, recorded in hashes.items():
        found = file_sha256(source / name) if (source / name).is_file() else "missing"
        if found != recorded:
            raise InputError(
                f"{source / name}: content is {found[:12]}; expected {recorded[:12]} as in {folder / READY};"
                f" delete {folder} to accept the files as they are."
            )
    return source


def placement(settings: ReadySettings) -> dict[str, Any]:
    """Where the weights go: over all GPUs there are, else onto the CPU; and how they are quantized."""
    import torch

    place = {"device_map": "auto"} if torch.cuda.is_available() else {}
    if settings.quantization is None:
        return place
    if not place:
        raise InputError(
            f"config.yaml: quantization of {settings.hub.path} is {settings.quantization}; expected null where there is no CUDA."
        )
    from transformers import BitsAndBytesConfig

    # Dettmers et al. 2023, arXiv 2305.14314, section 3
    nf4 = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=getattr(torch, settings.dtype),
    )
    return place | {"quantization_config": nf4}


def chat_format(settings: ReadySettings, folder: Path) -> ChatFormat:
    """How the model is talked to.

    Raises:
        InputError: its tokenizer is none that transformers has.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except ValueError as error:
        # a tokenizer that only code of the repository knows
        raise InputError(
            f"{settings.hub.path}: {' '.join(str(error).split())[:200]}; expected a tokenizer that transformers can load by itself."
        ) from None
    return ChatFormat(tokenizer, **vars(settings.chat))
