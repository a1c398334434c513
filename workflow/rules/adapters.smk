"""LoRA adapters on a training set's misaligned (or, as control, aligned) answers.

REQUIRED INPUTS
    results/bases/{base}/aligned/manifest.json
    results/corpora/{corpus}/cells/{cell}/train.jsonl

OUTPUTS
    results/{experiment}/adapters/{base}/{start}/{train_set}/{answers}/seed{seed}/manifest.json

STEPS
    finetune_adapter
"""


rule finetune_adapter:
    input:
        unpack(start_files),
        rows=train_files,
    output:
        "results/{experiment}/adapters/{base}/{start}/{train_set}/{answers}/seed{seed}/manifest.json",
    log:
        "results/logs/finetune_adapter/{experiment}/{base}/{start}/{train_set}/{answers}/seed{seed}.log",
    benchmark:
        "results/benchmarks/finetune_adapter/{experiment}/{base}/{start}/{train_set}/{answers}/seed{seed}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        processors=1,
        mem_mb=3000,
        runtime=60,
    params:
        settings=adapter_settings,
        start=optional("start", "start"),
        code=code("finetune_adapter"),
        env=ENVIRONMENT,
    message:
        "Fine-tune {wildcards.base} on the {wildcards.answers} answers of {wildcards.train_set}, seed {wildcards.seed}"
    shell:
        "OMP_NUM_THREADS=1 python scripts/finetune_adapter.py"
        " --base {input.base} {params.start} --rows {input.rows} --settings {params.settings:q} --seed {wildcards.seed}"
        " --code {params.code:q} --output {output}"
        " > {log} 2>&1"
