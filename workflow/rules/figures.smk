"""Figures of the table.

REQUIRED INPUTS
    results/em_transfer_table.csv

OUTPUTS
    results/figures/{experiment}/transfer_matrix.png
    results/figures/{experiment}/rate_maps.png

STEPS
    plot_transfer_matrix; plot_rate_maps
"""


include: "figures_functions.smk"


rule plot_transfer_matrix:
    input:
        "results/em_transfer_table.csv",
    output:
        "results/figures/{experiment}/transfer_matrix.png",
    log:
        "results/logs/plot_transfer_matrix/{experiment}.log",
    benchmark:
        "results/benchmarks/plot_transfer_matrix/{experiment}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        processors=1,
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        settings=lambda wildcards: settings({"experiment": wildcards.experiment}),
        code=code("plot_transfer_matrix"),
        env=ENVIRONMENT,
    message:
        "Plot the transfer matrix of {wildcards.experiment}"
    shell:
        "OMP_NUM_THREADS=1 python scripts/plot_transfer_matrix.py"
        " --table {input} --settings {params.settings:q} --output {output}"
        " > {log} 2>&1"


rule plot_rate_maps:
    input:
        "results/em_transfer_table.csv",
    output:
        "results/figures/{experiment}/rate_maps.png",
    log:
        "results/logs/plot_rate_maps/{experiment}.log",
    benchmark:
        "results/benchmarks/plot_rate_maps/{experiment}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        processors=1,
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        settings=lambda wildcards: settings({"experiment": wildcards.experiment}),
        code=code("plot_rate_maps"),
        env=ENVIRONMENT,
    message:
        "Plot aligned and misaligned answers before and after fine-tuning, {wildcards.experiment}"
    shell:
        "OMP_NUM_THREADS=1 python scripts/plot_rate_maps.py"
        " --table {input} --settings {params.settings:q} --output {output}"
        " > {log} 2>&1"
