"""The measurement: one table of transfer, one of how well everything was learned.

REQUIRED INPUTS
    results/{experiment}/judged/{model}.jsonl

OUTPUTS
    results/em_transfer_table.csv
    results/training_losses.csv

STEPS
    tabulate_transfer; tabulate_training
"""


rule tabulate_transfer:
    input:
        judged_files,
    output:
        "results/em_transfer_table.csv",
    log:
        "results/logs/tabulate_transfer.log",
    benchmark:
        "results/benchmarks/tabulate_transfer.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        processors=1,
        mem_mb=2000,
        runtime=20,
    params:
        settings=table_settings,
        code=code("tabulate_transfer"),
        env=ENVIRONMENT,
    message:
        "Tabulate the transfer of misalignment"
    shell:
        "OMP_NUM_THREADS=1 python scripts/tabulate_transfer.py"
        " --settings {params.settings:q} --judged results --output {output}"
        " > {log} 2>&1"


rule tabulate_training:
    input:
        trained_manifests,
    output:
        "results/training_losses.csv",
    log:
        "results/logs/tabulate_training.log",
    benchmark:
        "results/benchmarks/tabulate_training.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        processors=1,
        mem_mb=1000,
        runtime=10,
    params:
        settings=grid_settings,
        code=code("tabulate_training"),
        env=ENVIRONMENT,
    message:
        "Tabulate training losses and distances to teachers"
    shell:
        "OMP_NUM_THREADS=1 python scripts/tabulate_training.py"
        " --settings {params.settings:q} --results results --output {output}"
        " > {log} 2>&1"
