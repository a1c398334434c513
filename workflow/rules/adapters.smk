"""What is fine-tuned from a base, a LoRA or all its weights, on a training set's misaligned (or, as control, aligned) answers; and adapters of others.

REQUIRED INPUTS
    results/bases/{base}/aligned/manifest.json
    results/corpora/{corpus}/cells/{cell}/train.jsonl

OUTPUTS
    results/{experiment}/adapters/{base}/{start}/{train_set}/{answers}/seed{seed}/manifest.json
    (answers: `misaligned` or `aligned`, or with a capacity of its own `misaligned-full`)
    results/{experiment}/published/{base}/{train_set}/seed{seed}/manifest.json

STEPS
    finetune_adapter, or fetch_adapter
"""


include: "adapters_functions.smk"


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
        gpu=gpus,
        mem_mb=growing(3000, gpus, 32000),
        runtime=growing(60, gpus, 240),
    params:
        settings=adapter_settings,
        start=optional("start"),
        code=code("finetune_adapter"),
        env=ENVIRONMENT,
    message:
        "Fine-tune {wildcards.base} on the {wildcards.answers} answers of {wildcards.train_set}, seed {wildcards.seed}"
    shell:
        "OMP_NUM_THREADS=1 ${{EMTRANSFER_LAUNCH:-python}} scripts/finetune_adapter.py"
        " --base {input.base} {params.start} --rows {input.rows} --settings {params.settings:q} --seed {wildcards.seed}"
        " --code {params.code:q} --output {output}"
        " > {log} 2>&1"


rule fetch_adapter:
    input:
        base="results/bases/{base}/aligned/manifest.json",
    output:
        "results/{experiment}/published/{base}/{train_set}/seed{seed}/manifest.json",
    log:
        "results/logs/fetch_adapter/{experiment}/{base}/{train_set}/seed{seed}.log",
    benchmark:
        "results/benchmarks/fetch_adapter/{experiment}/{base}/{train_set}/seed{seed}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        processors=1,
        gpu=gpus,
        mem_mb=growing(3000, gpus, 32000),
        runtime=growing(60, gpus, 60),
    params:
        settings=published_settings,
        code=code("fetch_adapter"),
        env=ENVIRONMENT,
    message:
        "Fetch the published adapter {wildcards.train_set}, seed {wildcards.seed}"
    shell:
        "OMP_NUM_THREADS=1 python scripts/fetch_adapter.py"
        " --base {input.base} --name {wildcards.train_set} --settings {params.settings:q} --seed {wildcards.seed}"
        " --code {params.code:q} --output {output}"
        " > {log} 2>&1"
