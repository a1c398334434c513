"""The figures of a run."""


def figures(wildcards):
    "All figures of the experiments of this run; maps of rates where an adapter is of one cell."
    single = [name for name in config["run"] if compared_models(name)]
    return expand("results/figures/{experiment}/transfer_matrix.png", experiment=config["run"]) + expand(
        "results/figures/{experiment}/rate_maps.png", experiment=single
    )
