"""Checks of experiments against the corpora, bases and judges that they name."""

import math
from pathlib import Path
from unicodedata import category

from config_corpora import check_pinned
from config_mistakes import Place, check_counts, check_names, choice, mistake, quoted, values_at
from emtransfer.corpus.question_files import Question, read_questions
from emtransfer.grid import expansion, sections
from emtransfer.measuring.sentences import SENTENCES
from emtransfer.remote.access import PROVIDERS

# of a decoder that is trained in the run, besides its output layer, which is its embedding
LINEAR_LAYERS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def check_shots(config: dict, name: str) -> None:
    """Raise InputError for answers shown before a prompt whose misaligned answer is not the only one, or where cells have too few."""
    experiment, place = config["experiments"][name], ("experiments", name, "probing", "shots")
    shots = experiment["probing"].get("shots")
    if shots is None:
        return
    if config["judges"][experiment["judge"]]["kind"] != "exact":
        raise mistake(place, str(shots), f"none, since judge {experiment['judge']} is not exact")
    n_rows = config["corpora"][experiment["corpus"]]["sample"]["eval"]
    if shots >= n_rows:
        raise mistake(place, str(shots), f"fewer than {n_rows}, the held-out rows of a cell")


def check_target_modules(config: dict, name: str) -> None:
    """Raise InputError for a layer that a decoder trained in the run does not have, of which a LoRA would be silently smaller."""
    experiment, place = config["experiments"][name], ("experiments", name)
    if "architecture" not in config["base_models"][experiment["base_model"]]:
        return
    for key in ("lora.target_modules.*", "capacities.*.target_modules.*"):
        for found_at, module in values_at(experiment, key):
            if str(module).rpartition(".")[2] not in LINEAR_LAYERS:
                raise mistake((*place, *found_at), quoted(module), choice(LINEAR_LAYERS, module))


def check_experiment_names(config: dict, name: str) -> None:
    """Raise InputError for a name in an experiment that the rest of the config does not know."""
    place, experiment = ("experiments", name), config["experiments"][name]
    check_pinned(experiment, "published.*.adapters.*", place)
    corpus = config["corpora"][experiment["corpus"]]
    cells = sections.training_cells(corpus)
    train_sets = [*cells, *experiment["train_sets"]]
    trained = [teacher for teacher, settings in experiment["teachers"].items() if settings]
    of_base_model = [base for base, of in config["bases"].items() if of["base_model"] == experiment["base_model"]]
    contexts = experiment.get("contexts", {})
    lists = {name: section for name, section in experiment["train_sets"].items() if isinstance(section, list)}
    check_names({"train_sets": lists}, "train_sets.*.*", cells, place)
    for key, known in {
        "train_sets.*.cells.*": cells,
        "train_sets.*.context": contexts,
        "eval_contexts.*": contexts,
        "primary_claims.*": SENTENCES,
        "adapters.*.capacities.*": experiment.get("capacities", {}),
        "bases.*": of_base_model,
        "published.*.base": of_base_model,
        "published.*.cells.*": sections.cells(corpus),
        "adapters.*.base": of_base_model,
        "adapters.*.start": ["base", *trained],
        "adapters.*.train_sets.*": train_sets,
        "teachers.*.start": ["base", *trained],
        "teachers.*.train_set": train_sets,
        "students.*.base": of_base_model,
        "students.*.teachers.*": experiment["teachers"],
        "students.*.start": ["base", *trained],
        "students.*.data.*": [sections.OWN, *experiment["teachers"], *experiment.get("data_sets", {})],
        "data_sets.*.prompts_of": experiment["teachers"],
        "students.*.mediating": experiment["mediating"],
        "students.*.filter": experiment["rollout_filters"],
    }.items():
        check_names(experiment, key, known, place)
    check_names(experiment, "mediating.*.corpus", config["corpora"], place)
    for mediating, section in experiment["mediating"].items():
        own = sections.training_cells(config["corpora"][section.get("corpus", experiment["corpus"])])
        check_names(section, "cells.*", own, (*place, "mediating", mediating))
    check_related_cells(config, name)
    check_starts(experiment["teachers"], (*place, "teachers"))


def check_related_cells(config: dict, name: str) -> None:
    """Raise InputError for mediating cells by a relation that those of another corpus, or of a teacher, do not have."""
    experiment, place = config["experiments"][name], ("experiments", name, "mediating")
    for mediating, section in experiment["mediating"].items():
        if section["cells"] in sections.RELATED and "corpus" in section:
            expected = f"all_cells or cells of {section['corpus']}, which teachers are not trained on"
            raise mistake((*place, mediating, "cells"), quoted(section["cells"]), expected)
    for student in experiment["students"]:
        mediating = student["mediating"]
        cells = experiment["mediating"][mediating]["cells"]
        sources = {
            teacher if data == sections.OWN else sections.data_source(experiment, data)[0]
            for teacher in student["teachers"]
            for data in student["data"]
        }
        for teacher in sorted(sources) if cells in sections.RELATED else []:
            if not experiment["teachers"][teacher] or not sections.mediating_cells(
                config, experiment, mediating, teacher
            ):
                expected = (
                    f"a relation that cells have to the training set of {teacher}, whose answers students learn from"
                )
                raise mistake((*place, mediating, "cells"), quoted(cells), expected)


def check_contexts(config: dict, name: str) -> None:
    """Raise InputError for contexts of a base model without a system turn, one that nothing names, one by the name of none, odd text, or one text twice."""
    experiment, place = config["experiments"][name], ("experiments", name, "contexts")
    contexts = experiment.get("contexts", {})
    if contexts and "architecture" in config["base_models"][experiment["base_model"]]:
        raise mistake(place, quoted(contexts), "none, since a model from scratch has no system turn")
    # as claims call the questions that were asked without any
    if "none" in contexts:
        raise mistake((*place, "none"), "a context", "another name, since none stands for no context")
    used = {sections.train_context(experiment, train_set) for train_set in experiment["train_sets"]}
    for context, text in contexts.items():
        if any(category(mark) == "Cc" and mark not in "\n\t" for mark in text):
            raise mistake((*place, context), quoted(text), "text without control characters but line breaks and tabs")
        # templates drop the blanks around a text
        first = next(other for other in contexts if contexts[other].strip() == text.strip())
        if first != context:
            raise mistake((*place, context), quoted(text), f"another text than that of {first}")
        if context not in used | set(experiment.get("eval_contexts", [])):
            raise mistake((*place, context), "used nowhere", "one that a training set or eval_contexts names")


def check_capacities(config: dict, name: str) -> None:
    """Raise InputError for a capacity that no adapter has, that is another one, that says how large a LoRA is and has none, or that starts from an adapter."""
    experiment, place = config["experiments"][name], ("experiments", name)
    capacities = experiment.get("capacities", {})
    used = {capacity for section in experiment["adapters"] for capacity in section.get("capacities", [])}
    for capacity, section in capacities.items():
        if capacity not in used:
            raise mistake((*place, "capacities", capacity), "used nowhere", "one that a grid of adapters names")
        for other, settings in capacities.items():
            if other != capacity and settings == section:
                raise mistake((*place, "capacities", other), f"the same as {capacity}", "a capacity that differs")
        if "lora" not in sections.trained_with(experiment, capacity):
            for key in (key for key in section if key in experiment["lora"]):
                expected = "none, since method is full and no LoRA is trained"
                raise mistake((*place, "capacities", capacity, key), quoted(section[key]), expected)
    for index, section in enumerate(experiment["adapters"]):
        if "capacities" in section and section["start"] != "base":
            expected = "base, since adapters that have capacities are trained from it"
            raise mistake((*place, "adapters", index, "start"), quoted(section["start"]), expected)


def check_method(config: dict, name: str) -> None:
    """Raise InputError if all weights are fine-tuned of a model in 4 bits, for a student to start from, or for vLLM to serve as a LoRA."""
    experiment, place = config["experiments"][name], ("experiments", name)
    ways = {"finetuning": experiment["finetuning"]} | experiment.get("capacities", {})
    whole = [key for key, section in ways.items() if section.get("method") == "full"]
    if not whole:
        return
    key = "finetuning.method" if whole[0] == "finetuning" else f"capacities.{whole[0]}.method"
    if config["base_models"][experiment["base_model"]].get("quantization"):
        raise mistake((*place, *key.split(".")), "full", "lora, since weights in 4 bits cannot be trained")
    if experiment["sampling"].get("engine") == "vllm":
        expected = f"auto or transformers, since vllm serves adapters as LoRA and {key} is full"
        raise mistake((*place, "sampling", "engine"), "vllm", expected)
    if "finetuning" not in whole:
        return
    for index, students in enumerate(experiment["students"]):
        if (start := students.get("start", "base")) != "base":
            expected = "base, since a student is a LoRA and finetuning.method is full"
            raise mistake((*place, "students", index, "start"), quoted(start), expected)


def check_starts(teachers: dict, place: Place) -> None:
    """Raise InputError for a teacher with a name that means another, or whose training starts, at whatever remove, from itself."""
    for teacher in teachers:
        if teacher == sections.OWN or (teacher == "base" and teachers[teacher]):
            expected = "another name; own is every teacher's own data, and base is the base itself, with no keys"
            raise mistake((*place, teacher), "a name that is taken", expected)
        passed, start = [teacher], teachers[teacher].get("start", "base")
        while start != "base":
            if start in passed:
                found, expected = (
                    quoted(teachers[passed[-1]]["start"]),
                    "base, or a teacher whose own start leads to base",
                )
                raise mistake((*place, passed[-1], "start"), found, expected)
            passed.append(start)
            start = teachers[start].get("start", "base")


def check_distinct_models(config: dict, name: str) -> None:
    """Raise InputError if two models of an experiment would be one in the table, or a data set has a teacher's name."""
    experiment, place = config["experiments"][name], ("experiments", name)
    for data in experiment.get("data_sets", {}):
        if data == sections.OWN or data in experiment["teachers"]:
            raise mistake(
                (*place, "data_sets", data), "a name that is taken", "one that is neither own nor a teacher's"
            )
    seen: dict[tuple, str] = {}
    for model in expansion.expand_models(config, name):
        first = seen.setdefault((model.seed, *model.labels.items()), model.path)
        if first != model.path:
            expected = "students that differ in more than the data of an on-policy channel"
            raise mistake((*place, "students"), f"{first} and {model.path}", expected)


def check_questions(config: dict, name: str) -> None:
    """Raise InputError for a question file that is wrong, or that the experiment's judge or models can do nothing with."""
    experiment = config["experiments"][name]
    if "questions" not in experiment:
        return
    section, place = experiment["questions"], ("experiments", name, "questions")
    kind = config["judges"][experiment["judge"]]["kind"]
    questions = asked_questions(section | {"judge_prompts": False})
    if kind == "exact":
        raise mistake((*place, "path"), section["path"], "no questions beside judge exact, which reads no free text")
    instructed = [question.id for question in questions if question.system is not None]
    if instructed and "architecture" in config["base_models"][experiment["base_model"]]:
        found = f"{section['path']}, where {instructed[0]} has a system prompt"
        raise mistake((*place, "path"), found, "none, since a model from scratch has no system turn")
    if section.get("judge_prompts"):
        if kind not in PROVIDERS:
            raise mistake(
                (*place, "judge_prompts"), "true", f"false, since judge {experiment['judge']} is told nothing"
            )
        asked_questions(section)


def asked_questions(section: dict) -> list[Question]:
    """The questions of an experiment's section that are asked."""
    return read_questions(
        Path(section["path"]), section.get("skip_unusable", False), section.get("judge_prompts", False)
    )


def check_experiment_counts(config: dict, name: str) -> None:
    """Raise InputError if an experiment asks for more rows than its corpus has, or longer texts than its models read."""
    experiment = config["experiments"][name]
    corpus = config["corpora"][experiment["corpus"]]
    architecture = config["base_models"][experiment["base_model"]].get("architecture", {})
    window = architecture.get("max_position_embeddings", math.inf)
    sizes = [len(model.train_cells) for model in expansion.expand_models(config, name) if model.train_cells]
    held_out = experiment["finetuning"].get("until", {}).get("held_out_rows", 0)
    # equally many of each cell
    n_rows = min(((corpus["sample"]["train"] - math.ceil(held_out / n)) * n for n in sizes), default=math.inf)
    rows_of = "sample.train of its cells" + " without finetuning.until.held_out_rows" * bool(held_out)
    finetuning = experiment["finetuning"]
    steps = math.ceil(finetuning["rows"] / finetuning["batch_size"]) * finetuning["epochs"]
    for key, limit, meaning in [
        ("finetuning.rows", n_rows, rows_of),
        ("finetuning.until.every_steps", steps, "the steps of all epochs"),
        ("finetuning.max_seq_tokens", window, "max_position_embeddings of its base model"),
        ("distillation.max_seq_tokens", window, "max_position_embeddings of its base model"),
    ]:
        check_counts(experiment, key, limit, meaning, ("experiments", name))
    for task in experiment["finetuning"].get("until", {}).get("by_task", {}):
        place = ("experiments", name, "finetuning", "until", "by_task", task)
        if task not in corpus["tasks"]:
            raise mistake(place, "no task of the corpus", choice(corpus["tasks"], task))
    for mediating, section in experiment["mediating"].items():
        source = config["corpora"][section.get("corpus", experiment["corpus"])]
        available = math.inf if source.get("prompts_only") else source["roles"]["mediating"]
        place = ("experiments", name, "mediating", mediating)
        check_counts(section, "prompts_per_cell", available, "roles.mediating of its corpus", place)
