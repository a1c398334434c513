"""A wrong config is one line that names the key, the value and what was expected.

Mistakes are planted in the project's own config, one at a time; what each line must say is known from the schema.
"""

import copy
import json

import pytest
import yaml
from jsonschema import Draft202012Validator

from config_guards import nodes
from config_shape import PATTERNS
from helpers.configs import ABSENT, CONFIG, GRAMMAR, SCHEMA, line_for, line_of
from helpers.loopback_api import KEY
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
        (("mixtures", "symbols_persona", "stages", 0, "tasks"), ["t0", "t9"], 'mixtures.symbols_persona.stages[0].tasks[1] is "t9"; expected t5.'),
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


def test_a_date_without_quotes_is_told_so():
    import datetime

    line = line_for(("remote", "prices", "date"), datetime.date(2026, 3, 21))
    assert line.startswith("config.yaml: remote.prices.date is") and line.endswith("(YAML needs quotes around a date).")


def test_every_pattern_of_the_schema_is_told_in_words():
    schema = yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))
    found = {node["pattern"] for _, node in nodes(schema) if isinstance(node, dict) and "pattern" in node}
    assert len(found) > 4 and found <= PATTERNS.keys()
    assert not [words for words in PATTERNS.values() if "^" in words or "\n" in words]
