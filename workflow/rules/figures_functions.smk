"""The figures and the report of a run."""

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
    return settings(
        {
            "experiment": wildcards.experiment,
            "domains": corpus["domains"],
            "tasks": corpus["tasks"],
            "misaligned_shares": shares,
        }
    )


def stage_counts(wildcards):
    "Counts of rows after every stage of the cells of a corpus that may be trained on."
    names = ("raw/{cell}.counts.csv", "filtered/{cell}.counts.csv", "deduped/{cell}.survivors.csv")
    cells = grid.training_cells(config["corpora"][wildcards.corpus])
    return [f"results/corpora/{wildcards.corpus}/{name.format(cell=cell)}" for cell in cells for name in names]


def experiment_manifests(wildcards):
    "Manifests of all models of an experiment."
    return manifests([wildcards.experiment])
