"""Shared by the rules of several stages: the checked config, the names in it, wildcard constraints and functions."""

import json
import os
import shlex
import sys
from pathlib import Path

sys.path[:0] = [f"{workflow.basedir}/scripts", f"{workflow.basedir}/workflow/lib"]

import config_models
import declared
import mending
import model_sizes
import planning
from config_files import read_config_files, source
from corpus_sizes import has_broad
from emtransfer.answering.settings import MODULES as ENGINES
from emtransfer.errors import InputError
from emtransfer.grid import expansion, labels, sections
from emtransfer.judging.kinds import MODULES as JUDGES
from emtransfer.progress import check_tracker
from emtransfer.remote.access import PROVIDERS
from needed import needed
from provenance import code_digest, environment, keep_codes, recall_codes, settings
from validation import validate

try:
    # a job of the run reads the config again, and knows that it is right
    files = ["config.yaml", *workflow.overwrite_configfiles] if workflow.is_main_process else []
    contents = read_config_files(files)
    validate(config, f"{workflow.basedir}/workflow/schemas/config.schema.yaml", contents)
    # a job is told the tracker by the process that started the run
    if contents and "report_to" in config:
        check_tracker(config["report_to"], f"{source(('report_to',), contents)[0]}: report_to")
except InputError as error:
    sys.exit(str(error))

# what is known of the code, which takes longer to read than all that is below
KNOWN_CODE = Path(".snakemake/code.json")
recall_codes(KNOWN_CODE)
ENVIRONMENT = environment()
MODELS = {name: expansion.expand_models(config, name) for name in config["run"]}
# dataclass that a job reads its settings with -> its keys in the config
with open(f"{workflow.basedir}/workflow/schemas/settings_keys.json") as file:
    KEYS = json.load(file)
# a job of the run reads all this again, with nobody to warn
if workflow.is_main_process:
    import disk_use

    used = needed(config, MODELS)
    read = {name for kind in ("corpus", "filtered", "prompts") for name in used[kind]}
    if any(config["corpora"][name]["source"] == "jsonl" for name in read):
        from row_counts import row_mistakes

        mistakes = row_mistakes(config, sorted(read), used["base"], KEYS["CorpusSettings"], contents)
        if mistakes:
            sys.exit("\n".join(mistakes))

    for warning in planning.warnings(MODELS, contents):
        logger.warning(warning)
    logger.info(disk_use.in_short(config, MODELS))
CELLS = {name: sections.cells(corpus) for name, corpus in config["corpora"].items()}
# corpora whose rows a model behind an API writes
WRITTEN = [name for name, corpus in config["corpora"].items() if corpus["source"] in PROVIDERS]
# settings that remote models' replies do not depend on bypass the params, so that no job depends on them either
REMOTE = config.get("remote", {}) | {
    "store": os.environ.get("EMTRANSFER_REPLIES", "replies"),
    "replay_only": os.environ.get("EMTRANSFER_REPLAY_ONLY", "") not in ("", "0"),
}
os.environ.update(EMTRANSFER_REMOTE=json.dumps(REMOTE))
# and so does the place to which trainings send their curves
os.environ.update(EMTRANSFER_REPORT_TO=config.get("report_to", "none"))


wildcard_constraints:
    corpus="|".join(config["corpora"]),
    cell="|".join(sorted({cell for cells in CELLS.values() for cell in cells} | {"broad"})),
    judge="|".join(config["judges"]),
    mixture="|".join(config["mixtures"]),
    base_model="|".join(config["base_models"]),
    base="|".join(config["bases"]),
    experiment="|".join(config["experiments"]),
    # not all their paths: Snakemake goes through this text for every job, and both grow with the number of models
    model=r"bases/[a-z0-9_]+|(adapters|published|students)/[a-z0-9_/-]+/seed\d+",
    start=r"[a-z0-9_]+",
    train_set=r"[a-z0-9_-]+",
    # of an adapter, with its capacity where it has one of its own
    answers=r"(?:aligned|misaligned)(?:-[a-z0-9_]+)?",
    teacher=r"[a-z0-9_]+",
    mediating=r"[a-z0-9_]+",
    filter=r"[a-z0-9_]+",
    data=r"[a-z0-9_]+",
    channel="sft|optd|opd-full|opd-sampled",
    seed=r"\d+",


def code(script, *modules):
    "Digest of a script and of every library module that it imports, including `modules`, which it imports by name."
    return code_digest(f"{workflow.basedir}/scripts/{script}.py", *modules)


def judge_modules(judge):
    "What a job imports by name to ask a judge: the module of its kind and, behind an API, the module that speaks to the provider."
    kind = config["judges"][judge]["kind"] if judge else None
    return [modules[kind] for modules in (JUDGES, PROVIDERS) if kind in modules]


def experiment_section(wildcards):
    "Config section of an experiment."
    return config["experiments"][wildcards.experiment]


def experiment_judge(wildcards):
    "Name of the judge of an experiment."
    return experiment_section(wildcards)["judge"]


def pools(corpus):
    "Cells of a corpus, and the pseudo-cell `broad` where it has prompts outside the grid."
    return CELLS[corpus] + ["broad"] * has_broad(config["corpora"][corpus])


def role_files(corpus):
    "Rows with roles of every cell of a corpus."
    return expand("results/corpora/{corpus}/roles/{cell}.jsonl", corpus=corpus, cell=pools(corpus))


def mediating_rows(name, mediating, teacher):
    "Rows with roles of the cells that a set of mediating prompts of an experiment is drawn from, for a teacher."
    experiment = config["experiments"][name]
    corpus = experiment["mediating"][mediating].get("corpus", experiment["corpus"])
    cells = sections.mediating_cells(config, experiment, mediating, teacher)
    # every question of a corpus of prompts only is mediating
    folder = "raw" if config["corpora"][corpus].get("prompts_only") else "roles"
    return expand("results/corpora/{corpus}/{folder}/{cell}.jsonl", corpus=corpus, folder=folder, cell=cells)


def is_ready(base):
    "Whether a base is an instruct model that others have trained."
    return config_models.is_ready(config["base_models"][config["bases"][base]["base_model"]])


def base_of(wildcards):
    "The base that a job loads, named by itself or as part of a model."
    return wildcards.get("base") or wildcards.model.split("/")[1]


def base_manifest(base):
    "Manifest of an aligned base."
    return f"results/bases/{base}/aligned/manifest.json"


def start_files(wildcards):
    "The base of an adapter and, for realignment, the adapter that training starts from."
    files = {"base": base_manifest(wildcards.base)}
    if wildcards.start != "base":
        path = expansion.teacher_path(experiment_section(wildcards), wildcards.base, wildcards.start, wildcards.seed)
        files["start"] = f"results/{wildcards.experiment}/{path}/manifest.json"
    return files


def judge_file(judge):
    "The folder of a judge that has weights here, the rubric of one behind an API, or both; kind exact has neither."
    section = config["judges"][judge]
    if section["kind"] == "cross_encoder":
        return {"judge": f"results/judges/{judge}/model/manifest.json"}
    if section["kind"] == "reference_adapters":
        folder = f"results/judges/{judge}/model/manifest.json"
        return {"judge": folder, "judge_base": base_manifest(section["base"])}
    if section["kind"] == "causal_lm":
        return {"judge": base_manifest(section["base"]), "rubric": section["rubric"]}
    return {"judge": section["rubric"]} if "rubric" in section else {}


def judge_files(judge):
    "A judge and the calibration it has passed."
    return judge_file(judge) | {"calibration": f"results/judges/{judge}/calibration.csv"}


def experiment_judge_files(wildcards):
    "The judge of an experiment."
    return judge_files(experiment_judge(wildcards))


# kind of judge -> keys of its section that it is told; a rubric is a file, and other kinds need none
JUDGE_KEYS = dict.fromkeys(PROVIDERS, KEYS["RemoteJudgeSettings"])
JUDGE_KEYS["causal_lm"] = [key for key in KEYS["CausalJudgeSettings"] if key != "rubric"]


def judge_arguments(judge_of):
    "Command-line arguments that say who judges; `judge_of` gives the judge's name from wildcards."

    def arguments(wildcards, input):
        judge = judge_of(wildcards)
        if judge is None:
            return ""
        section = config["judges"][judge]
        who = settings(section, "kind", *JUDGE_KEYS.get(section["kind"], ()))
        named = [name for name in ("judge", "judge_base", "rubric") if name in input.keys()]
        files = "".join(f"--{name.replace('_', '-')} {shlex.quote(input[name])} " for name in named)
        own = f" --own-prompts {shlex.quote(input.own_prompts)}" if "own_prompts" in input.keys() else ""
        kept = f" --scores results/judges/{judge}/scores" if section["kind"] == "cross_encoder" else ""
        return f"{files}--judge-settings {shlex.quote(who)}{own}{kept}"

    return arguments


def optional(flag):
    "A command-line flag with its files, or nothing where the rule's input lacks it."

    def argument(wildcards, input):
        files = input[flag] if flag in input.keys() else []
        return f"--{flag} {shlex.join([files] if isinstance(files, str) else files)}" if files else ""

    return argument


def drawing(wildcards):
    "How answers are drawn; the engine is named only for a ready model, and only if the config names it."
    sampling = experiment_section(wildcards)["sampling"]
    unread = () if is_ready(base_of(wildcards)) else ("engine",)
    return {key: sampling[key] for key in KEYS["SamplingSettings"] if key in sampling and key not in unread}


def gpus(wildcards):
    "GPUs of a job that loads a base: one for a ready model; a model of the run is small and stays on the processor."
    return int(is_ready(base_of(wildcards)))


def engine_modules(wildcards):
    "What a job imports by name to sample a base, or an adapter on it: the engines that a ready model may have."
    engine = experiment_section(wildcards)["sampling"].get("engine")
    return [] if not is_ready(base_of(wildcards)) or engine == "transformers" else list(ENGINES.values())


def sampling_gpus(wildcards):
    "GPUs of a job that samples: those of a job that loads the base, but none where a server of vLLM answers for all models."
    experiment = experiment_section(wildcards)
    methods = [
        section.get("method") for section in (experiment["finetuning"], *experiment.get("capacities", {}).values())
    ]
    is_served = os.environ.get("EMTRANSFER_VLLM_SERVER", "").strip() and "full" not in methods
    return 0 if is_served and engine_modules(wildcards) else gpus(wildcards)


def judge_gpus(judge_of):
    "GPUs of a job that asks a judge: one for a ready model that judges; `judge_of` gives the judge's name from wildcards."

    def n_gpus(wildcards):
        section = config["judges"].get(judge_of(wildcards), {"kind": None})
        return int("base" in section and is_ready(section["base"]))

    return n_gpus


def growing(amount, n_gpus=None, with_gpu=None):
    "Memory or time of a job, and as much again with every attempt; `with_gpu` where it loads a ready model of up to 8 billion weights."

    def requested(wildcards, attempt):
        return attempt * (with_gpu if n_gpus and n_gpus(wildcards) else amount)

    return requested
