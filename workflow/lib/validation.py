"""Check the config before anything runs: its shape against the schema, then its names and numbers against each other.

The first mistake is raised as an InputError of one line: the key, its value and what was expected.
"""

from pathlib import Path

import yaml

from config_corpora import (
    check_corpus_counts,
    check_corpus_names,
    check_has_answers,
    check_mixture_names,
    check_mixture_parts,
    check_mixture_share,
)
from config_experiments import (
    check_capacities,
    check_contexts,
    check_distinct_models,
    check_experiment_counts,
    check_experiment_names,
    check_method,
    check_questions,
    check_shots,
    check_target_modules,
)
from config_files import Contents, in_its_file
from config_guards import check_guards
from config_judges import (
    check_fit_rows,
    check_frozen_layers,
    check_generator,
    check_judge_is_independent,
    check_judge_names,
    check_labels,
    check_panel,
    check_reference_rows,
    check_told_judge,
)
from config_likes import resolve_likes
from config_mistakes import ConfigMistake, check_names
from config_models import (
    check_assistant,
    check_base_model_counts,
    check_base_model_names,
    check_base_names,
    check_checkpoint,
    check_distinct_base,
    check_neutral_share,
)
from config_shape import check_schema

# the schema is read by every job, and libyaml does it ten times as fast
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

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
    "experiments.*.panel.*": "judges",
    "experiments.*.base_model": "base_models",
}


def validate(config: dict, schema_path: str | Path, contents: Contents | None = None) -> None:
    """Check a config, in which experiments that are like another one become whole first.

    Args:
        config: as Snakemake merged it from config.yaml and overlays; is changed.
        schema_path: JSON Schema 2020-12, written in YAML.
        contents: what each of those files says; without it, every mistake is told of config.yaml.

    Raises:
        InputError: a key, a value, a name or a number is wrong.
    """
    try:
        check(config, schema_path)
    except ConfigMistake as error:
        raise in_its_file(error, contents or {}) from None


def check(config: dict, schema_path: str | Path) -> None:
    """As `validate`, every mistake told of config.yaml."""
    # before all else, since other messages quote what they found
    check_guards(config)
    schema = LOADER(Path(schema_path).read_text(encoding="utf-8")).get_single_data()
    resolve_likes(config, schema)
    check_schema(config, schema)
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
        "judges": [
            check_judge_names,
            check_told_judge,
            check_labels,
            check_fit_rows,
            check_frozen_layers,
            check_reference_rows,
        ],
        "mixtures": [check_mixture_names, check_mixture_parts, check_mixture_share],
        "bases": [check_base_names, check_checkpoint, check_distinct_base],
        "base_models": [check_base_model_names, check_base_model_counts, check_assistant, check_neutral_share],
        "experiments": [
            check_experiment_names,
            check_contexts,
            check_capacities,
            check_method,
            check_panel,
            check_distinct_models,
            check_questions,
            check_experiment_counts,
            check_shots,
            check_target_modules,
        ],
    }.items():
        for name in config[section]:
            for check_section in checks:
                check_section(config, name)
