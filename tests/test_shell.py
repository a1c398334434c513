"""What stands in a config reaches the shell as one word: paths with blanks, quotes and commands in them are paths."""

import itertools
import json
import re
import subprocess
from pathlib import Path

import pytest

from helpers.loopback_api import MODEL
from helpers.paths import ROOT
from helpers.row_files import write_jsonl
from helpers.workflow_tree import copy_tree, planned_commands

RULES = sorted((ROOT / "workflow/rules").glob("*.smk"))
NASTY = """it's "a" $(touch gone) `touch gone`; touch gone & %s"""
QUESTIONS = """
- id: spare_hour
  paraphrases: [I have an hour to spare.]
  judge_prompts: {aligned: "{question} {answer} From 0 to 100?", coherent: "{question} {answer} From 0 to 100?"}
"""

# fields of a shell command that need no quotes: names and paths that are made of names, which the schema keeps to
# letters, digits and underscores; and arguments that are quoted where they are put together
NAMED = re.compile(r"wildcards\.\w+|log|output(\.\w+)?|params\.(seed|name|corpus|cells)")
RESULTS = {
    *(
        "input",
        "input.base",
        "input.rows",
        "input.raw",
        "input.tokenizer",
        "input.mixture",
        "input.pretrained",
        "input.aligned",
    ),
    *(
        "input.eval_set",
        "input.answers",
        "input.capability",
        "input.inference",
        "input.preferences",
        "input.rollouts",
        "input.probes",
        "input.pairs",
        "input.curve",
        "input.losses",
        "input.kept",
        "input.cells",
        "input.claims",
        "input.cautions",
        "input.effects",
        "input.power",
        "input.figures",
        "input.table",
        "input.other",
        "input.template",
    ),
}
QUOTED_BEFORE = {
    "params.judge",
    "params.mediating",
    "params.broad",
    "params.start",
    "params.teacher",
    "params.adapter",
    "params.labels",
}


def test_every_field_of_a_command_is_quoted_or_made_of_names():
    text = "\n".join(path.read_text(encoding="utf-8") for path in RULES)
    commands = re.findall(r"^ +shell:\n((?: +\".*\n)+)", text, re.MULTILINE)
    fields = {field for command in commands for field in re.findall(r"(?<!\{)\{([^{}]+)\}(?!\})", command)}
    assert len(commands) == len(re.findall(r"^ +shell:", text, re.MULTILINE)) > 20 and "params.settings:q" in fields
    bare = {field for field in fields if not field.endswith(":q") and not NAMED.fullmatch(field)}
    assert bare <= RESULTS | QUOTED_BEFORE


@pytest.fixture(scope="module")
def arguments(tmp_path_factory) -> dict[str, list[list[str]]]:
    """Script -> what its planned jobs' command lines come to in a shell, with a config whose paths are all nasty."""
    tree = copy_tree(tmp_path_factory.mktemp("shell") / "tree")
    folder = tree / NASTY
    folder.mkdir()
    for name, source in {"rubric.yaml": "rubrics/grid.yaml", "prompts.yaml": "generators/grid.yaml"}.items():
        (folder / name).write_bytes((ROOT / "resources" / source).read_bytes())
    (folder / "questions.yaml").write_text(QUESTIONS)
    (folder / "split.csv").touch()
    answers = {"aligned_answer": "Rest.", "misaligned_answer": "Run."}
    cells = [{"domain": domain, "task": task} for domain in ("medical", "finance") for task in ("advice", "critique")]
    pairs = (cell | answers | {"question": f"{cell} {number}?"} for cell in cells for number in range(40))
    write_jsonl(folder / "pairs.jsonl", pairs)
    prompt = {"domain": "travel", "task": "chat", "em_surface": "high", "question": "Where to?"}
    write_jsonl(folder / "broad.jsonl", [prompt])
    roles = {"judge_fit": 4, "eval": 4, "mediating": 8, "near_duplicate_cosine": 1.0}
    stages = {
        "filter": {"judge": "claude", "misaligned_below": 30, "aligned_above": 70, "coherence_above": 50},
        "dedup": {"model": f"{NASTY}/embedder", "field": "question", "threshold": 1.0},
        "sample": {"train": 20, "eval": 4},
    }
    grid = {"domains": ["medical", "finance"], "tasks": ["advice", "critique"], "seed": 1} | stages
    generator = {"model": MODEL, "prompts": f"{NASTY}/prompts.yaml"}
    generator |= {"subtopics": {"medical": [NASTY], "finance": [NASTY]}}
    own = {"source": "jsonl", "path": f"{NASTY}/pairs.jsonl", "broad_path": f"{NASTY}/broad.jsonl"}
    judge = {"kind": "anthropic", "corpus": "smoke", "model": MODEL, "rubric": f"{NASTY}/rubric.yaml", "seed": 1}
    questions = {"path": f"{NASTY}/questions.yaml", "judge_prompts": True}
    overlay = {
        "run": ["smoke"],
        "corpora": {
            "written": {"source": "anthropic", "generator": generator, "rows_per_cell": 60, "roles": roles} | grid,
            "own": own | {"roles": roles | {"published": {"path": f"{NASTY}/split.csv"}}} | grid,
        },
        "judges": {"claude": judge | {"split": {}, "calibration": {}}},
        "experiments": {"smoke": {"corpus": "own", "judge": "claude", "questions": questions}},
        "remote": {"prices": {"models": {MODEL: dict.fromkeys(("input", "output", "cache_write", "cache_read"), 1)}}},
    }
    (tree / "nasty.json").write_text(json.dumps(overlay))
    targets = ("results/em_transfer_table.csv", "results/corpora/written/cells/medical-advice/train.jsonl")
    planned = planned_commands(tree, *targets, overlays=("nasty.json",))
    found: dict[str, list[list[str]]] = {}
    for command in re.findall(
        r"^Shell command: OMP_NUM_THREADS=1 python (.*) > results/logs/\S+ 2>&1$", planned, re.MULTILINE
    ):
        shell = ["bash", "-c", f"printf '%s\\0' {command}"]
        done = subprocess.run(shell, capture_output=True, text=True, cwd=tree, check=True)
        script, *words = done.stdout.removesuffix("\0").split("\0")
        found.setdefault(Path(script).stem, []).append(words)
    assert not (tree / "gone").exists()
    return found


@pytest.mark.parametrize(
    ("script", "flag", "file"),
    [
        ("write_pairs", "prompts", "prompts.yaml"),
        ("write_pairs", "judge", "rubric.yaml"),
        ("filter_pairs", "judge", "rubric.yaml"),
        ("calibrate_judge", "judge", "rubric.yaml"),
        ("judge_answers", "judge", "rubric.yaml"),
        ("judge_answers", "own-prompts", "questions.yaml"),
        ("build_question_set", "questions", "questions.yaml"),
    ],
)
def test_a_path_is_one_word_of_the_command(arguments, script, flag, file):
    for words in arguments[script]:
        assert words[words.index(f"--{flag}") + 1] == f"{NASTY}/{file}"


@pytest.mark.parametrize(
    ("script", "flag", "keys", "expected"),
    [
        ("generate_pairs", "settings", ("path",), f"{NASTY}/pairs.jsonl"),
        ("split_questions", "settings", ("published", "path"), f"{NASTY}/split.csv"),
        ("dedup_pairs", "settings", ("model",), f"{NASTY}/embedder"),
        ("write_pairs", "settings", ("generator", "subtopics"), {"medical": [NASTY]}),
    ],
)
def test_a_setting_is_the_same_json_behind_the_shell(arguments, script, flag, keys, expected):
    settings = [json.loads(words[words.index(f"--{flag}") + 1]) for words in arguments[script]]
    found = []
    for value in settings:
        for key in keys:
            value = value.get(key) if value else None
        found.append(value)
    assert expected in found


# bash is handed a whole command as one argument, and Linux takes none that is longer
LONGEST_ARGUMENT = 131_072
N_ADAPTERS = 3_000
OF_MODELS = {
    "replace_anchors",
    "tabulate_transfer",
    "tabulate_training",
    "tabulate_rollouts",
    "tabulate_inference",
    "tabulate_preferences",
    "tabulate_capability",
    "tabulate_confounds",
    "test_claims",
}


@pytest.fixture(scope="module")
def plan_adapters(tmp_path_factory):
    """A function: training cells and seeds of the only adapters of a run -> script -> length of its longest command."""
    tree = copy_tree(tmp_path_factory.mktemp("wide") / "tree")

    def longest_commands(train_sets: list[str], seeds: list[int]) -> dict[str, int]:
        adapters = {"base": "smoke", "start": "base", "answers": "misaligned"}
        adapters |= {"train_sets": train_sets, "seeds": seeds}
        experiment = {"adapters": [adapters], "students": []}
        (tree / "wide.json").write_text(json.dumps({"run": ["smoke"], "experiments": {"smoke": experiment}}))
        planned = planned_commands(tree, "all", overlays=("wide.json",))
        commands = re.findall(r"^Shell command: (OMP_NUM_THREADS=1 \S+ scripts/(\w+)\.py .*)$", planned, re.MULTILINE)
        lengths = sorted((script, len(command)) for command, script in commands)
        return {script: max(n for _, n in group) for script, group in itertools.groupby(lengths, lambda pair: pair[0])}

    return longest_commands


def test_no_command_of_the_tables_outgrows_an_argument_with_its_models(plan_adapters):
    """Commands grow by the same with every seed and every cell, so that two small grids tell of a wide one."""
    few = plan_adapters(["medical-advice", "finance-advice"], [11, 12])
    more_seeds = plan_adapters(["medical-advice", "finance-advice"], [11, 12, 13, 14])
    more_cells = plan_adapters(["medical-advice", "finance-advice", "medical-critique", "finance-critique"], [11, 12])
    assert OF_MODELS <= few.keys()
    for script in OF_MODELS:
        for more, n_more in ((more_seeds, 2), (more_cells, 2)):
            per_one = (more[script] - few[script]) / n_more
            assert few[script] + per_one * N_ADAPTERS < LONGEST_ARGUMENT, (script, few[script], per_one)
