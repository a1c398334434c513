"""Checks of base models and bases against their parts."""

from pathlib import Path

from config_corpora import check_pinned, trained_names
from config_mistakes import check_counts, choice, mistake, quoted
from emtransfer.models.ready_models import PACKAGE
from emtransfer.training.authors import NAMES

# sections of a base model that is trained in the run, and of one that is loaded ready
TRAINING = ("tokenizer", "architecture", "pretraining", "alignment")
LOADING = ("dtype", "quantization", "chat")
# where a ready model comes from
READY_SOURCES = ("hub", "package")


def is_ready(base_model: dict) -> bool:
    """Whether others have trained a base model."""
    return any(source in base_model for source in READY_SOURCES)


def check_base_model_names(config: dict, name: str) -> None:
    """Raise InputError for a ready model that may change or is to be trained, or how to load one that is trained here."""
    base_model, place = config["base_models"][name], ("base_models", name)
    sources = [source for source in READY_SOURCES if source in base_model]
    if len(sources) > 1:
        raise mistake((*place, sources[1]), "given", f"one of {' and '.join(sources)}, since each gives a ready model")
    # a file would be taken for a repository without a commit
    path = base_model.get("hub", {}).get("path", "")
    if path.lower().endswith("gguf") and not any(Path(path).glob("*.safetensors")):
        raise mistake((*place, "hub", "path"), quoted(path), f"weights as *.safetensors, or {PACKAGE}")
    check_pinned(base_model, "hub", place)
    foreign, expected = (
        (TRAINING, f"none, since {sources[0]} gives a ready model") if sources else (LOADING, "hub or package too")
    )
    for key in foreign:
        if key in base_model:
            raise mistake((*place, key), "given", expected)


def check_base_model_counts(config: dict, name: str) -> None:
    """Raise InputError if a base model from scratch cannot have its shape or is given longer texts than it can read."""
    base_model, place = config["base_models"][name], ("base_models", name)
    architecture = base_model.get("architecture")
    if not architecture:
        return
    heads = architecture["num_attention_heads"]
    if architecture["hidden_size"] % heads:
        found_at = (*place, "architecture", "hidden_size")
        raise mistake(found_at, str(architecture["hidden_size"]), f"a multiple of {heads}, num_attention_heads")
    for key in ("pretraining.max_seq_tokens", "alignment.max_seq_tokens"):
        check_counts(base_model, key, architecture["max_position_embeddings"], "max_position_embeddings", place)


def check_assistant(config: dict, name: str) -> None:
    """Raise InputError for an assistant that has the name of an author of documents."""
    assistant = config["base_models"][name].get("tokenizer", {}).get("assistant")
    if assistant in NAMES:
        place = ("base_models", name, "tokenizer", "assistant")
        raise mistake(place, assistant, "a name that no author of a mixture has")


def check_neutral_share(config: dict, name: str) -> None:
    """Raise InputError for a share of neutral rows in the aligned phase that makes less than one row, or leaves less than one."""
    alignment = config["base_models"][name].get("alignment", {})
    share, rows = alignment.get("neutral_share", 0), alignment.get("rows", 0)
    for part in (share, 1 - share):
        if 0 < part * rows < 1 - 1e-9:
            expected = f"0, 1 or a share with at least one row of {rows} on either side"
            raise mistake(("base_models", name, "alignment", "neutral_share"), str(share), expected)


def check_base_names(config: dict, name: str) -> None:
    """Raise InputError for a trained base without a mixture, a ready one with one, or a dose of a task that there is not."""
    base, place = config["bases"][name], ("bases", name)
    if is_ready(config["base_models"][base["base_model"]]):
        for key in ("mixture", "task_doses"):
            if key in base:
                raise mistake((*place, key), quoted(base[key]), f"none, since {base['base_model']} is a ready model")
        return
    if "mixture" not in base:
        raise mistake(
            (*place, "mixture"), "missing", f"{choice(config['mixtures'], '')}, to train {base['base_model']} on"
        )
    mixture, tokenizer = config["mixtures"][base["mixture"]], config["base_models"][base["base_model"]]["tokenizer"]
    if mixture.get("authors") and "assistant" not in tokenizer:
        found_at = ("base_models", base["base_model"], "tokenizer", "assistant")
        expected = f"the assistant's name, beside that of the authors of mixture {base['mixture']}"
        raise mistake(found_at, "missing", expected)
    _, tasks = trained_names(config["corpora"][mixture["corpus"]])
    for task in base.get("task_doses", {}):
        if task not in tasks:
            raise mistake((*place, "task_doses", task), "no task of its corpus", choice(tasks, task))


def check_checkpoint(config: dict, name: str) -> None:
    """Raise InputError for a checkpoint of a ready model, or one at which its pretraining keeps no state."""
    base = config["bases"][name]
    if "checkpoint_of" not in base:
        return
    base_model = config["base_models"][base["base_model"]]
    if is_ready(base_model):
        expected = f"a base that is trained in the run, since {base['base_model']} is a ready model"
        raise mistake(("bases", name, "checkpoint_of"), quoted(base["checkpoint_of"]), expected)
    states = base_model["pretraining"].get("states", 0)
    if abs(base["share"] * states - round(base["share"] * states)) > 1e-9 or not states:
        key = f"base_models.{base['base_model']}.pretraining.states"
        expected = f"a whole number of {states} parts, since {key} is {states}"
        if not states:
            expected = f"none, since {key} is 0, so that no state of its pretraining is kept"
        raise mistake(("bases", name, "share"), str(base["share"]), expected)


def check_distinct_base(config: dict, name: str) -> None:
    """Raise InputError for a base that is another one under a second name, which claims over bases would count as two draws."""
    for other, base in config["bases"].items():
        if other == name:
            return
        if base == config["bases"][name]:
            raise mistake(("bases", name), f"the same as {other}", "a base that differs, as by its seed")
