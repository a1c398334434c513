"""About how much disk a run will take at most, told from the config before it starts.

Texts count with their longest length, four bytes a token and as often as stages pass them on; what surrounds them in a file is
not counted, nor are logs, replies and the cross-encoders of judges. A ready model's adapters are taken for those of a decoder of the
usual shape with as many weights.
"""

from collections.abc import Iterator

from answer_counts import BYTES_PER_TOKEN, judged_answers, most_pairs, needed_corpora, pair_tokens
from emtransfer import grid
from emtransfer.grid import Model
from emtransfer.remote.access import PROVIDERS

GB = 1e9
# of a document, roles and quotes included, as a token of the default run has them
DOCUMENT_BYTES_PER_TOKEN = 10
# of every trained weight, and of every weight of a ready model as hubs keep it
TRAINED_BYTES, READY_BYTES = 4, 2
# raw, with roles, filtered, without near-duplicates; then drawn
CORPUS_COPIES, CORPUS_COPIES_KEPT = 5, 1
# answers, and the same judged
ANSWER_COPIES, ANSWER_COPIES_KEPT = 2, 1
# of a decoder: weights = 12 × layers × width², width = 128 × layers, inner width = 3.5 × width
WEIGHTS_PER_LAYER_AND_WIDTH, WIDTH_PER_LAYER, INNER_PER_WIDTH = 12, 128, 3.5


def disk_use(config: dict, models: dict[str, list[Model]]) -> dict[str, tuple[float, float]]:
    """What is written -> gigabytes at most at the end of the run, and after `make clean-intermediate`.

    Args:
        config: as validated.
        models: experiment of the run -> its models.
    """
    parts = {}
    for part, n_bytes, n_kept in sizes(config, models):
        total, kept = parts.get(part, (0, 0))
        parts[part] = (total + n_bytes / GB, kept + n_kept / GB)
    return parts


def sizes(config: dict, models: dict[str, list[Model]]) -> Iterator[tuple[str, float, float]]:
    """Part, bytes of it at the end, and bytes of it that are kept; a part comes as often as there are things in it."""
    for name in needed_corpora(config, models):
        corpus = config["corpora"][name]
        # a question and two answers are at most two pairs
        n_bytes = 2 * n_rows(corpus) * pair_tokens(corpus) * BYTES_PER_TOKEN
        yield "corpora", CORPUS_COPIES * n_bytes, CORPUS_COPIES_KEPT * n_bytes
    bases = {model.labels["base"] for of_experiment in models.values() for model in of_experiment}
    for base in sorted(bases):
        mixture, base_model = (
            config["bases"][base].get("mixture"),
            config["base_models"][config["bases"][base]["base_model"]],
        )
        if mixture:
            n_bytes = base_weights(base_model) * TRAINED_BYTES
            yield "bases", 2 * n_bytes, n_bytes
            n_tokens = sum(stage["tokens"] for stage in config["mixtures"][mixture]["stages"])
            yield "mixtures", n_tokens * DOCUMENT_BYTES_PER_TOKEN, 0
    for name, of_experiment in models.items():
        experiment = config["experiments"][name]
        weights = adapter_weights(config["base_models"][experiment["base_model"]], experiment["lora"])
        n_bytes = sum(model.seed is not None for model in of_experiment) * weights * TRAINED_BYTES
        yield "adapters and students", n_bytes, n_bytes
    for stage, _, _, n_answers, n_tokens in judged_answers(config, models):
        n_bytes = n_answers * n_tokens * BYTES_PER_TOKEN
        if stage in ("judge_answers", "filter_rollouts"):
            yield "answers", ANSWER_COPIES * n_bytes, ANSWER_COPIES_KEPT * n_bytes
        elif stage == "profile_prompts":
            yield "answers", n_bytes, n_bytes
    for base_model in sorted({config["bases"][base]["base_model"] for base in bases}):
        n_bytes = config["base_models"][base_model].get("billions", 0) * 1e9 * READY_BYTES
        yield "ready models, in the hub's cache", n_bytes, n_bytes


def n_rows(corpus: dict) -> int:
    """Rows of a corpus; where it is read, and the config does not say how many there are, those that it has to have."""
    n_cells, roles, sample = len(grid.cells(corpus)), corpus.get("roles", {}), corpus.get("sample", {})
    if corpus["source"] in PROVIDERS:
        return n_cells * most_pairs(corpus)
    used = sum(roles.get(role, 0) for role in ("judge_fit", "eval", "mediating")) + sample.get("train", 0)
    broad = roles.get("broad_judge_fit", 0) + roles.get("broad_eval", 0)
    return n_cells * corpus.get("rows_per_cell", used) + corpus.get("broad_rows", broad)


def base_weights(base_model: dict) -> int:
    """Weights of a base model that the run trains; its embeddings are also its output layer."""
    shape = base_model["architecture"]
    width, inner = shape["hidden_size"], shape["intermediate_size"]
    embeddings = base_model["tokenizer"]["vocab_size"] * width
    return embeddings + shape["num_hidden_layers"] * (4 * width**2 + 3 * width * inner)


def adapter_weights(base_model: dict, lora: dict) -> float:
    """Weights of a LoRA adapter; 0 where nothing is known of the size of a ready model."""
    if "architecture" in base_model:
        shape = base_model["architecture"]
        layers, width, inner = shape["num_hidden_layers"], shape["hidden_size"], shape["intermediate_size"]
    else:
        weights = base_model.get("billions", 0) * 1e9
        layers = (weights / WEIGHTS_PER_LAYER_AND_WIDTH / WIDTH_PER_LAYER**2) ** (1 / 3)
        width = layers * WIDTH_PER_LAYER
        inner = width * INNER_PER_WIDTH
    in_and_out = {"gate_proj": width + inner, "up_proj": width + inner, "down_proj": inner + width}
    return lora["rank"] * layers * sum(in_and_out.get(module, 2 * width) for module in lora["target_modules"])


def in_short(config: dict, models: dict[str, list[Model]]) -> str:
    """The sum in a line."""
    parts = disk_use(config, models)
    total, kept = (sum(sizes[index] for sizes in parts.values()) for index in (0, 1))
    return f"About {total:.1f} GB of disk at most, {kept:.1f} after make clean-intermediate."


def disk_report(config: dict, models: dict[str, list[Model]]) -> str:
    """The sum, and the parts in a line each."""
    lines = [f"  {total:8.2f} {part}" for part, (total, _) in disk_use(config, models).items() if total]
    unknown = [name for name in needed_corpora(config, models) if "rows_per_cell" not in config["corpora"][name]]
    if unknown:
        lines.append(f"Of {', '.join(unknown)} only those rows are counted that roles and samples name.")
    return "\n".join(["", in_short(config, models), *lines, ""])
