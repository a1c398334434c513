"""Figures of a run's tables, each in three formats, and the report that shows them all.

REQUIRED INPUTS
    results/em_transfer_table.csv
    results/judges/{agreement,cautions}.csv
    results/preferences.csv
    results/preference_claims.csv
    results/shift_claims.csv
    results/inference.csv
    results/{claims,effects,power}.csv
    results/capability.csv
    results/judges/{judge}/calibration.csv
    results/corpora/{corpus}/{raw,filtered}/{cell}.counts.csv
    results/corpora/{corpus}/deduped/{cell}.survivors.csv
    results/{experiment}/…/manifest.json
    results/{experiment}/judged/{model}.jsonl

OUTPUTS
    results/figures/{experiment}/{figure}.{svg,pdf,png}
    results/figures/{experiment}/{claims,capability,losses}.{svg,pdf,png}
    results/figures/judges/{judge}/calibration.{svg,pdf,png}
    results/figures/corpora/{corpus}/survivors.{svg,pdf,png}
    results/report.html

STEPS
    plot_transfer; plot_claims; plot_capability; plot_losses; plot_calibration; plot_survivors → write_report
"""


include: "figures_functions.smk"


rule plot_transfer:
    input:
        table="results/em_transfer_table.csv",
        other=other_table,
    output:
        multiext("results/figures/{experiment}/{figure}", ".svg", ".pdf", ".png"),
    log:
        "results/logs/plot_transfer/{experiment}/{figure}.log",
    benchmark:
        "results/benchmarks/plot_transfer/{experiment}/{figure}.tsv"
    wildcard_constraints:
        figure="|".join(DRAWN_BY),
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        processors=1,
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        settings=plot_settings,
        code=lambda wildcards: code("plot_transfer", DRAWN_BY[wildcards.figure]),
        env=ENVIRONMENT,
    message:
        "Plot {wildcards.figure} of {wildcards.experiment}"
    shell:
        "OMP_NUM_THREADS=1 python scripts/plot_transfer.py"
        " --figure {wildcards.figure} --table {input.table} --other {input.other} --settings {params.settings:q} --output {output}"
        " > {log} 2>&1"


rule plot_claims:
    input:
        claims="results/claims.csv",
        effects="results/effects.csv",
        power="results/power.csv",
    output:
        multiext("results/figures/{experiment}/claims", ".svg", ".pdf", ".png"),
    log:
        "results/logs/plot_claims/{experiment}.log",
    benchmark:
        "results/benchmarks/plot_claims/{experiment}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        processors=1,
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        judge=experiment_judge,
        code=code("plot_claims"),
        env=ENVIRONMENT,
    message:
        "Plot the claims of {wildcards.experiment}"
    shell:
        "OMP_NUM_THREADS=1 python scripts/plot_claims.py"
        " --experiment {wildcards.experiment} --judge {params.judge} --claims {input.claims} --effects {input.effects} --power {input.power}"
        " --output {output}"
        " > {log} 2>&1"


rule plot_capability:
    input:
        table="results/em_transfer_table.csv",
        capability="results/capability.csv",
    output:
        multiext("results/figures/{experiment}/capability", ".svg", ".pdf", ".png"),
    log:
        "results/logs/plot_capability/{experiment}.log",
    benchmark:
        "results/benchmarks/plot_capability/{experiment}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        processors=1,
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        judge=experiment_judge,
        code=code("plot_capability"),
        env=ENVIRONMENT,
    message:
        "Plot capability and misalignment of {wildcards.experiment}"
    shell:
        "OMP_NUM_THREADS=1 python scripts/plot_capability.py"
        " --experiment {wildcards.experiment} --judge {params.judge} --table {input.table} --capability {input.capability}"
        " --output {output}"
        " > {log} 2>&1"


rule plot_losses:
    input:
        experiment_manifests,
    output:
        multiext("results/figures/{experiment}/losses", ".svg", ".pdf", ".png"),
    log:
        "results/logs/plot_losses/{experiment}.log",
    benchmark:
        "results/benchmarks/plot_losses/{experiment}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        processors=1,
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        settings=lambda wildcards: settings(grid_of([wildcards.experiment])),
        code=code("plot_losses"),
        env=ENVIRONMENT,
    message:
        "Plot the losses of {wildcards.experiment}"
    shell:
        "OMP_NUM_THREADS=1 python scripts/plot_losses.py"
        " --settings {params.settings:q} --results results --output {output}"
        " > {log} 2>&1"


rule plot_calibration:
    input:
        "results/judges/{judge}/calibration.csv",
    output:
        multiext("results/figures/judges/{judge}/calibration", ".svg", ".pdf", ".png"),
    log:
        "results/logs/plot_calibration/{judge}.log",
    benchmark:
        "results/benchmarks/plot_calibration/{judge}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        processors=1,
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        code=code("plot_calibration"),
        env=ENVIRONMENT,
    message:
        "Plot the calibration of judge {wildcards.judge}"
    shell:
        "OMP_NUM_THREADS=1 python scripts/plot_calibration.py"
        " --judge {wildcards.judge} --calibration {input} --output {output}"
        " > {log} 2>&1"


rule plot_survivors:
    input:
        stage_counts,
    output:
        multiext("results/figures/corpora/{corpus}/survivors", ".svg", ".pdf", ".png"),
    log:
        "results/logs/plot_survivors/{corpus}.log",
    benchmark:
        "results/benchmarks/plot_survivors/{corpus}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        processors=1,
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        settings=lambda wildcards: settings(config["corpora"][wildcards.corpus], "domains", "tasks", "held_out_domains"),
        code=code("plot_survivors"),
        env=ENVIRONMENT,
    message:
        "Plot the rows that each stage of {wildcards.corpus} leaves"
    shell:
        "OMP_NUM_THREADS=1 python scripts/plot_survivors.py"
        " --corpus results/corpora/{wildcards.corpus} --settings {params.settings:q} --output {output}"
        " > {log} 2>&1"


rule write_report:
    input:
        judged_files,
        table="results/em_transfer_table.csv",
        claims="results/claims.csv",
        effects="results/effects.csv",
        power="results/power.csv",
        capability="results/capability.csv",
        inference="results/inference.csv",
        preference_claims="results/preference_claims.csv",
        shift_claims="results/shift_claims.csv",
        preferences="results/preferences.csv",
        cautions="results/judges/cautions.csv",
        figures=pictures,
        template="workflow/report/report.html.j2",
    output:
        "results/report.html",
    log:
        "results/logs/write_report.log",
    benchmark:
        "results/benchmarks/write_report.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        processors=1,
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        settings=report_settings,
        code=code("write_report"),
        env=ENVIRONMENT,
    message:
        "Write the report"
    shell:
        "OMP_NUM_THREADS=1 python scripts/write_report.py"
        " --settings {params.settings:q} --results results --figures {input.figures} --template {input.template}"
        " --output {output}"
        " > {log} 2>&1"
