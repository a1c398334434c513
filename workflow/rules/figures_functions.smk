"""Inputs and params of the rules that make the figures and the report."""

from pathlib import Path

from emtransfer.drawing.catalogue import OTHER_TABLES
from emtransfer.drawing.catalogue import MODULES as DRAWN_BY
from figure_plan import FORMATS, planned_figures


def figures(wildcards):
    "All figures of the run, in every format."
    return expand(
        "{figure}.{format}",
        figure=[path for _, _, path in planned_figures(config, MODELS)],
        format=FORMATS,
    )


def plot_settings(wildcards):
    "Whose figure it is, the order of its rows and columns, and what its bases were pretrained on."
    corpus = config["corpora"][experiment_section(wildcards)["corpus"]]
    mixtures = {model.labels["mixture"] for model in MODELS[wildcards.experiment]} - {""}
    shares = {name: config["mixtures"][name]["misaligned_share"] for name in sorted(mixtures)}
    bases = {model.labels["base"] for model in MODELS[wildcards.experiment]}
    checkpoints = sorted(sections.checkpoints_of(config) & bases)
    return settings(
        {
            "experiment": wildcards.experiment,
            "judge": experiment_judge(wildcards),
            "domains": corpus["domains"],
            "tasks": corpus["tasks"],
            "misaligned_shares": shares,
        }
        | ({"checkpoints": checkpoints} if checkpoints else {})
    )


def other_table(wildcards):
    "The other table that a figure of the table shows, if it shows one."
    return [f"results/{OTHER_TABLES[wildcards.figure]}"] if wildcards.figure in OTHER_TABLES else []


def stage_counts(wildcards):
    "Counts of rows after every stage of the cells of a corpus that may be trained on."
    names = ("raw/{cell}.counts.csv", "filtered/{cell}.counts.csv", "deduped/{cell}.survivors.csv")
    cells = sections.training_cells(config["corpora"][wildcards.corpus])
    return [f"results/corpora/{wildcards.corpus}/{name.format(cell=cell)}" for cell in cells for name in names]


def experiment_manifests(wildcards):
    "Manifests of all models of an experiment."
    return manifests([wildcards.experiment])


def pictures(wildcards):
    "The figures of the report, in the order in which it shows them."
    return [f"{path}.svg" for _, _, path in planned_figures(config, MODELS)]


def overlay_names():
    "Overlays of this run as a command names them: below the folder of the Snakefile where they lie there."
    named = [Path(path).resolve() for path in workflow.overwrite_configfiles]
    root = Path(workflow.basedir).resolve()
    names = [str(path.relative_to(root) if path.is_relative_to(root) else path) for path in named]
    return [name for name in names if name != "config.yaml"]


def report_settings(wildcards):
    "As for the table, the seeds of bases and what they are made of, and how the run was started."
    known = json.loads(table_settings(wildcards))
    seeds = {base: config["bases"][base]["seed"] for name in config["run"] for base in probed_bases(name)}
    kinds = {config["bases"][base]["base_model"] for base in seeds}
    base_models = {kind: config["base_models"][kind] for kind in sorted(kinds)}
    return settings(known | {"base_seeds": seeds, "base_models": base_models, "overlays": overlay_names()})
