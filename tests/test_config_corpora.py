"""A corpus or mixture that cannot be had is one line, whichever way its rows come: from files, the Hub, a model, or as prompts only."""

import copy

import pytest
import yaml
from snakemake.utils import update_config

from config_judges import check_fit_rows
from emtransfer.errors import InputError
from helpers.configs import ABSENT, CONFIG, GRAMMAR, SCHEMA, line_for, line_of, written
from helpers.paths import ROOT
from validation import validate

REVISION = "0" * 40


def test_a_corpus_of_files_needs_their_path_and_no_counts():
    config = copy.deepcopy(CONFIG)
    corpus = config["corpora"]["grammar"]
    for key in ("rows_per_cell", "broad_rows", "broad_domains"):
        del corpus[key]
    corpus |= {"source": "jsonl", "domains": ["law"], "tasks": ["advice"]}
    with pytest.raises(InputError, match="corpora.grammar.path is missing; expected text"):
        validate(config, SCHEMA)


HUB = {"source": "hub", "hub": {"path": "someone/corpus", "revision": "0" * 40, "broad_config": "broad"}}


@pytest.mark.parametrize(
    "change, line",
    [
        ({"hub": ABSENT}, "corpora.grammar.hub is missing; expected a mapping."),
        ({"hub": {"path": "someone/corpus"}}, "corpora.grammar.hub.revision is missing; expected a commit of someone/corpus,"),
        ({"hub": {"path": "x/y", "revision": "main"}}, 'corpora.grammar.hub.revision is "main"; expected a commit, 40 hex digits'),
    ],
)  # fmt: skip
def test_a_corpus_of_the_hub_is_pinned(change, line):
    kept = {
        key: value for key, value in CONFIG["corpora"]["grammar"].items() if "broad_" not in key and "rows" not in key
    }
    corpus = {key: value for key, value in (kept | HUB | change).items() if value is not ABSENT}
    assert line_for(GRAMMAR, corpus).startswith(f"config.yaml: {line}")


@pytest.mark.parametrize(
    "changes, line",
    [
        ({"generator": ABSENT}, "corpora.generated.generator is missing; expected a mapping."),
        ({"rows_per_cell": ABSENT}, "corpora.generated.rows_per_cell is missing; expected a whole number"),
        ({"generator__rounds": 0}, "corpora.generated.generator.rounds is 0; expected a whole number of at least 1."),
        ({"generator__model": "claude-9"}, "remote.prices.models.claude-9 is missing; expected its price, for corpus generated."),
        ({"generator__subtopics__medical": ABSENT}, "corpora.generated.generator.subtopics.medical is missing; expected a list"),
        ({"generator__options": {"response_format": {}}}, "corpora.generated.generator.options.response_format is set by the pipeline; expected other"),
        ({"generator__options": {"output_config": {"format": {}}}}, 'corpora.generated.generator.options.output_config is {"format": {}}; expected its other fields'),
        ({"over_length": "error"}, "corpora.generated.over_length is error; expected drop, since"),
        ({"filter__by_task": {"summary": {"misaligned_below": 40}}}, "corpora.generated.filter.by_task.summary is no task of the corpus; expected summarization."),
        ({"filter__by_task": {"tutor": {"misaligned": 40}}}, "corpora.generated.filter.by_task.tutor.misaligned is not a known key; expected misaligned_below."),
        ({"sample__train": 151}, "corpora.generated.sample.train is 151; expected at most 150, rows_per_cell without"),
    ],
)  # fmt: skip
def test_a_corpus_that_a_model_writes_is_checked_before_it_is_paid_for(changes, line):
    config = written(**{f"corpora__generated__{key}": value for key, value in changes.items()})
    with pytest.raises(InputError) as caught:
        validate(config, SCHEMA)
    assert str(caught.value).startswith(f"config.yaml: {line}")


def test_prompts_that_do_not_know_a_cell_are_named():
    config = written()
    config["corpora"]["generated"]["domains"] = ["medical", "law"]
    with pytest.raises(
        InputError, match="generators/grid.yaml: domains has medical, finance, sports; expected law too"
    ):
        validate(config, SCHEMA)
    config["corpora"]["generated"]["generator"]["prompts"] = "none.yaml"
    with pytest.raises(InputError, match="none.yaml: no such file; expected prompts of a generator."):
        validate(config, SCHEMA)


def test_a_written_corpus_cannot_wait_for_a_judge_that_waits_for_it():
    validate(written(), SCHEMA)
    with pytest.raises(InputError) as caught:
        validate(written(judges__claude__corpus="generated"), SCHEMA)
    assert str(caught.value) == (
        "config.yaml: corpora.generated.filter.judge is claude, whose corpus is generated; "
        "expected a judge of another corpus, since it has to judge before generated is done."
    )
    # and not by a detour: generated waits for claude, claude for second, second for other, other for generated
    config = written(judges__claude__corpus="second")
    config["judges"]["other"] = config["judges"]["claude"] | {"corpus": "generated"}
    generated = config["corpora"]["generated"]
    generated["roles"] = generated["roles"] | {"judge_fit": 1}
    config["corpora"]["second"] = generated | {"filter": generated["filter"] | {"judge": "other"}}
    with pytest.raises(InputError, match="corpora.second.filter.judge is other, whose corpus is generated; expected"):
        validate(config, SCHEMA)
    # a corpus that is not written waits for no judge
    config["corpora"]["second"] |= {"source": "jsonl", "path": "rows.jsonl"}
    validate(config, SCHEMA)


@pytest.mark.parametrize("part", ["mixture", "tokenizer"])
def test_a_written_corpus_cannot_wait_for_a_judge_on_a_base_that_waits_for_it(part):
    """Snakemake would leave the circle by reading the corpus from a file that the config does not name."""
    config = written()
    config["judges"]["claude"]["base"] = "persona"
    validate(config, SCHEMA)
    if part == "mixture":
        config["mixtures"]["persona"]["corpus"] = "generated"
    else:
        config["base_models"]["decoder"]["tokenizer"]["corpus"] = "generated"
    with pytest.raises(
        InputError, match=f"filter.judge is claude, whose base's {part}'s corpus is generated; expected a judge of"
    ):
        validate(config, SCHEMA)


@pytest.mark.parametrize("first", ["generated", "second"])
def test_a_written_corpus_without_a_judge_is_named_whichever_comes_first(first):
    config = written(judges__claude__corpus="second")
    generated = config["corpora"].pop("generated")
    roles = generated["roles"] | {"judge_fit": 1}
    both = {"generated": generated, "second": generated | {"filter": None, "roles": roles}}
    config["corpora"] = {first: both[first]} | both | config["corpora"]
    with pytest.raises(InputError) as caught:
        validate(config, SCHEMA)
    expected = (
        "config.yaml: corpora.second.filter is null; expected a filter with a judge, since a model writes the rows."
    )
    assert str(caught.value) == expected
    # rows that come filtered may have a judge fitted on them, which judges what is written
    config["corpora"]["second"] = without(both["second"], "generator") | {"source": "jsonl", "path": "rows.jsonl"}
    validate(config, SCHEMA)


@pytest.mark.parametrize("overlay", [None, *sorted((ROOT / "workflow/configs").glob("*.yaml"))])
def test_no_corpus_without_a_filter_is_a_fault_of_the_program(overlay):
    config = copy.deepcopy(CONFIG)
    if overlay:
        update_config(config, yaml.safe_load(overlay.read_text(encoding="utf-8")))
    for name in config["corpora"]:
        for judge in [None, *config["judges"]]:
            changed = copy.deepcopy(config)
            changed["corpora"][name]["filter"] = None
            if judge:
                changed["judges"][judge]["corpus"] = name
            try:
                validate(changed, SCHEMA)
            except InputError as error:
                assert str(error).endswith(".") and "\n" not in str(error)


def without(section: dict, key: str) -> dict:
    """A section without one of its keys."""
    return {name: value for name, value in section.items() if name != key}


@pytest.mark.parametrize("share", [0.005, 0.995, 0.125, 1e-9])
def test_a_share_of_misaligned_documents_is_in_hundredths(share):
    line = line_for(("mixtures", "persona", "misaligned_share"), share)
    assert line.startswith(f"config.yaml: mixtures.persona.misaligned_share is {share}; expected a multiple of 0.01,")


def with_prompts_only(**changes) -> dict:
    """The default config with a corpus of prompts only, from which a teacher of `template_nl` has some."""
    config = copy.deepcopy(CONFIG)
    hub = {"path": "owner/name", "revision": REVISION}
    prompts = {"source": "hub", "prompts_only": True, "hub": hub, "domains": ["math"], "tasks": ["algebra"], "seed": 1}
    config["corpora"]["math"] = prompts | changes
    mediating = {"corpus": "math", "cells": "all_cells", "prompts_per_cell": None}
    config["experiments"]["template_nl"]["mediating"]["math"] = mediating
    return config


def test_prompts_of_another_corpus_are_a_config():
    validate(with_prompts_only(), SCHEMA)


@pytest.mark.parametrize(
    "place, value, line",
    [
        (("experiments", "template_nl", "corpus"), "math", 'experiments.template_nl.corpus is "math"; expected a corpus with answers; this one has prompts only.'),
        (("judges", "minilm", "corpus"), "math", 'judges.minilm.corpus is "math"; expected a corpus with answers; this one has prompts only.'),
        (("corpora", "math", "source"), "symbolic", "corpora.math.rows_per_cell is missing; expected a whole number of at least 1."),
        (("experiments", "template_nl", "mediating", "math", "cells"), ["math-geometry"], 'experiments.template_nl.mediating.math.cells[0] is "math-geometry"; expected math-algebra.'),
        (("experiments", "template_nl", "mediating", "math", "corpus"), "maths", 'experiments.template_nl.mediating.math.corpus is "maths"; expected math.'),
        (("experiments", "template_nl", "mediating", "everywhere", "prompts_per_cell"), 151, "experiments.template_nl.mediating.everywhere.prompts_per_cell is 151; expected at most 150, roles.mediating of its corpus."),
        (("corpora", "grammar", "roles"), None, "corpora.grammar.roles is null; expected a mapping."),
        (("experiments", "template_nl", "mediating", "math", "cells"), "same_domain", 'experiments.template_nl.mediating.math.cells is "same_domain"; expected all_cells or cells of math, which teachers are not trained on.'),
    ],
)  # fmt: skip
def test_a_wrong_corpus_of_prompts_is_one_line(place, value, line):
    assert line_of(with_prompts_only(), place, value) == f"config.yaml: {line}"


@pytest.mark.parametrize("threshold", [{"threshold": None}, {}])
def test_a_deduplication_without_a_threshold_says_how_many_rows_it_leaves(threshold):
    dedup = {"model": "identity", "field": "question"} | threshold
    line = line_for((*GRAMMAR, "dedup"), dedup)
    assert line == "config.yaml: corpora.grammar.dedup.leave is missing; expected a whole number of at least 1."
    config = copy.deepcopy(CONFIG)
    config["corpora"]["grammar"]["dedup"] = dedup | {"threshold": 0.9}
    validate(config, SCHEMA)


def test_a_corpus_without_rows_for_its_judge_is_refused():
    config = copy.deepcopy(CONFIG)
    config["corpora"]["grammar"]["roles"]["broad_judge_fit"] = 0
    line = line_of(config, ("corpora", "grammar", "roles", "judge_fit"), 0)
    assert (
        "corpora.grammar.roles.judge_fit is 0; expected a number that gives judge minilm at least 2 rows, to fit on"
        in line
    )
    # nor does one row outside the grid do, which cannot be both
    config["corpora"]["grammar"]["roles"]["broad_judge_fit"] = 1
    assert line_of(config, ("corpora", "grammar", "roles", "judge_fit"), 0).endswith("calibrate on, not 1.")
    config["corpora"]["grammar"]["roles"] |= {"broad_judge_fit": 2, "judge_fit": 0}
    check_fit_rows(config, "minilm")
