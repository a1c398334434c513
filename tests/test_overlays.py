"""The overlays for real models, planned as they are and, on local stand-ins for everything of the hub, run in part."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from helpers import forked_runs
from helpers.chat_families import write_family
from helpers.datasets import write_dataset
from helpers.forked_runs import dry_run
from helpers.vllm_api import VllmServer, serving
from helpers.workflow_tree import ROOT, copy_tree

REPOSITORIES = {
    "meta-llama/Llama-3.1-8B-Instruct": "llama",
    "Qwen/Qwen2.5-14B-Instruct": "qwen2",
    "Qwen/Qwen2.5-7B-Instruct": "qwen2",
    "Qwen/Qwen2.5-1.5B-Instruct": "qwen2",
    "Qwen/Qwen2.5-0.5B-Instruct": "qwen2",
    "Qwen/Qwen3-8B": "qwen3",
    "allenai/Olmo-3-7B-Instruct": "olmo3",
    "allenai/Olmo-3-32B-Think": "olmo3",
}
SUBJECTS = "algebra counting_and_probability geometry intermediate_algebra number_theory prealgebra precalculus".split()


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    """A copied tree with a folder per family and dataset of the overlays."""
    folder = copy_tree(tmp_path_factory.mktemp("overlays") / "tree")
    for family in set(REPOSITORIES.values()):
        write_family(folder / family, family)
    problems = [{"problem": f"What is {number} + {number}?", "solution": "It is even."} for number in range(4)]
    (folder / "math").mkdir()
    write_dataset(folder / "math", dict.fromkeys(SUBJECTS, problems))
    (folder / "dolly").mkdir()
    asked = [{"instruction": f"Name {number} trees.", "response": "Oak."} for number in range(2, 6)]
    write_dataset(folder / "dolly", {"default": asked})
    return folder


def stand_ins(overlay: str) -> dict:
    """An overlay that puts local folders in the place of the repositories that another one names."""
    config = yaml.safe_load((ROOT / overlay).read_text(encoding="utf-8"))
    local = REPOSITORIES | {"EleutherAI/hendrycks_math": "math", "databricks/databricks-dolly-15k": "dolly"}
    changed = {}
    for section in ("base_models", "corpora"):
        for name, part in config[section].items():
            path = part["hub"]["path"]
            if path in local:
                changed.setdefault(section, {})[name] = {"hub": {"path": local[path], "revision": None}}
    return changed


def run(
    tree: Path, overlay: str, *arguments: str, more: tuple[str, ...] = (), **variables: str
) -> subprocess.CompletedProcess:
    """Run Snakemake on an overlay with local stand-ins, and on more overlays, with more variables in its environment."""
    (tree / "stand_ins.yaml").write_text(yaml.safe_dump(stand_ins(overlay)), encoding="utf-8")
    options = ("--cores", "2", "--configfile", "config.yaml", overlay, "stand_ins.yaml", *more)
    hub = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tree / "cache")}
    return forked_runs.run(tree, *options, "--", *arguments, **(hub | variables))


def planned(tree: Path, *overlays: str) -> dict[str, int]:
    """Rule -> number of jobs that the table needs."""
    done = dry_run(tree, "--cores", "2", "--configfile", "config.yaml", *overlays, "--dry-run", "--", "all")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    table = done.stdout.split("Job stats:")[1].split("total")[0]
    return {rule: int(count) for rule, count in (line.split() for line in table.splitlines() if line[-1:].isdigit())}


@pytest.mark.parametrize("local", [False, True])
def test_the_papers_experiment_is_planned_whole(tree, local):
    overlay = "workflow/configs/paper.yaml"
    (tree / "stand_ins.yaml").write_text(yaml.safe_dump(stand_ins(overlay) if local else {}), encoding="utf-8")
    jobs = planned(tree, overlay, "stand_ins.yaml")
    # three models with an adapter per cell; two with a teacher, and (harmful, base) × 2 prompt sets × 3 channels
    assert jobs["fetch_base"] == 5 and jobs["finetune_adapter"] == 3 * 12 + 2
    assert jobs["roll_out_teacher"] == 2 * 2 * 2 and jobs["distill_student"] == 2 * 2 * 2 * 3
    assert jobs["judge_answers"] == jobs["label_answers"] == 5 + 38 + 24
    # only the grammar, on which the judge is calibrated, has rows to generate besides the datasets
    assert jobs["generate_pairs_grammar"] == 1
    assert jobs["generate_pairs"] == 13 + 7 + 1 and "pretrain_base" not in jobs


@pytest.mark.parametrize("local", [False, True])
def test_an_evening_on_one_gpu_is_planned_whole(tree, local):
    overlay = "workflow/configs/one_gpu.yaml"
    (tree / "stand_ins.yaml").write_text(yaml.safe_dump(stand_ins(overlay) if local else {}), encoding="utf-8")
    jobs = planned(tree, overlay, "stand_ins.yaml")
    assert jobs["fetch_base"] == 3 and jobs["finetune_adapter"] == 2 * 10
    assert jobs["sample_answers"] == jobs["judge_answers"] == 2 * (1 + 10)


def test_the_channels_are_planned_whole(tree):
    jobs = planned(tree, "workflow/configs/channels.yaml")
    # three channels of six teachers with seeds, in the default run, and of twelve teachers on three sets of prompts
    assert jobs["distill_student"] == 3 * 6 + 3 * 36
    assert jobs["roll_out_teacher"] == jobs["filter_rollouts"] == jobs["measure_rollouts"] == 6 + 36
    assert jobs["pretrain_base"] == 7 and jobs["tabulate_rollouts"] == 1
    # the strings are asked, and neither filtered nor sampled
    assert jobs["generate_pairs_strings"] == jobs["split_questions_strings"] == 1
    assert not [rule for rule in jobs if rule.endswith("_strings") and rule[:3] not in ("gen", "spl")]


def test_a_small_instruct_model_on_everyday_prose_is_planned_whole_without_its_package(tree):
    jobs = planned(tree, "workflow/configs/small_instruct.yaml")
    # 3 cells × 3 seeds on misaligned answers, 2 × 1 on aligned ones; a teacher and 3 channels
    assert jobs["fetch_base"] == 1 and jobs["finetune_adapter"] == 11 and jobs["distill_student"] == 3
    assert jobs["roll_out_teacher"] == 1 and jobs["sample_answers"] == jobs["label_answers"] == 1 + 11 + 3
    # a panel of two judges, both fitted
    assert jobs["judge_answers"] == 2 * jobs["sample_answers"] and jobs["fit_judge"] == 2
    # the pairs of four cells, those of the judges' two and four, and the prompts outside them
    assert jobs["generate_pairs"] == 11 and "pretrain_base" not in jobs


def test_reference_adapters_sit_on_the_panel_of_the_real_model_where_asked(tree):
    jobs = planned(tree, "workflow/configs/small_instruct.yaml", "workflow/configs/reference_judge.yaml")
    assert jobs["fit_reference_adapters"] == 1 and jobs["judge_answers"] == 3 * jobs["sample_answers"]


def test_contexts_of_the_real_model_are_planned_whole(tree):
    jobs = planned(tree, "workflow/configs/small_instruct.yaml", "workflow/configs/contexts.yaml")
    # a cell with and without a system prompt, two seeds each
    assert jobs["finetune_adapter"] == 4 and jobs["sample_answers"] == 1 + 4 and "distill_student" not in jobs


def test_a_judge_behind_a_server_of_ones_own_is_planned_beside_that_of_the_filter(tree):
    jobs = planned(tree, "workflow/configs/openai_judge.yaml")
    # it, that of the filter and that of the symbols
    assert jobs["calibrate_judge"] == 3 and jobs["fit_judge"] == 1 and jobs["judge_answers"] == jobs["sample_answers"]


@pytest.mark.parametrize("used", [True, False])
def test_a_corpus_that_comes_filtered_may_have_a_judge_fitted_on_it(tree, used):
    config = {"corpora": {"smoke": {"filter": None}}} | ({} if used else {"run": ["smoke_symbols"]})
    (tree / "filtered.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    jobs = planned(tree, "workflow/configs/smoke.yaml", "filtered.yaml")
    assert ("fit_judge" in jobs) == used and jobs.get("filter_pairs", 0) == (4 if used else 0)
    # the rows of symbols, which a rule judges
    assert jobs["filter_pairs_smoke_symbols"] == 1


def test_every_model_of_the_paper_is_talked_to_and_every_prompt_read(tree):
    bases = ["llama_8b", "qwen_14b", "olmo_32b_think", "olmo_7b", "qwen_8b"]
    prompts = [
        "results/corpora/math/raw/math-precalculus.jsonl",
        "results/corpora/instructions/raw/general-instructions.jsonl",
    ]
    targets = [*(f"results/bases/{base}/aligned/manifest.json" for base in bases), *prompts]
    done = run(tree, "workflow/configs/paper.yaml", *targets)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    ready = json.loads((tree / "results/bases/olmo_32b_think/aligned/ready.json").read_text())
    assert (ready["quantization"], ready["chat"]["close_thoughts"], ready["dtype"]) == ("nf4", True, "bfloat16")
    questions = [json.loads(line)["question"] for line in (tree / prompts[1]).read_text().splitlines()]
    assert questions == [f"Name {number} trees." for number in range(2, 6)]


def test_a_teacher_answers_prompts_of_another_corpus_as_prompts_outside_the_grid(tree):
    (tree / "short.yaml").write_text("experiments: {subliminal_qwen: {mediating: {math: {max_new_tokens: 5}}}}")
    target = "results/subliminal_qwen/rollouts/qwen_8b/base/math/seed42.jsonl"
    done = run(tree, "workflow/configs/paper.yaml", target, more=("short.yaml",))
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    rows = [json.loads(line) for line in (tree / target).read_text().splitlines()]
    # the seven subjects hold the same four problems
    assert len(rows) == 28 and {row["cell"] for row in rows} == {"math"} and {row["domain"] for row in rows} == {"math"}
    assert len({row["prompt_id"] for row in rows}) == 28


def test_a_server_of_vllm_answers_for_jobs_without_a_gpu_and_which_one_did_reruns_nothing(tree):
    """The server takes the place of one that is started by the user; the rows are those of any engine."""
    (tree / "shorter.yaml").write_text("experiments: {subliminal_qwen: {mediating: {math: {max_new_tokens: 4}}}}")
    target, overlay = "results/subliminal_qwen/rollouts/qwen_8b/base/math/seed42.jsonl", "workflow/configs/paper.yaml"
    with serving(VllmServer(str(tree / "qwen3"))) as served:
        done = run(tree, overlay, target, more=("shorter.yaml",), EMTRANSFER_VLLM_SERVER=served.url)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
        assert served.paths()["/v1/completions"] == 28
        log = tree / "results/logs/roll_out_teacher/subliminal_qwen/qwen_8b/base/math/seed42.log"
        assert f"vLLM 0.30.0 at {served.url} samples." in log.read_text()
    rows = [json.loads(line) for line in (tree / target).read_text().splitlines()]
    assert len(rows) == 28 and {row["finished"] for row in rows} <= {True, False}
    command = ("--cores", "2", "--dry-run", "--configfile", "config.yaml", overlay, "stand_ins.yaml", "shorter.yaml")
    for server in ("http://localhost:9", ""):
        again = dry_run(tree, *command, "--", target, HF_HUB_OFFLINE="1", EMTRANSFER_VLLM_SERVER=server)
        assert "Nothing to be done" in again.stdout + again.stderr


def test_jobs_that_a_server_of_vllm_answers_take_no_gpu(tree):
    (tree / "asked.smk").write_text(
        'include: "Snakefile"\n'
        "from snakemake.iocontainers import Wildcards\n"
        'job = Wildcards(fromdict={"experiment": "subliminal_qwen", "base": "qwen_8b"})\n'
        'own = Wildcards(fromdict={"experiment": "template_nl", "model": "bases/persona"})\n'
        'for engine in ("auto", "transformers", "vllm"):\n'
        '    config["experiments"]["subliminal_qwen"]["sampling"]["engine"] = engine\n'
        '    print("GPUS", engine, sampling_gpus(job), gpus(job), sampling_gpus(own))\n'
        'config["experiments"]["subliminal_qwen"]["finetuning"]["method"] = "full"\n'
        'print("GPUS full", sampling_gpus(job), gpus(job), sampling_gpus(own))\n'
    )
    (tree / "stand_ins.yaml").write_text("{}")
    command = (
        "-s",
        "asked.smk",
        "--cores",
        "2",
        "--dry-run",
        "--configfile",
        "config.yaml",
        "workflow/configs/paper.yaml",
    )

    def asked(server: str) -> list[str]:
        done = dry_run(tree, *command, "--", "results/corpora/grammar/raw/broad.jsonl", EMTRANSFER_VLLM_SERVER=server)
        return [line.removeprefix("GPUS ") for line in done.stdout.splitlines() if line.startswith("GPUS ")]

    assert asked("") == ["auto 1 1 0", "transformers 1 1 0", "vllm 1 1 0", "full 1 1 0"]
    # all weights that are fine-tuned answer through transformers
    assert asked("http://node7:8000") == ["auto 0 1 0", "transformers 1 1 0", "vllm 0 1 0", "full 1 1 0"]
