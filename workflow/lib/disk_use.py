"""About how much disk a run will take at most, told from its work before any is done.

Texts count with their longest length, four bytes a token and as often as stages pass them on; what surrounds them in a file is
not counted, nor are logs and replies. A ready model's adapters are taken for those of a decoder of the usual shape with as many
weights.
"""

from collections.abc import Iterator

from emtransfer.grid.labels import Model
from emtransfer.grid.sections import trained_with
from model_sizes import BYTES_PER_TOKEN, adapter_weights, encoder_weights, weights
from work import Work, work

GB = 1e9
# bytes of a document per token, roles and quotes included, as in the default run
DOCUMENT_BYTES_PER_TOKEN = 10
# bytes per trained weight, and per weight of a ready model as hubs store it
TRAINED_BYTES, READY_BYTES = 4, 2
CORPORA, JUDGES, MIXTURES, BASES, ADAPTERS, ANSWERS, READY = (
    "corpora",
    "judges",
    "mixtures",
    "bases",
    "adapters and students",
    "answers",
    "ready models, in the hub's cache",
)
# stage -> what it writes; other stages write next to nothing
PARTS = {
    **dict.fromkeys("generate_pairs write_pairs split_questions filter_pairs dedup_pairs sample_cell".split(), CORPORA),
    **{"fit_judge": JUDGES, "fit_reference_adapters": JUDGES},
    **{"build_mixture": MIXTURES, "pretrain_base": BASES, "take_checkpoint": BASES, "align_base": BASES},
    **dict.fromkeys("fetch_adapter finetune_adapter distill_student".split(), ADAPTERS),
    **dict.fromkeys("roll_out_teacher filter_rollouts answer_retained".split(), ANSWERS),
    **dict.fromkeys(
        "sample_answers judge_answers label_answers probe_base probe_inference replace_anchors".split(), ANSWERS
    ),
}
# stages whose files `make clean-intermediate` removes
REMOVED = (
    "generate_pairs write_pairs split_questions filter_pairs dedup_pairs build_mixture pretrain_base take_checkpoint roll_out_teacher"
    " sample_answers"
).split()


def disk_use(config: dict, models: dict[str, list[Model]]) -> dict[str, tuple[float, float]]:
    """What is written -> gigabytes at most at the end of the run, and after `make clean-intermediate`.

    Args:
        config: as validated.
        models: experiment of the run -> its models.
    """
    parts = {}
    for part, n_bytes, is_kept in sizes(config, work(config, models)):
        total, kept = parts.get(part, (0, 0))
        parts[part] = (total + n_bytes / GB, kept + n_bytes * is_kept / GB)
    return parts


def sizes(config: dict, entries: list[Work]) -> Iterator[tuple[str, float, bool]]:
    """Part, bytes of it, and whether they stay; a part comes as often as there are things in it."""
    for entry in entries:
        if entry.n_jobs and entry.stage in PARTS:
            part = PARTS[entry.stage]
            yield part, bytes_written(config, entry, part), entry.stage not in REMOVED
        if entry.stage == "fetch_base" and "package" in config["base_models"][entry.model]:
            yield BASES, bytes_written(config, entry, BASES), True
    # bases of one model share it
    for name in sorted({entry.model for entry in entries if entry.stage == "fetch_base"}):
        if "hub" in config["base_models"][name]:
            yield READY, weights(config["base_models"][name]) * READY_BYTES, True


def bytes_written(config: dict, entry: Work, part: str) -> float:
    """Bytes that the jobs of an entry write."""
    if part == JUDGES:
        judge = config["judges"][entry.of]
        # a LoRA on aligned answers and one on misaligned ones, or an encoder
        references = 2 * adapter_weights(config["base_models"][entry.model], judge["lora"]) if "lora" in judge else 0
        return entry.n_jobs * (references or encoder_weights(judge["fit"])) * TRAINED_BYTES
    if part == BASES:
        # the last of its states is the model itself
        states = (
            config["base_models"][entry.model]["pretraining"].get("states", 0) if entry.stage == "pretrain_base" else 0
        )
        return entry.n_jobs * max(states, 1) * weights(config["base_models"][entry.model]) * TRAINED_BYTES
    if part == ADAPTERS:
        base_model, experiment = config["base_models"][entry.model], config["experiments"][entry.of]
        every = [trained_with(experiment, capacity) for capacity in ("", *experiment.get("capacities", {}))]
        largest = max(adapter_weights(base_model, one.get("lora", experiment["lora"])) for one in every)
        return entry.n_jobs * (weights(base_model) if entry.does == "train" else largest) * TRAINED_BYTES
    return entry.items * entry.tokens * (DOCUMENT_BYTES_PER_TOKEN if part == MIXTURES else BYTES_PER_TOKEN)


def in_short(config: dict, models: dict[str, list[Model]]) -> str:
    """The sum in a line."""
    parts = disk_use(config, models)
    total, kept = (sum(sizes[index] for sizes in parts.values()) for index in (0, 1))
    # a small run has no 0.0 GB
    digits = 1 if total >= 1 else 2
    return f"About {total:.{digits}f} GB of disk at most, {kept:.{digits}f} after make clean-intermediate."


def disk_report(config: dict, models: dict[str, list[Model]]) -> str:
    """The sum, and the parts in a line each."""
    lines = [f"  {total:8.2f} {part}" for part, (total, _) in disk_use(config, models).items() if total]
    return "\n".join(["", in_short(config, models), *lines, ""])
