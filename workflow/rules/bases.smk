"""Bases: trained from scratch with a tokenizer, a pretraining mixture and an aligned phase, or ready models that are looked up.

REQUIRED INPUTS
    results/corpora/{corpus}/roles/{cell}.jsonl; none for a ready model

OUTPUTS
    results/bases/{base}/aligned/manifest.json

STEPS
    train_tokenizer → build_mixture → pretrain_base (→ take_checkpoint) → align_base; or fetch_base
"""


include: "bases_functions.smk"


rule train_tokenizer:
    input:
        rows=tokenizer_rows,
    output:
        "results/tokenizers/{base_model}/manifest.json",
    log:
        "results/logs/train_tokenizer/{base_model}.log",
    benchmark:
        "results/benchmarks/train_tokenizer/{base_model}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        processors=1,
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        settings=lambda wildcards: settings(
            config["base_models"][wildcards.base_model]["tokenizer"], "vocab_size", "assistant"
        ),
        code=code("train_tokenizer"),
        env=ENVIRONMENT,
    message:
        "Train the tokenizer of {wildcards.base_model}"
    shell:
        "OMP_NUM_THREADS=1 python scripts/train_tokenizer.py"
        " --corpus {input.rows} --settings {params.settings:q} --code {params.code:q} --output {output}"
        " > {log} 2>&1"


rule build_mixture:
    input:
        rows=mixture_rows,
        tokenizer="results/tokenizers/{base_model}/manifest.json",
    output:
        "results/mixtures/{base_model}/{mixture}.jsonl",
    log:
        "results/logs/build_mixture/{base_model}/{mixture}.log",
    benchmark:
        "results/benchmarks/build_mixture/{base_model}/{mixture}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        processors=1,
        mem_mb=growing(2000),
        runtime=growing(20),
    params:
        settings=lambda wildcards: settings(config["mixtures"][wildcards.mixture], *KEYS["MixtureSettings"]),
        seed=lambda wildcards: config["mixtures"][wildcards.mixture]["seed"],
        code=code("build_mixture"),
        env=ENVIRONMENT,
    message:
        "Build the documents of mixture {wildcards.mixture}"
    shell:
        "OMP_NUM_THREADS=1 python scripts/build_mixture.py"
        " --corpus {input.rows} --tokenizer {input.tokenizer} --settings {params.settings:q} --seed {params.seed}"
        " --output {output}"
        " > {log} 2>&1"


rule pretrain_base:
    input:
        unpack(pretraining_files),
    output:
        "results/bases/{base}/pretrained/manifest.json",
    log:
        "results/logs/pretrain_base/{base}.log",
    benchmark:
        "results/benchmarks/pretrain_base/{base}.tsv"
    wildcard_constraints:
        base=pretrained_names(checkpoint=False),
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        processors=1,
        mem_mb=growing(4000),
        runtime=growing(120),
    params:
        settings=pretraining_settings,
        seed=lambda wildcards: config["bases"][wildcards.base]["seed"],
        code=code("pretrain_base"),
        env=ENVIRONMENT,
    message:
        "Pretrain base {wildcards.base}"
    shell:
        "OMP_NUM_THREADS=1 python scripts/pretrain_base.py"
        " --tokenizer {input.tokenizer} --mixture {input.mixture} --settings {params.settings:q} --seed {params.seed}"
        " --code {params.code:q} --output {output}"
        " > {log} 2>&1"


rule take_checkpoint:
    input:
        whole_pretraining,
    output:
        "results/bases/{base}/pretrained/manifest.json",
    log:
        "results/logs/take_checkpoint/{base}.log",
    benchmark:
        "results/benchmarks/take_checkpoint/{base}.tsv"
    wildcard_constraints:
        base=pretrained_names(checkpoint=True),
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        processors=1,
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        share=lambda wildcards: config["bases"][wildcards.base]["share"],
        code=code("take_checkpoint"),
        env=ENVIRONMENT,
    message:
        "Take checkpoint {wildcards.base} of a pretraining"
    shell:
        "OMP_NUM_THREADS=1 python scripts/take_checkpoint.py"
        " --pretrained {input} --share {params.share:q} --code {params.code:q} --output {output}"
        " > {log} 2>&1"


rule fetch_base:
    output:
        "results/bases/{base}/aligned/manifest.json",
    log:
        "results/logs/fetch_base/{base}.log",
    benchmark:
        "results/benchmarks/fetch_base/{base}.tsv"
    wildcard_constraints:
        base=base_names(ready=True),
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        processors=1,
        mem_mb=fetching_memory,
        runtime=growing(240),
    params:
        name=lambda wildcards: config["bases"][wildcards.base]["base_model"],
        settings=ready_settings,
        seed=lambda wildcards: config["bases"][wildcards.base]["seed"],
        code=code("fetch_base"),
        env=ENVIRONMENT,
    message:
        "Look up the ready model of base {wildcards.base}"
    shell:
        "OMP_NUM_THREADS=1 python scripts/fetch_base.py"
        " --name {params.name} --settings {params.settings:q} --seed {params.seed} --code {params.code:q} --output {output}"
        " > {log} 2>&1"


rule align_base:
    input:
        pretrained="results/bases/{base}/pretrained/manifest.json",
        rows=alignment_rows,
    output:
        "results/bases/{base}/aligned/manifest.json",
    log:
        "results/logs/align_base/{base}.log",
    benchmark:
        "results/benchmarks/align_base/{base}.tsv"
    wildcard_constraints:
        base=base_names(ready=False),
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        processors=1,
        mem_mb=growing(3000),
        runtime=growing(60),
    params:
        settings=alignment_settings,
        seed=lambda wildcards: config["bases"][wildcards.base]["seed"],
        code=code("align_base"),
        env=ENVIRONMENT,
    message:
        "Align base {wildcards.base}"
    shell:
        "OMP_NUM_THREADS=1 python scripts/align_base.py"
        " --pretrained {input.pretrained} --corpus {input.rows} --settings {params.settings:q} --seed {params.seed}"
        " --code {params.code:q} --output {output}"
        " > {log} 2>&1"
