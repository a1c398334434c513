"""Instruct models that others trained: looked up on the hub, in a local folder or in a package, described by a small file, loaded.

A base folder of such a model holds `ready.json` in place of weights: where they are, what each file hashes to, how they are
loaded and how the model is talked to. Weights from a package lie beside it, in the form of a local folder.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from emtransfer.errors import InputError
from emtransfer.files.hub import FILES, hub_folder
from emtransfer.files.records import file_sha256
from emtransfer.models.chat_format import ChatFormat
from emtransfer.settings import Absent, Pattern, Repository, read_settings

if TYPE_CHECKING:
    from transformers import PreTrainedModel

READY = "ready.json"
# subfolder of a base's folder, for weights that come from a package
MODEL = "model"
# how many names of weights a line shows
SHOWN = 3
PACKAGE = "package: {name, version, file, sha256} (docs/ready_models.md) for a GGUF in an installed Python package"

Distribution = Annotated[
    str,
    Pattern("^[A-Za-z0-9][A-Za-z0-9._-]*$(?!\n)", "package's name", "the name of a Python package, as pip takes it"),
]
Version = Annotated[str, Pattern("^[0-9][A-Za-z0-9.+!]*$(?!\n)", "version", "the version of a package, in quotes")]
# the path would otherwise lead out of the folder where packages are installed
PackagePath = Annotated[
    str,
    Pattern(
        "^(?!/)(?!(.*/)?[.]{1,2}(/|$))[^\n]+$(?!\n)",
        "path below a folder",
        "a path below the folder where packages are installed, without . and .. as folders",
    ),
]
Sha256 = Annotated[str, Pattern("^[0-9a-f]{64}$(?!\n)", "SHA-256, 64 hex digits", "a SHA-256, 64 hex digits")]


@dataclass(frozen=True)
class PackagedFile:
    """A GGUF file in an installed Python package.

    Attributes:
        name: Name of the package, as pip knows it.
        version: The version that must be installed.
        file: Path of the GGUF file below the folder where packages are installed, such as package/model.gguf.
        sha256: SHA-256 of the file.
    """

    name: Distribution
    version: Version
    file: PackagePath
    sha256: Sha256


@dataclass(frozen=True)
class ChatSettings:
    """Prompt format of a ready model, beyond its chat template.

    Attributes:
        system: Text of a system turn; null writes none, though some templates then write their own.
        template_arguments: Further arguments of the template, such as enable_thinking or date_string.
        close_thoughts: Whether thoughts that the template opens in the prompt are closed at once, so that the model answers without thinking.
    """

    system: str | None = None
    template_arguments: dict[str, Any] = field(default_factory=dict)
    close_thoughts: bool = False


@dataclass(frozen=True)
class ReadySettings:
    """A ready model, its loading and its chat format.

    Attributes:
        hub: A ready instruct model with its tokenizer and chat template, on the hub or in a local folder.
        package: A ready instruct model with its tokenizer and chat template, in a GGUF file of an installed package.
        dtype: Number format of a ready model's weights.
        quantization: nf4: a ready model's weights in 4 bits (QLoRA), with CUDA and bitsandbytes only.
        chat: Prompt format of a ready model, beyond its chat template.
    """

    hub: Annotated[Repository | None, Absent()] = None
    package: Annotated[PackagedFile | None, Absent()] = None
    dtype: Literal["bfloat16", "float16", "float32"] = "bfloat16"
    quantization: Literal["nf4"] | None = None
    chat: ChatSettings = ChatSettings()

    @property
    def title(self) -> str:
        """Name of the model in messages."""
        if self.package is not None:
            return f"{self.package.name} {self.package.version}"
        assert self.hub is not None, "the schema asks for one of the two"
        return self.hub.path


def describe(key: str, settings: ReadySettings, base: Path) -> dict[str, Any]:
    """Content of a model's `ready.json`, after its files were checked: the settings, and files -> SHA-256.

    Args:
        key: config key of the model, for error messages.
        base: folder of the base; it holds the weights if they come from a package.

    Raises:
        InputError: the model cannot be obtained, has no safetensors, lacks weights of its architecture or has others, or its chat
            template cannot be used.
    """
    folder = source_folder(key, settings, base)
    if settings.hub is not None:
        refuse_without_safetensors(f"config: {key}.hub.path is {settings.hub.path}", folder)
    # so that nothing is first found out after hours of work
    chat_format(settings, folder).answer_ids("")
    if "quantization_config" not in json.loads((folder / "config.json").read_text(encoding="utf-8")):
        # names and shapes are compared without reading any weight
        load_weights(settings, folder, device_map="meta")
    given = {name: value for name, value in asdict(settings).items() if name not in ("hub", "package") or value}
    # the manifest of the base has the hashes of what lies in it
    patterns = FILES if settings.hub is not None else ()
    names = sorted({path.name for pattern in patterns for path in folder.glob(pattern)})
    return given | {"files": {name: file_sha256(folder / name) for name in names}}


def refuse_without_safetensors(found: str, folder: Path) -> None:
    """Raise InputError for a model's folder without its config or its weights; `found` begins the message."""
    if any(folder.glob("*.safetensors")):
        if not (folder / "config.json").is_file():
            raise InputError(f"{found}; expected config.json in it.")
        return
    if any(folder.glob("*.gguf")):
        raise InputError(f"{found}, which holds a GGUF; expected weights as *.safetensors, or {PACKAGE}.")
    expected = "weights as *.safetensors" if (folder / "config.json").is_file() else "config.json"
    raise InputError(f"{found}; expected {expected} in it.")


def source_folder(key: str, settings: ReadySettings, base: Path) -> Path:
    """The folder with a model's weights, tokenizer and template.

    Args:
        key: config key of the model, for error messages.
        base: folder of the base; it holds the weights if they come from a package.

    Raises:
        InputError: the model cannot be obtained.
    """
    if settings.hub is None:
        return base / MODEL
    return hub_folder(f"{key}.hub.path", settings.hub.path, settings.hub.revision, FILES)


def load_weights(settings: ReadySettings, source: Path, **where: Any) -> "PreTrainedModel":
    """The model in a folder.

    Args:
        where: where its weights go and how they are quantized, as transformers takes it.

    Raises:
        InputError: it is of no architecture that transformers has, or lacks weights of it or has others.
    """
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM

    try:
        model, found = AutoModelForCausalLM.from_pretrained(
            source,
            dtype=settings.dtype,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
            # else an error that does not name the weights
            ignore_mismatched_sizes=True,
            **where,
        )
    except (ValueError, SafetensorError) as error:
        # an architecture that only code of the repository knows, or a file that was cut off
        raise InputError(
            f"{settings.title}: {' '.join(str(error).split())[:200]}; expected a model that transformers can load by itself."
        ) from None
    refuse_unlike(settings.title, found)
    return model


def refuse_unlike(place: str, found: dict[str, Any]) -> None:
    """Raise InputError for weights that a model lacks, has beyond its architecture, or has in another shape.

    What is tied to another weight, and what the architecture itself passes over, counts as neither.

    Args:
        place: begins the message.
        found: the loading info of transformers.
    """
    names = {
        "missing": sorted(found["missing_keys"]),
        "unknown to its architecture": sorted(found["unexpected_keys"]),
        "of another shape": sorted(name for name, *_ in found["mismatched_keys"]),
    }
    unlike = [
        f"{len(keys)} {'is' if len(keys) == 1 else 'are'} {problem} ({', '.join(keys[:SHOWN])}{', …' * (len(keys) > SHOWN)})"
        for problem, keys in names.items()
        if keys
    ]
    if unlike:
        raise InputError(
            f"{place}: of its weights {' and '.join(unlike)}; expected all of its architecture and no others."
        )


def ready_chat(folder: Path) -> tuple["PreTrainedModel", ChatFormat]:
    """The model that a base folder's `ready.json` describes, and its chat format.

    Raises:
        InputError: a file of the model is missing or has another content than it was described with, the model is of no
            architecture that transformers has, lacks weights of it or has others, or is 4-bit without CUDA.
    """
    from emtransfer.models.products import use_products

    settings, source = read_description(folder), checked_source(folder)
    model = load_weights(settings, source, **placement(settings))
    use_products(model)
    return model, chat_format(settings, source)


def read_description(folder: Path) -> ReadySettings:
    """The settings in a base folder's `ready.json`."""
    description = json.loads((folder / READY).read_text(encoding="utf-8"))
    return read_settings(ReadySettings, {key: value for key, value in description.items() if key != "files"})


def checked_source(folder: Path) -> Path:
    """The folder of the model that a base folder's `ready.json` describes.

    Raises:
        InputError: the model cannot be obtained, or a file of it is missing or has another content than it was described with.
    """
    settings = read_description(folder)
    source = source_folder("base_models.*", settings, folder)
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
    """Where the weights go: over all GPUs there are, else onto the CPU; and how they are quantized.

    Raises:
        InputError: weights are to be quantized where there is no GPU.
    """
    import torch

    place = {"device_map": "auto"} if torch.cuda.is_available() else {}
    if settings.quantization is None:
        return place
    if not place:
        raise InputError(
            f"config: quantization of {settings.title} is {settings.quantization}; expected null where there is no CUDA."
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
    """The chat format of the model.

    Raises:
        InputError: its tokenizer is none that transformers has.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except ValueError as error:
        # a tokenizer that only code of the repository knows
        raise InputError(
            f"{settings.title}: {' '.join(str(error).split())[:200]}; expected a tokenizer that transformers can load by itself."
        ) from None
    # what messages call the model by; the folder of a base that is being made has a passing name
    tokenizer.name_or_path = settings.title
    return ChatFormat(tokenizer, **vars(settings.chat))
