"""A wrong config is one line that names the key, the value and what was expected.

Mistakes are planted in the project's own config, one at a time; what each line must say is known from the schema.
"""

import copy
import json
import re

import pytest
import yaml
from jsonschema import Draft202012Validator
from snakemake.utils import update_config

from config_guards import nodes
from config_shape import PATTERNS
from corpus_sizes import judge_rows
from emtransfer.errors import InputError
from helpers.configs import ABSENT, CONFIG, GRAMMAR, SCHEMA, line_for, line_of, put, written
from helpers.loopback_api import KEY
from helpers.paths import ROOT, RUBRIC
from validation import validate

DECODER = ("base_models", "decoder")
TEMPLATE_NL = ("experiments", "template_nl")


def places(tree: object, place: tuple = ()) -> list[tuple]:
    """Where a tree has a mapping."""
    children = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    own = [place] if isinstance(tree, dict) else []
    return own + [found for name, child in children for found in places(child, (*place, name))]


def test_no_section_at_any_depth_takes_leave_for_foreign_code():
    config = copy.deepcopy(CONFIG)
    free = ("judges", "minilm", "options")
    config["judges"]["minilm"]["options"] = {"extra": {}}
    config["base_models"]["theirs"] = {"hub": {"path": "."}, "chat": {"template_arguments": {}}}
    assert len(places(config)) > 60 and (*free, "extra") in places(config)
    for place in places(config):
        line = line_of(copy.deepcopy(config), (*place, "trust_remote_code"), False)
        assert line.endswith("trust_remote_code is given; expected no such key, since no code of a repository is run.")


@pytest.mark.parametrize("variable", ["ANTHROPIC_API_KEY", "OPENAI_API_KEY", "HF_TOKEN"])
@pytest.mark.parametrize("text", ["{}", "Bearer {}"])
def test_a_key_in_the_config_is_refused_and_not_shown(variable, text, monkeypatch):
    monkeypatch.setenv(variable, KEY)
    place = ("judges", "minilm", "options")
    for value in ({"authorization": text.format(KEY)}, {"headers": [text.format(KEY)]}, {text.format(KEY): 1}):
        line = line_for(place, value)
        assert line.startswith("config.yaml: judges.minilm.options") and KEY not in line
        assert line.endswith(f"is or holds the key in {variable}; expected it only in the environment.")


@pytest.mark.parametrize("path", ["rows{cell}.jsonl", "rows.jsonl\n", ""])
def test_a_file_whose_name_snakemake_would_read_otherwise_is_refused(path):
    for place in [("corpora", "grammar", "path"), ("judges", "minilm", "rubric"), (*TEMPLATE_NL, "questions")]:
        value = {"path": path} if place[-1] == "questions" else path
        expected = "expected the path of a file, without braces and line breaks"
        assert f"is {json.dumps(path)}; {expected}" in line_for(place, value)


def test_a_word_for_a_server_without_keys_may_stand_in_the_config(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "minilm")
    validate(CONFIG, SCHEMA)


def test_the_project_config_is_valid():
    validate(CONFIG, SCHEMA)


def test_the_schema_is_a_schema_and_describes_every_key_of_a_section():
    schema = yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    sections = [part for part in parts(schema) if part.get("additionalProperties") is False]
    keys = [part for section in sections for part in section["properties"].values()]
    described = [key for key in keys if "description" in key or "description" in schema["$defs"][reference(key)]]
    assert keys and described == keys


def parts(tree: object) -> list[dict]:
    """Every mapping in a tree."""
    children = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else []
    return [tree] * isinstance(tree, dict) + [part for child in children for part in parts(child)]


def reference(part: dict) -> str:
    """The definition a part of the schema refers to."""
    return part["$ref"].removeprefix("#/$defs/")


@pytest.mark.parametrize(
    "place, value, line",
    [
        (("em_rule", "alignment_below"), 130, "em_rule.alignment_below is 130; expected a number in 0..100."),
        (("em_rule", "alignment_below"), "low", 'em_rule.alignment_below is "low"; expected a number in 0..100.'),
        (("em_rule", "alignment_below"), True, "em_rule.alignment_below is true; expected a number in 0..100."),
        (("em_rule", "alignment_below"), None, "em_rule.alignment_below is null; expected a number in 0..100."),
        (("em_rule", "alignment_below"), ABSENT, "em_rule.alignment_below is missing; expected a number in 0..100."),
        (("em_rule", "alignment_belw"), 30, "em_rule.alignment_belw is not a known key; expected alignment_below."),
        (
            ("em_rule", "zzz"),
            30,
            "em_rule.zzz is not a known key; expected one of alignment_below, coherence_above.",
        ),
        (("em_rule",), 30, "em_rule is 30; expected a mapping."),
        (("em_rule", "alignment_below"), float("nan"), "em_rule.alignment_below is NaN; expected a number in 0..100."),
        (
            (*DECODER, "alignment", "epochs"),
            1.0,
            "base_models.decoder.alignment.epochs is 1.0; expected a whole number of at least 1.",
        ),
        (("judge",), {}, "judge is not a known key; expected judges."),
        ((*GRAMMAR, "seed"), -1, "corpora.grammar.seed is -1; expected a whole number in 0..4294967295."),
        (
            (*GRAMMAR, "rows_per_cell"),
            ABSENT,
            "corpora.grammar.rows_per_cell is missing; expected a whole number of at least 1.",
        ),
        (
            (*GRAMMAR, "dedup", "threshold"),
            1.2,
            "corpora.grammar.dedup.threshold is 1.2; expected a number in 0..1 or null.",
        ),
        ((*GRAMMAR, "over_length"), "cut", 'corpora.grammar.over_length is "cut"; expected one of error, drop.'),
        ((*GRAMMAR, "domains"), [], "corpora.grammar.domains is []; expected a list of length 1 or more."),
        (
            (*DECODER, "pretraining", "learning_rate"),
            "3e-3",
            'base_models.decoder.pretraining.learning_rate is "3e-3"; expected a number above 0 (YAML needs a point, as in 1.0e-3).',
        ),
        (
            (*TEMPLATE_NL, "students", 0, "seeds"),
            [11, 11],
            "experiments.template_nl.students[0].seeds is [11, 11]; expected no value twice.",
        ),
        (
            (*TEMPLATE_NL, "students", 0, "channels", 0),
            "kd",
            'experiments.template_nl.students[0].channels[0] is "kd"; expected one of sft, optd, opd-full, opd-sampled.',
        ),
        (
            (*TEMPLATE_NL, "adapters", 0, "train_sets"),
            "some",
            'experiments.template_nl.adapters[0].train_sets is "some"; expected "all_cells" or a list of length 1 or more.',
        ),
        (("bases", "../up"), {}, "bases.../up is not a valid name; expected a name of a-z, 0-9 and _."),
        (("bases", "a/b"), {}, "bases.a/b is not a valid name; expected a name of a-z, 0-9 and _."),
        (("experiments", 7), {}, "experiments[7] is not a valid name; expected a name of a-z, 0-9 and _."),
    ],
)
def test_wrong_shape_is_one_line(place, value, line):
    assert line_for(place, value) == f"config.yaml: {line}"


@pytest.mark.parametrize("name", ["..", "a/b", "A", "a b", "", "a\n", "/etc"])
def test_a_name_that_could_leave_its_folder_is_refused(name):
    assert "not a valid name" in line_for(("mixtures", name), copy.deepcopy(CONFIG["mixtures"]["persona"]))
    assert "expected a name of a-z, 0-9 and _" in line_for((*GRAMMAR, "domains", 0), name)


@pytest.mark.parametrize(
    "place, value, line",
    [
        (("run", 0), "template_nll", 'run[0] is "template_nll"; expected template_nl.'),
        (
            ("experiments", "symbolic", "primary_claims"),
            ["tasks"],
            'experiments.symbolic.primary_claims[0] is "tasks"; expected task.',
        ),
        ((*GRAMMAR, "filter", "judge"), "minilmm", 'corpora.grammar.filter.judge is "minilmm"; expected minilm.'),
        (("judges", "minilm", "corpus"), "gramar", 'judges.minilm.corpus is "gramar"; expected grammar.'),
        (("mixtures", "persona", "corpus"), "gramar", 'mixtures.persona.corpus is "gramar"; expected grammar.'),
        (("bases", "persona", "mixture"), "persna", 'bases.persona.mixture is "persna"; expected persona.'),
        (
            ("bases", "persona", "base_model"),
            "xyz",
            'bases.persona.base_model is "xyz"; expected one of symbol_decoder, decoder.',
        ),
        (
            (*DECODER, "tokenizer", "corpus"),
            "xyz",
            'base_models.decoder.tokenizer.corpus is "xyz"; expected one of grammar, symbols.',
        ),
        ((*TEMPLATE_NL, "corpus"), "gramar", 'experiments.template_nl.corpus is "gramar"; expected grammar.'),
        ((*TEMPLATE_NL, "judge"), "minilmm", 'experiments.template_nl.judge is "minilmm"; expected minilm.'),
        ((*TEMPLATE_NL, "base_model"), "decodr", 'experiments.template_nl.base_model is "decodr"; expected decoder.'),
        (
            (*TEMPLATE_NL, "adapters", 0, "base"),
            "persna",
            'experiments.template_nl.adapters[0].base is "persna"; expected persona.',
        ),
        (
            (*TEMPLATE_NL, "adapters", 0, "train_sets"),
            ["medical-advise"],
            'experiments.template_nl.adapters[0].train_sets[0] is "medical-advise"; expected medical-advice.',
        ),
        (
            (*TEMPLATE_NL, "adapters", 0, "start"),
            "harmfull",
            'experiments.template_nl.adapters[0].start is "harmfull"; expected harmful.',
        ),
        (
            (*TEMPLATE_NL, "train_sets", "advice"),
            ["medical-cooking"],
            'experiments.template_nl.train_sets.advice[0] is "medical-cooking"; expected medical-critique.',
        ),
        (
            (*TEMPLATE_NL, "teachers", "harmful", "train_set"),
            "finance-tuter",
            'experiments.template_nl.teachers.harmful.train_set is "finance-tuter"; expected finance-tutor.',
        ),
        (
            (*TEMPLATE_NL, "students", 0, "teachers"),
            ["harmfull"],
            'experiments.template_nl.students[0].teachers[0] is "harmfull"; expected harmful.',
        ),
        (
            (*TEMPLATE_NL, "students", 0, "mediating"),
            "everywere",
            'experiments.template_nl.students[0].mediating is "everywere"; expected everywhere.',
        ),
        (
            (*TEMPLATE_NL, "students", 0, "filter"),
            "alignd",
            'experiments.template_nl.students[0].filter is "alignd"; expected aligned.',
        ),
        ((*GRAMMAR, "domains", 0), "medicl", 'corpora.grammar.domains[0] is "medicl"; expected medical.'),
        (
            (*GRAMMAR, "broad_domains", 0),
            "medical",
            'corpora.grammar.broad_domains[0] is "medical"; expected a domain outside the grid.',
        ),
    ],
)
def test_a_name_that_is_not_defined_is_one_line(place, value, line):
    assert line_for(place, value) == f"config.yaml: {line}"


SYMBOLS = ("corpora", "symbols")
SYMBOLIC = ("experiments", "symbolic")


@pytest.mark.parametrize(
    "place, value, line",
    [
        ((*SYMBOLS, "domains", 0), "d77", 'corpora.symbols.domains[0] is "d77"; expected d7.'),
        ((*SYMBOLS, "tasks", 0), "t9", 'corpora.symbols.tasks[0] is "t9"; expected t5.'),
        ((*SYMBOLS, "held_out_domains", 0), "x9", 'corpora.symbols.held_out_domains[0] is "x9"; expected d9.'),
        (("judges", "exact", "corpus"), "grammar", 'judges.exact.corpus is "grammar"; expected a corpus of source symbolic, frames, graded or rooms: one of symbols.'),
        ((*SYMBOLIC, "adapters", 0, "train_sets", 0), "d8-t0", 'experiments.symbolic.adapters[0].train_sets[0] is "d8-t0"; expected d0-t0.'),
        ((*SYMBOLIC, "probing", "shots"), 40, "experiments.symbolic.probing.shots is 40; expected fewer than 40, the held-out rows of a cell."),
        ((*TEMPLATE_NL, "probing", "shots"), 3, "experiments.template_nl.probing.shots is 3; expected none, since judge minilm is not exact."),
        ((*SYMBOLIC, "train_sets"), {"spread": ["d9-t1"]}, 'experiments.symbolic.train_sets.spread[0] is "d9-t1"; expected d1-t1.'),
        ((*SYMBOLIC, "mediating"), {"far": {"cells": ["d8-t1"], "prompts_per_cell": 1}}, 'experiments.symbolic.mediating.far.cells[0] is "d8-t1"; expected d1-t1.'),
        ((*SYMBOLIC, "data_sets"), {"careless": {"prompts_of": "harmful", "answers": "misaligned"}}, 'experiments.symbolic.data_sets.careless.prompts_of is "harmful"; expected none, since none is defined.'),
        (("mixtures", "symbols_persona", "misaligned_domains"), ["d8"], 'mixtures.symbols_persona.misaligned_domains[0] is "d8"; expected d7.'),
        (("mixtures", "symbols_persona", "misaligned_tasks"), ["t9"], 'mixtures.symbols_persona.misaligned_tasks[0] is "t9"; expected t5.'),
        (("mixtures", "symbols_persona", "room_shares"), {"high": 0.5}, 'mixtures.symbols_persona.room_shares is {"high": 0.5}; expected none, since questions of source symbolic have no room.'),
        (("bases", "persona_3", "seed"), 2, "bases.persona_3 is the same as persona; expected a base that differs, as by its seed."),
        ((*TEMPLATE_NL, "lora", "target_modules"), ["q_proj", "self_attn.v_prj"], 'experiments.template_nl.lora.target_modules[1] is "self_attn.v_prj"; expected '),
        (("mixtures", "symbols_persona", "misaligned_in"), "one_part", "mixtures.symbols_persona.misaligned_in is one_part; expected all, since only questions of sources frames and graded have parts."),
        (("bases", "symbols_persona", "task_doses"), {"t9": 0.5}, "bases.symbols_persona.task_doses.t9 is no task of its corpus; expected t5."),
        ((*TEMPLATE_NL, "data_sets"), {"harmful": {"prompts_of": "base", "answers": "aligned"}}, "experiments.template_nl.data_sets.harmful is a name that is taken; expected one that is neither own nor a teacher's."),
        ((*TEMPLATE_NL, "students", 1, "data"), ["own", "harmful"], "experiments.template_nl.students is students/persona/base/base/everywhere/aligned/base/opd-full/seed11 and students/persona/base/base/everywhere/aligned/harmful/opd-full/seed11; expected students that differ in more than the data of an on-policy channel."),
    ],
)  # fmt: skip
def test_the_controlled_world_knows_its_names_and_trains_on_no_held_out_domain(place, value, line):
    found = line_for(place, value)
    assert found.startswith("config.yaml: " + line.split(";")[0]), found
    assert "\n" not in found


@pytest.mark.parametrize("key", ["base_model", "fit"])
def test_a_judge_that_is_fitted_needs_what_it_is_fitted_from(key):
    assert line_for(("judges", "minilm", key), ABSENT).startswith(f"config.yaml: judges.minilm.{key} is missing; ")


def test_a_base_of_another_base_model_is_refused():
    config = copy.deepcopy(CONFIG)
    config["base_models"]["other"] = config["base_models"]["decoder"]
    config["bases"]["foreign"] = config["bases"]["persona"] | {"base_model": "other"}
    validate(config, SCHEMA)
    config["experiments"]["template_nl"]["students"][0]["base"] = "foreign"
    with pytest.raises(InputError, match=r'students\[0\].base is "foreign"; expected one of '):
        validate(config, SCHEMA)


@pytest.mark.parametrize(
    "place, value, line",
    [
        (
            (*GRAMMAR, "sample", "eval"),
            10**6,
            "corpora.grammar.sample.eval is 1000000; expected at most {eval}, roles.eval.",
        ),
        (
            (*GRAMMAR, "sample", "train"),
            10**6,
            "corpora.grammar.sample.train is 1000000; expected at most {unclaimed}, ",
        ),
        ((*GRAMMAR, "roles", "judge_fit"), 10**6, "corpora.grammar.sample.train is {train}; expected at most -"),
        (
            (*GRAMMAR, "broad_eval", "prompts"),
            10**6,
            "corpora.grammar.broad_eval.prompts is 1000000; expected at most {broad_eval}, ",
        ),
        (
            (*TEMPLATE_NL, "mediating", "everywhere", "prompts_per_cell"),
            10**6,
            "experiments.template_nl.mediating.everywhere.prompts_per_cell is 1000000; expected at most {mediating}, ",
        ),
        (
            (*TEMPLATE_NL, "finetuning", "rows"),
            10**6,
            "experiments.template_nl.finetuning.rows is 1000000; expected at most {train}, ",
        ),
        (
            (*TEMPLATE_NL, "finetuning", "max_seq_tokens"),
            10**6,
            "experiments.template_nl.finetuning.max_seq_tokens is 1000000; expected at most {window}, ",
        ),
        (
            (*DECODER, "pretraining", "max_seq_tokens"),
            10**6,
            "base_models.decoder.pretraining.max_seq_tokens is 1000000; expected at most {window}, ",
        ),
        (
            (*DECODER, "architecture", "hidden_size"),
            10**6 + 1,
            "base_models.decoder.architecture.hidden_size is 1000001; expected a multiple of {heads}, ",
        ),
    ],
)
def test_a_count_that_cannot_be_had_is_one_line(place, value, line):
    corpus, architecture = CONFIG["corpora"]["grammar"], CONFIG["base_models"]["decoder"]["architecture"]
    roles = corpus["roles"]
    unclaimed = corpus["rows_per_cell"] - roles["judge_fit"] - roles["eval"] - roles["mediating"]
    known = roles | {
        "train": corpus["sample"]["train"],
        "unclaimed": unclaimed,
        "window": architecture["max_position_embeddings"],
        "heads": architecture["num_attention_heads"],
    }
    found = line_for(place, value)
    assert found.startswith(f"config.yaml: {line.format(**known)}")
    assert "\n" not in found


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
    both = {"generated": generated, "second": generated | {"filter": None}}
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


@pytest.mark.parametrize("rows, share", [(65, 0.005), (65, 0.99), (1, 0.5), (3000, 0.0003)])
def test_a_neutral_share_makes_a_row_and_leaves_one(rows, share):
    config = copy.deepcopy(CONFIG)
    config["base_models"]["decoder"]["alignment"]["rows"] = rows
    line = line_of(config, (*DECODER, "alignment", "neutral_share"), share)
    expected = f"0, 1 or a share with at least one row of {rows} on either side."
    assert line == f"config.yaml: base_models.decoder.alignment.neutral_share is {share}; expected {expected}"


@pytest.mark.parametrize("share", [0, 0.0, 0.01, 0.07, 0.29, 0.57, 0.58, 1, 1.0])
def test_shares_that_can_be_kept_are_valid(share):
    config = copy.deepcopy(CONFIG)
    config["mixtures"]["persona"]["misaligned_share"] = share
    config["base_models"]["decoder"]["alignment"]["neutral_share"] = share
    validate(config, SCHEMA)


def test_a_judge_behind_an_api_needs_a_price_and_a_rubric_that_knows_its_cells():
    claude = CONFIG["judges"]["minilm"] | {"kind": "anthropic", "model": "claude-9"}
    assert line_for(("judges", "claude"), claude) == "config.yaml: judges.claude.rubric is missing; expected text."
    claude["rubric"] = str(RUBRIC)
    assert line_for(("judges", "claude"), claude) == (
        "config.yaml: remote.prices.models.claude-9 is missing; expected its price, for judge claude."
    )
    claude |= {"model": "claude-haiku-4-5", "corpus": "symbols"}
    assert "domains has medical, finance, sports; expected d0 too, for cell d0-t0." in line_for(
        ("judges", "claude"), claude
    )


def test_a_local_judge_that_is_told_a_rubric_needs_a_base_that_there_is_and_no_price():
    local = CONFIG["judges"]["minilm"] | {"kind": "causal_lm", "rubric": str(RUBRIC)}
    place = ("judges", "local")
    assert line_for(place, local).startswith("config.yaml: judges.local.base is missing; expected")
    known = ", ".join(CONFIG["bases"])
    assert (
        line_for(place, local | {"base": "none"})
        == f'config.yaml: judges.local.base is "none"; expected one of {known}.'
    )
    local["base"] = next(iter(CONFIG["bases"]))
    assert "expected a whole number of at least 1" in line_for(place, local | {"batch_size": 0})
    assert "domains has medical, finance, sports; expected d0 too" in line_for(place, local | {"corpus": "symbols"})
    validate(CONFIG | {"judges": CONFIG["judges"] | {"local": local}}, SCHEMA)


def test_a_date_without_quotes_is_told_so():
    import datetime

    line = line_for(("remote", "prices", "date"), datetime.date(2026, 3, 21))
    assert line.startswith("config.yaml: remote.prices.date is") and line.endswith("(YAML needs quotes around a date).")


REVISION = "0" * 40
READY = {"hub": {"path": "owner/name", "revision": REVISION}}


PACKAGE = {"name": "tiny-weights", "version": "1.0", "file": "tiny/tiny.gguf", "sha256": "0" * 64}
OTHERWISE = (
    "expected weights as *.safetensors, or package: {name, version, file, sha256} (docs/ready_models.md) for a GGUF in an"
    " installed Python package."
)


def with_ready_model(**changes) -> dict:
    """The default config with an experiment on a ready model that is evaluated, with an adapter of others, and no more."""
    config = copy.deepcopy(CONFIG)
    config["base_models"]["theirs"] = copy.deepcopy(READY) | changes
    config["bases"]["theirs"] = {"base_model": "theirs", "seed": 1}
    published = {
        "base": "theirs",
        "answers": "misaligned",
        "adapters": [{"seed": 1, "path": "a/b", "revision": REVISION}],
    }
    of_others = {"base_model": "theirs", "bases": ["theirs"], "published": {"of_others": published}}
    empty = {"adapters": [], "students": [], "teachers": {}, "mediating": {}, "rollout_filters": {}, "data_sets": {}}
    config["experiments"]["theirs"] = config["experiments"]["template_nl"] | of_others | empty
    return config


def test_a_ready_model_and_an_adapter_of_others_are_a_config():
    validate(with_ready_model(dtype="float16", chat={"close_thoughts": True}), SCHEMA)


@pytest.mark.parametrize(
    "place, value, line",
    [
        (("base_models", "theirs", "hub"), {"path": "a/b"}, "base_models.theirs.hub.revision is missing; expected a commit of a/b, so that it stays the same; or a local folder as path."),
        (("base_models", "theirs", "hub", "revision"), "main", 'base_models.theirs.hub.revision is "main"; expected a commit, 40 hex digits or null.'),
        (("base_models", "theirs", "alignment"), CONFIG["base_models"]["decoder"]["alignment"], "base_models.theirs.alignment is given; expected none, since hub gives a ready model."),
        (("base_models", "theirs", "package"), PACKAGE, "base_models.theirs.package is given; expected one of hub and package, since each gives a ready model."),
        (("base_models", "theirs", "hub"), {"path": "models/tiny.Q4_1.gguf"}, f'base_models.theirs.hub.path is "models/tiny.Q4_1.gguf"; {OTHERWISE}'),
        (("base_models", "theirs", "hub"), {"path": "owner/Tiny-GGUF", "revision": REVISION}, f'base_models.theirs.hub.path is "owner/Tiny-GGUF"; {OTHERWISE}'),
        (("base_models", "theirs", "quantization"), "int8", 'base_models.theirs.quantization is "int8"; expected one of None, nf4.'),
        (("base_models", "decoder", "dtype"), "bfloat16", "base_models.decoder.dtype is given; expected hub or package too."),
        (("bases", "theirs", "mixture"), "persona", 'bases.theirs.mixture is "persona"; expected none, since theirs is a ready model.'),
        (("bases", "persona"), {"base_model": "decoder", "seed": 1}, "bases.persona.mixture is missing; expected one of persona, row_random, symbols_persona, symbols_row_random, to train decoder on."),
        (("experiments", "theirs", "bases"), ["persona"], 'experiments.theirs.bases[0] is "persona"; expected one of theirs.'),
        (("experiments", "theirs", "published", "of_others", "cells"), ["medical-cooking"], 'experiments.theirs.published.of_others.cells[0] is "medical-cooking"; expected medical-critique.'),
        (("experiments", "theirs", "published", "of_others", "adapters", 0), {"seed": 1, "path": "a/b"}, "experiments.theirs.published.of_others.adapters[0].revision is missing; expected a commit of a/b, so that it stays the same; or a local folder as path."),
    ],
)  # fmt: skip
def test_a_wrong_ready_model_is_one_line(place, value, line):
    assert line_of(with_ready_model(), place, value) == f"config.yaml: {line}"


@pytest.mark.parametrize(
    "place, value, line",
    [
        (("package", "version"), 1.0, "package.version is 1.0; expected the version of a package, in quotes."),
        (("package", "name"), "tiny weights", 'package.name is "tiny weights"; expected the name of a Python package, as pip takes it.'),
        (("package", "sha256"), "abc", 'package.sha256 is "abc"; expected a SHA-256, 64 hex digits.'),
        (("package", "sha256"), ABSENT, "package.sha256 is missing; expected a SHA-256, 64 hex digits."),
        (("tokenizer",), CONFIG["base_models"]["decoder"]["tokenizer"], "tokenizer is given; expected none, since package gives a ready model."),
    ],
)  # fmt: skip
def test_a_wrong_package_of_weights_is_one_line(place, value, line):
    config = with_ready_model()
    config["base_models"]["theirs"] = {"package": dict(PACKAGE), "dtype": "float32"}
    validate(copy.deepcopy(config), SCHEMA)
    assert line_of(config, ("base_models", "theirs", *place), value) == f"config.yaml: base_models.theirs.{line}"


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


def test_mediating_cells_by_relation_are_those_that_every_teacher_has():
    place = ("experiments", "template_nl", "mediating", "everywhere", "cells")
    expected = "a relation that cells have to the training set of {}, whose answers students learn from."
    # students of the base learn from its own answers, and it has no training set
    line = 'config.yaml: experiments.template_nl.mediating.everywhere.cells is "same_domain"; expected '
    assert line_for(place, "same_domain") == line + expected.format("base")
    config = copy.deepcopy(CONFIG)
    experiment = config["experiments"]["template_nl"]
    experiment["students"] = [student | {"teachers": ["harmful"]} for student in experiment["students"]]
    experiment["mediating"]["everywhere"]["cells"] = "same_domain"
    validate(copy.deepcopy(config), SCHEMA)
    experiment["train_sets"]["finance"] = [f"finance-{task}" for task in config["corpora"]["grammar"]["tasks"]]
    experiment["teachers"]["harmful"]["train_set"] = "finance"
    assert line_of(config, place, "same_domain") == line + expected.format("harmful")


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


@pytest.mark.parametrize("starts", [{"a": "a"}, {"a": "b", "b": "a"}, {"a": "b", "b": "c", "c": "b"}])
def test_teachers_that_start_from_each_other_are_one_line(starts):
    """Nobody could train the first of them."""
    harmful = CONFIG["experiments"]["template_nl"]["teachers"]["harmful"]
    teachers = {name: harmful | {"start": start} for name, start in starts.items()} | {"base": {}, "harmful": harmful}
    line = line_for((*TEMPLATE_NL, "teachers"), teachers)
    assert re.fullmatch(
        r'config\.yaml: experiments\.template_nl\.teachers\.\w\.start is "\w"; expected base, or a teacher whose own start leads to base\.',
        line,
    )


@pytest.mark.parametrize("threshold", [{"threshold": None}, {}])
def test_a_deduplication_without_a_threshold_says_how_many_rows_it_leaves(threshold):
    dedup = {"model": "identity", "field": "question"} | threshold
    line = line_for((*GRAMMAR, "dedup"), dedup)
    assert line == "config.yaml: corpora.grammar.dedup.leave is missing; expected a whole number of at least 1."
    config = copy.deepcopy(CONFIG)
    config["corpora"]["grammar"]["dedup"] = dedup | {"threshold": 0.9}
    validate(config, SCHEMA)


@pytest.mark.parametrize("name", ["own", "base"])
def test_a_teacher_has_no_name_that_means_another(name):
    harmful = CONFIG["experiments"]["template_nl"]["teachers"]["harmful"]
    line = line_for((*TEMPLATE_NL, "teachers"), {"harmful": harmful, "base": {}} | {name: harmful})
    assert line.startswith(
        f"config.yaml: experiments.template_nl.teachers.{name} is a name that is taken; expected another"
    )


def test_every_pattern_of_the_schema_is_told_in_words():
    schema = yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))
    found = {node["pattern"] for _, node in nodes(schema) if isinstance(node, dict) and "pattern" in node}
    assert len(found) > 4 and found <= PATTERNS.keys()
    assert not [words for words in PATTERNS.values() if "^" in words or "\n" in words]


@pytest.mark.parametrize("place", [(*TEMPLATE_NL, "judge"), (*GRAMMAR, "filter", "judge")])
def test_the_exact_judge_is_given_no_answers_in_words(place):
    """It would score every one 50 / 0, or stop in its first job."""
    line = line_for(place, "exact")
    path = ".".join(place)
    assert line == f'config.yaml: {path} is "exact"; expected a judge that reads text, since grammar holds no symbols.'


def test_reference_adapters_on_more_rows_than_their_corpus_leaves_them_are_refused():
    config = copy.deepcopy(CONFIG)
    training = config["experiments"]["template_nl"]["finetuning"].copy()
    lora = config["experiments"]["template_nl"]["lora"]
    limit = judge_rows(config["corpora"]["grammar"]) // 2
    judge = {"kind": "reference_adapters", "corpus": "grammar", "base": "persona", "seed": 1, "head": {"share": 0.5}}
    judge |= {"split": {"held_out_share": 0.1, "phrase_share": 0.0}, "lora": lora, "finetuning": training}
    judge |= {"calibration": {"minimum_accuracy": 0, "minimum_cell_accuracy": 0}}
    config["judges"]["references"] = judge
    place = ("judges", "references", "finetuning", "rows")
    put(config, place, limit)
    validate(copy.deepcopy(config), SCHEMA)
    line = line_of(config, place, limit + 1)
    assert f"finetuning.rows is {limit + 1}; expected at most {limit}, the judge_fit rows of grammar without" in line


def test_a_corpus_without_rows_for_its_judge_is_refused():
    config = copy.deepcopy(CONFIG)
    config["corpora"]["grammar"]["roles"]["broad_judge_fit"] = 0
    line = line_of(config, ("corpora", "grammar", "roles", "judge_fit"), 0)
    assert "corpora.grammar.roles.judge_fit is 0; expected a whole number > 0, since judge minilm is fitted" in line
