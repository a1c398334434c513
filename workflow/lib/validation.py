"""Check the config before anything runs: its shape against the schema, then its names and numbers against each other.

The first mistake is raised as an InputError of one line: the key, its value and what was expected.
"""

import json
import math
import re
from collections.abc import Collection, Iterator
from datetime import date
from difflib import get_close_matches
from pathlib import Path

import yaml
from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import extend

from emtransfer import frames, grammar, grid, symbolic
from emtransfer.errors import InputError
from emtransfer.question_files import own_judge_prompts, read_questions
from emtransfer.remote.access import PROVIDERS
from emtransfer.remote.generator_prompts import read_generator_prompts
from emtransfer.remote.rubrics import read_rubric

Place = tuple[str | int, ...]

# fields of a request to a remote model that its options may not hold
OWN_FIELDS = ("model", "messages", "system", "max_tokens", "temperature", "stream", "n", "tools")
# and besides them a writer's, whose reply has to follow a schema
FORM_FIELD = "response_format"

NOUNS = {
    "number": "a number",
    "integer": "a whole number",
    "string": "text",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "null",
}
LIMITS = {
    "minimum": "of at least {}",
    "exclusiveMinimum": "above {}",
    "maximum": "of at most {}",
    "exclusiveMaximum": "below {}",
    "minItems": "of length {} or more",
    "minProperties": "with {} or more names",
    "pattern": "that matches {}",
}

# source that generates its rows -> the domains and tasks it knows
WORLDS = {
    "template": (grammar.DOMAINS, grammar.TEXTS),
    "symbolic": (symbolic.DOMAINS, symbolic.TASKS),
    "frames": (frames.DOMAINS, frames.TASKS),
}

# what a base model has that is trained in the run, and what one has that is loaded ready
TRAINING = ("tokenizer", "architecture", "pretraining", "alignment")
LOADING = ("dtype", "quantization", "chat")

# key -> the section that names what the key may say; `*` is any name or index
REFERENCES = {
    "run.*": "experiments",
    "corpora.*.filter.judge": "judges",
    "judges.*.corpus": "corpora",
    "judges.*.base": "bases",
    "mixtures.*.corpus": "corpora",
    "base_models.*.tokenizer.corpus": "corpora",
    "bases.*.base_model": "base_models",
    "bases.*.mixture": "mixtures",
    "experiments.*.corpus": "corpora",
    "experiments.*.judge": "judges",
    "experiments.*.base_model": "base_models",
}


def validate(config: dict, schema_path: str | Path) -> None:
    """Check a config.

    Args:
        config: as Snakemake merged it from config.yaml and overlays.
        schema_path: JSON Schema 2020-12, written in YAML.

    Raises:
        InputError: a key, a value, a name or a number is wrong.
    """
    check_schema(config, yaml.safe_load(Path(schema_path).read_text(encoding="utf-8")))
    for key, section in REFERENCES.items():
        check_names(config, key, config[section])
    for section, checks in {
        "corpora": [
            check_has_answers,
            check_corpus_names,
            check_corpus_counts,
            check_generator,
            check_judge_is_independent,
        ],
        "judges": [check_judge_names, check_told_judge],
        "mixtures": [check_mixture_names],
        "bases": [check_base_names],
        "base_models": [check_base_model_names, check_base_model_counts],
        "experiments": [check_experiment_names, check_distinct_models, check_questions, check_experiment_counts],
    }.items():
        for name in config[section]:
            for check in checks:
                check(config, name)


def mistake(place: Place, found: str, expected: str) -> InputError:
    """`config.yaml: a.b[0] is FOUND; expected EXPECTED.`"""
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).removeprefix(".")
    return InputError(f"config.yaml: {path} is {found}; expected {expected}.")


def quoted(value: object) -> str:
    """A value as JSON, cut to what fits on a line."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else f"{text[:77]}..."


# ---- shape

# JSON Schema takes 3.0 for an integer and has no word for NaN; neither is a number of epochs
Validator = extend(
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine_many(
        {
            "integer": lambda _, value: type(value) is int,
            "number": lambda _, value: type(value) is int or (type(value) is float and math.isfinite(value)),
        }
    ),
)


def check_schema(config: dict, schema: dict) -> None:
    """Raise InputError for a violation of the schema."""
    errors = Validator(schema).iter_errors(config)
    # a misspelt key is a missing key too, and the misspelling says more
    error = min(errors, key=lambda error: error.validator != "additionalProperties", default=None)
    if error is not None:
        raise schema_mistake(error, schema)


def schema_mistake(error: ValidationError, schema: dict) -> InputError:
    """A violation of the schema in words."""
    place, value = tuple(error.absolute_path), error.instance
    if "propertyNames" in error.absolute_schema_path:
        return mistake((*place, value), "no valid name", "a name of a-z, 0-9 and _")
    if error.validator == "additionalProperties":
        known = error.schema["properties"]
        unknown = next(key for key in value if key not in known)
        return mistake((*place, unknown), "no known key", choice(known, unknown))
    if error.validator == "required":
        missing = next(key for key in error.validator_value if key not in value)
        return mistake((*place, missing), "missing", expectation(error.schema["properties"][missing], schema))
    if error.validator == "uniqueItems":
        return mistake(place, quoted(value), "no value twice")
    return mistake(place, quoted(value), expectation(error.schema, schema) + yaml_hint(value, error.schema))


def expectation(part: dict, schema: dict) -> str:
    """What a part of the schema asks for, in words."""
    if "$ref" in part:
        part = schema["$defs"][part["$ref"].removeprefix("#/$defs/")]
    if "oneOf" in part:
        return " or ".join(expectation(option, schema) for option in part["oneOf"])
    if "const" in part:
        return quoted(part["const"])
    if "enum" in part:
        return f"one of {', '.join(map(str, part['enum']))}"
    first, *others = part["type"] if isinstance(part["type"], list) else [part["type"]]
    return " or ".join([NOUNS[first] + limits(part), *map(NOUNS.get, others)])


def limits(part: dict) -> str:
    """The limits a part of the schema sets, in words."""
    if {"minimum", "maximum"} <= part.keys():
        return f" in {part['minimum']}..{part['maximum']}"
    words = [text.format(part[key]) for key, text in LIMITS.items() if key in part]
    return f" {' and '.join(words)}" if words else ""


def yaml_hint(value: object, part: dict) -> str:
    """How to write what YAML took for something else: a number without a point, a date without quotes."""
    if isinstance(value, date) and part.get("type") == "string":
        return " (YAML needs quotes around a date)"
    is_text = isinstance(value, str) and "number" in part.get("type", ())
    return " (YAML needs a point, as in 1.0e-3)" if is_text and re.fullmatch(r"\d+e[-+]?\d+", value) else ""


def choice(names: Collection[str], wrong: object) -> str:
    """The name that was probably meant, or all there are."""
    close = get_close_matches(str(wrong), names, n=1)
    return close[0] if close else f"one of {', '.join(names)}" if names else "none, since none is defined"


# ---- names


def values_at(tree: object, key: str) -> Iterator[tuple[Place, object]]:
    """Places and values that a dotted key with `*` for any name or index leads to; an absent or empty one is passed."""
    head, _, rest = key.partition(".")
    if isinstance(tree, dict):
        children = tree.items() if head == "*" else [(head, tree.get(head))]
    else:
        children = enumerate(tree) if head == "*" and isinstance(tree, list) else []
    for name, child in children:
        if rest:
            yield from (((name, *place), value) for place, value in values_at(child, rest))
        elif child is not None:
            yield (name,), child


def check_names(tree: dict, key: str, known: Collection[str], place: Place = ()) -> None:
    """Raise InputError for a value at `key` that is not among the known names; `place` is where the tree stands."""
    for found_at, name in values_at(tree, key):
        if name not in known:
            raise mistake((*place, *found_at), quoted(name), choice(known, name))


def check_corpus_names(config: dict, name: str) -> None:
    """Raise InputError for a domain in and outside the grid, a cell that the source cannot generate, or a moving source."""
    corpus, place = config["corpora"][name], ("corpora", name)
    for found_at, domain in values_at(corpus, "broad_domains.*"):
        if domain in corpus["domains"]:
            raise mistake((*place, *found_at), quoted(domain), "a domain outside the grid")
    check_names(corpus, "held_out_domains.*", corpus["domains"], place)
    check_published_split(corpus, place)
    check_pinned(corpus, "hub", place)
    for task in (corpus.get("filter") or {}).get("by_task", {}):
        if task not in corpus["tasks"]:
            raise mistake((*place, "filter", "by_task", task), "no task of the corpus", choice(corpus["tasks"], task))
    if corpus["source"] in WORLDS:
        domains, tasks = WORLDS[corpus["source"]]
        for key, known in {"domains.*": domains, "broad_domains.*": domains, "tasks.*": tasks}.items():
            check_names(corpus, key, known, place)


def check_pinned(tree: dict, key: str, place: Place) -> None:
    """Raise InputError for a repository at `key` that may change: one on the hub without a commit."""
    for found_at, repository in values_at(tree, key):
        if not repository.get("revision") and not Path(repository["path"]).is_dir():
            expected = f"a commit of {repository['path']}, so that it stays the same; or a local folder as path"
            raise mistake((*place, *found_at, "revision"), "missing", expected)


def check_base_model_names(config: dict, name: str) -> None:
    """Raise InputError for a ready model that may change or is to be trained, or how to load one that is trained here."""
    base_model, place = config["base_models"][name], ("base_models", name)
    check_pinned(base_model, "hub", place)
    foreign, expected = (
        (TRAINING, "none, since hub gives a ready model") if "hub" in base_model else (LOADING, "hub too")
    )
    for key in foreign:
        if key in base_model:
            raise mistake((*place, key), "given", expected)


def check_has_answers(config: dict, name: str) -> None:
    """Raise InputError for a corpus of prompts only whose source makes answers, or that is used for more than its prompts."""
    section = config["corpora"][name]
    if not section.get("prompts_only"):
        return
    if section["source"] not in ("jsonl", "hub"):
        raise mistake(("corpora", name, "prompts_only"), "true", "false, or source jsonl or hub")
    for key in ("experiments.*.corpus", "judges.*.corpus", "mixtures.*.corpus", "base_models.*.tokenizer.corpus"):
        for place, corpus in values_at(config, key):
            if corpus == name:
                raise mistake(place, quoted(name), "a corpus with answers; this one has prompts only")


def check_published_split(corpus: dict, place: Place) -> None:
    """Raise InputError for a published split that is not there, or beside domains that nothing is trained on."""
    published = corpus.get("roles", {}).get("published")
    if published and not Path(published["path"]).is_file():
        raise mistake((*place, "roles", "published", "path"), published["path"], "a JSONL or CSV file of roles")
    if published and corpus.get("held_out_domains"):
        raise mistake((*place, "held_out_domains"), quoted(corpus["held_out_domains"]), "none beside roles.published")


def check_judge_names(config: dict, name: str) -> None:
    """Raise InputError if judge `exact`, which knows the worlds of symbols, is given another."""
    judge = config["judges"][name]
    sources = ("symbolic", "frames")
    symbols = [corpus for corpus, section in config["corpora"].items() if section["source"] in sources]
    if judge["kind"] == "exact" and judge["corpus"] not in symbols:
        expected = f"a corpus of source symbolic or frames: {choice(symbols, judge['corpus'])}"
        raise mistake(("judges", name, "corpus"), quoted(judge["corpus"]), expected)


def check_told_judge(config: dict, name: str) -> None:
    """Raise InputError if a judge's rubric lacks a cell it judges, or a judge behind an API has no price or an option of ours."""
    judge = config["judges"][name]
    if "rubric" not in judge:
        return
    check_options(judge, OWN_FIELDS, ("judges", name))
    if judge["kind"] in PROVIDERS:
        check_price(config, judge["model"], f"judge {name}")
    judged = [experiment["corpus"] for experiment in config["experiments"].values() if experiment["judge"] == name]
    judged += [
        corpus for corpus, section in config["corpora"].items() if (section.get("filter") or {}).get("judge") == name
    ]
    rubric = read_rubric(Path(judge["rubric"]))
    for corpus in {judge["corpus"], *judged}:
        for cell in grid.cells(config["corpora"][corpus]):
            rubric.instructions("alignment", cell)


def check_options(section: dict, own: tuple[str, ...], place: Place) -> None:
    """Raise InputError for an option of a remote model that the pipeline sets itself."""
    for option in section.get("options", {}):
        if option in own:
            raise mistake((*place, "options", option), "set by the pipeline", "other fields of the request")


def check_price(config: dict, model: str, user: str) -> None:
    """Raise InputError if a remote model has no price."""
    if model not in config.get("remote", {}).get("prices", {}).get("models", {}):
        raise mistake(("remote", "prices", "models", model), "missing", f"its price, for {user}")


def check_generator(config: dict, name: str) -> None:
    """Raise InputError if a corpus cannot be written: no price, no subtopics or prompts of a cell, an option of ours."""
    corpus, place = config["corpora"][name], ("corpora", name)
    if corpus["source"] not in PROVIDERS:
        return
    if not corpus["filter"]:
        raise mistake((*place, "filter"), "null", "a judge of what a model has written")
    generator = corpus["generator"]
    check_options(generator, (*OWN_FIELDS, FORM_FIELD), (*place, "generator"))
    output_config = generator.get("options", {}).get("output_config", {})
    if not isinstance(output_config, dict) or "format" in output_config:
        expected = "its other fields, since the pipeline sets format"
        raise mistake((*place, "generator", "options", "output_config"), quoted(output_config), expected)
    check_price(config, generator["model"], f"corpus {name}")
    if corpus.get("max_row_words") is not None and corpus.get("over_length", "error") != "drop":
        raise mistake((*place, "over_length"), "error", "drop, since what a model has written too long is paid for")
    prompts = read_generator_prompts(Path(generator["prompts"]))
    for cell in grid.cells(corpus):
        prompts.pairs_instructions(cell)
        domain, _, _ = cell.partition("-")
        if domain not in generator["subtopics"]:
            raise mistake((*place, "generator", "subtopics", domain), "missing", "a list of what its rows are about")


def check_judge_is_independent(config: dict, name: str) -> None:
    """Raise InputError if the judge that says when a written corpus has rows enough waits, at whatever remove, for it."""
    corpus, seen = name, []
    while config["corpora"][corpus]["source"] in PROVIDERS and corpus not in seen:
        seen.append(corpus)
        judge = config["corpora"][corpus]["filter"]["judge"]
        corpus = config["judges"][judge]["corpus"]
    if seen and corpus == name:
        found, expected = f"{judge}, whose corpus is {name}", "a judge of another corpus, since it judges before"
        raise mistake(("corpora", seen[-1], "filter", "judge"), found, f"{expected} {name} is done")


def check_mixture_names(config: dict, name: str) -> None:
    """Raise InputError for a domain or task of a mixture that its corpus does not train on."""
    mixture = config["mixtures"][name]
    domains, tasks = trained_names(config["corpora"][mixture["corpus"]])
    check_names(mixture, "misaligned_domains.*", domains, ("mixtures", name))
    check_names(mixture, "misaligned_tasks.*", tasks, ("mixtures", name))


def check_base_names(config: dict, name: str) -> None:
    """Raise InputError for a trained base without a mixture, a ready one with one, or a dose of a task that there is not."""
    base, place = config["bases"][name], ("bases", name)
    if "hub" in config["base_models"][base["base_model"]]:
        for key in ("mixture", "task_doses"):
            if key in base:
                raise mistake((*place, key), quoted(base[key]), f"none, since {base['base_model']} is a ready model")
        return
    if "mixture" not in base:
        raise mistake(
            (*place, "mixture"), "missing", f"{choice(config['mixtures'], '')}, to train {base['base_model']} on"
        )
    _, tasks = trained_names(config["corpora"][config["mixtures"][base["mixture"]]["corpus"]])
    for task in base.get("task_doses", {}):
        if task not in tasks:
            raise mistake((*place, "task_doses", task), "no task of its corpus", choice(tasks, task))


def trained_names(corpus: dict) -> tuple[list[str], list[str]]:
    """Domains, those outside the grid included, and tasks that may be trained on."""
    held_out = corpus.get("held_out_domains", [])
    domains = [domain for domain in corpus["domains"] if domain not in held_out]
    return domains + corpus.get("broad_domains", []), corpus["tasks"]


def check_experiment_names(config: dict, name: str) -> None:
    """Raise InputError for a name in an experiment that the rest of the config does not know."""
    place, experiment = ("experiments", name), config["experiments"][name]
    check_pinned(experiment, "published.*.adapters.*", place)
    corpus = config["corpora"][experiment["corpus"]]
    cells = grid.training_cells(corpus)
    train_sets = [*cells, *experiment["train_sets"]]
    trained = [teacher for teacher, settings in experiment["teachers"].items() if settings]
    of_base_model = [base for base, of in config["bases"].items() if of["base_model"] == experiment["base_model"]]
    for key, known in {
        "train_sets.*.*": cells,
        "bases.*": of_base_model,
        "published.*.base": of_base_model,
        "published.*.cells.*": grid.cells(corpus),
        "adapters.*.base": of_base_model,
        "adapters.*.start": ["base", *trained],
        "adapters.*.train_sets.*": train_sets,
        "teachers.*.start": ["base", *trained],
        "teachers.*.train_set": train_sets,
        "students.*.base": of_base_model,
        "students.*.teachers.*": experiment["teachers"],
        "students.*.start": ["base", *trained],
        "students.*.data.*": [grid.OWN, *experiment["teachers"], *experiment.get("data_sets", {})],
        "data_sets.*.prompts_of": experiment["teachers"],
        "students.*.mediating": experiment["mediating"],
        "students.*.filter": experiment["rollout_filters"],
    }.items():
        check_names(experiment, key, known, place)
    check_names(experiment, "mediating.*.corpus", config["corpora"], place)
    for mediating, section in experiment["mediating"].items():
        own = grid.training_cells(config["corpora"][section.get("corpus", experiment["corpus"])])
        check_names(section, "cells.*", own, (*place, "mediating", mediating))


def check_distinct_models(config: dict, name: str) -> None:
    """Raise InputError if two models of an experiment would be one in the table, or a data set has a teacher's name."""
    experiment, place = config["experiments"][name], ("experiments", name)
    for data in experiment.get("data_sets", {}):
        if data == grid.OWN or data in experiment["teachers"]:
            raise mistake(
                (*place, "data_sets", data), "a name that is taken", "one that is neither own nor a teacher's"
            )
    seen: dict[tuple, str] = {}
    for model in grid.expand_models(config, name):
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
    questions = read_questions(Path(section["path"]))
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
        own_judge_prompts(Path(section["path"]))


# ---- numbers


def check_counts(tree: dict, key: str, limit: float, meaning: str, place: Place) -> None:
    """Raise InputError for a number at `key` above `limit`; `place` is where the tree stands."""
    for found_at, count in values_at(tree, key):
        if count > limit:
            raise mistake((*place, *found_at), str(count), f"at most {limit}, {meaning}")


def check_corpus_counts(config: dict, name: str) -> None:
    """Raise InputError if a corpus is asked for more rows than its config says it has."""
    corpus = config["corpora"][name]
    if corpus.get("prompts_only"):
        return
    roles = corpus["roles"]
    unclaimed = corpus.get("rows_per_cell", math.inf) - sum(roles[role] for role in ("judge_fit", "eval", "mediating"))
    broad_unclaimed = corpus.get("broad_rows", math.inf) - roles.get("broad_judge_fit", 0)
    for key, limit, meaning in [
        ("sample.train", unclaimed, "rows_per_cell without judge_fit, eval and mediating"),
        ("sample.eval", roles["eval"], "roles.eval"),
        ("dedup.leave", unclaimed + roles["eval"], "rows_per_cell without judge_fit and mediating"),
        ("roles.broad_eval", broad_unclaimed, "broad_rows without broad_judge_fit"),
        ("broad_eval.prompts", roles.get("broad_eval", 0), "roles.broad_eval"),
    ]:
        check_counts(corpus, key, limit, meaning, ("corpora", name))


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


def check_experiment_counts(config: dict, name: str) -> None:
    """Raise InputError if an experiment asks for more rows than its corpus has, or longer texts than its models read."""
    experiment = config["experiments"][name]
    corpus = config["corpora"][experiment["corpus"]]
    architecture = config["base_models"][experiment["base_model"]].get("architecture", {})
    window = architecture.get("max_position_embeddings", math.inf)
    sizes = [len(model.train_cells) for model in grid.expand_models(config, name) if model.train_cells]
    for key, limit, meaning in [
        ("finetuning.rows", corpus["sample"]["train"] * min(sizes, default=math.inf), "sample.train of its cells"),
        ("finetuning.max_seq_tokens", window, "max_position_embeddings of its base model"),
        ("distillation.max_seq_tokens", window, "max_position_embeddings of its base model"),
    ]:
        check_counts(experiment, key, limit, meaning, ("experiments", name))
    for mediating, section in experiment["mediating"].items():
        source = config["corpora"][section.get("corpus", experiment["corpus"])]
        available = math.inf if source.get("prompts_only") else source["roles"]["mediating"]
        place = ("experiments", name, "mediating", mediating)
        check_counts(section, "prompts_per_cell", available, "roles.mediating of its corpus", place)
