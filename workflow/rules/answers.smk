"""Answers of every model to the evaluation prompts, their scores, the model's preferences among given answers, and the prompts' difficulty for each base.

REQUIRED INPUTS
    results/{experiment}/eval_set.jsonl; a base and, for adapters and students, an adapter
    results/judges/{judge}/model/manifest.json, calibration.csv

OUTPUTS
    results/{experiment}/scores/{judge}/{model}.jsonl
    results/{experiment}/judged/{model}.jsonl
    results/{experiment}/preferences/{model}.jsonl
    results/{experiment}/prompts/{base}.csv

STEPS
    sample_answers → judge_answers → label_answers; measure_preferences, probe_base → profile_prompts
"""


include: "answers_functions.smk"


rule sample_answers:
    input:
        unpack(model_files),
        eval_set=lambda wildcards: evaluation_files(wildcards.experiment),
    output:
        "results/{experiment}/answers/{model}.jsonl",
    log:
        "results/logs/sample_answers/{experiment}/{model}.log",
    benchmark:
        "results/benchmarks/sample_answers/{experiment}/{model}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        processors=1,
        gpu=sampling_gpus,
        mem_mb=growing(2000, sampling_gpus, 32000),
        runtime=growing(60, gpus, 120),
    params:
        settings=sampling_settings,
        seed=sampling_seed,
        adapter=optional("adapter"),
        code=lambda wildcards: code("sample_answers", *engine_modules(wildcards)),
        env=ENVIRONMENT,
    message:
        "Sample answers of {wildcards.model}"
    shell:
        "OMP_NUM_THREADS=1 python scripts/sample_answers.py"
        " --base {input.base} {params.adapter} --eval-set {input.eval_set} --settings {params.settings:q} --seed {params.seed}"
        " --output {output}"
        " > {log} 2>&1"


rule judge_answers:
    input:
        unpack(evaluation_judge_files(lambda wildcards: wildcards.judge)),
        answers="results/{experiment}/answers/{model}.jsonl",
    output:
        "results/{experiment}/scores/{judge}/{model}.jsonl",
    log:
        "results/logs/judge_answers/{experiment}/{judge}/{model}.log",
    benchmark:
        "results/benchmarks/judge_answers/{experiment}/{judge}/{model}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        processors=1,
        gpu=judge_gpus(lambda wildcards: wildcards.judge),
        mem_mb=growing(2000, judge_gpus(lambda wildcards: wildcards.judge), 32000),
        runtime=growing(60, judge_gpus(lambda wildcards: wildcards.judge), 120),
    params:
        judge=judge_arguments(lambda wildcards: wildcards.judge),
        code=lambda wildcards: code("judge_answers", *judge_modules(wildcards.judge)),
        env=ENVIRONMENT,
    message:
        "Judge {wildcards.judge} scores the answers of {wildcards.model}"
    shell:
        "OMP_NUM_THREADS=1 python scripts/judge_answers.py"
        " --answers {input.answers} {params.judge} --output {output}"
        " > {log} 2>&1"


rule label_answers:
    input:
        scores_of_judges,
    output:
        "results/{experiment}/judged/{model}.jsonl",
    log:
        "results/logs/label_answers/{experiment}/{model}.log",
    benchmark:
        "results/benchmarks/label_answers/{experiment}/{model}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        processors=1,
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        settings=label_settings,
        code=code("label_answers"),
        env=ENVIRONMENT,
    message:
        "Label the answers of {wildcards.model}"
    shell:
        "OMP_NUM_THREADS=1 python scripts/label_answers.py"
        " --scores {input} --settings {params.settings:q} --output {output}"
        " > {log} 2>&1"


rule measure_preferences:
    input:
        unpack(model_files),
        pairs=held_out_pairs,
    output:
        "results/{experiment}/preferences/{model}.jsonl",
    log:
        "results/logs/measure_preferences/{experiment}/{model}.log",
    benchmark:
        "results/benchmarks/measure_preferences/{experiment}/{model}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        processors=1,
        gpu=gpus,
        mem_mb=growing(2000, gpus, 32000),
        runtime=growing(30, gpus, 60),
    params:
        adapter=optional("adapter"),
        code=code("measure_preferences"),
        env=ENVIRONMENT,
    message:
        "Measure the preferences of {wildcards.model} on held-out pairs"
    shell:
        "OMP_NUM_THREADS=1 python scripts/measure_preferences.py"
        " --base {input.base} {params.adapter} --pairs {input.pairs} --output {output}"
        " > {log} 2>&1"


rule probe_base:
    input:
        base="results/bases/{base}/aligned/manifest.json",
        eval_set=lambda wildcards: evaluation_files(wildcards.experiment),
        rows=shown_rows,
    output:
        "results/{experiment}/prompts/{base}.jsonl",
    log:
        "results/logs/probe_base/{experiment}/{base}.log",
    benchmark:
        "results/benchmarks/probe_base/{experiment}/{base}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        processors=1,
        gpu=sampling_gpus,
        mem_mb=growing(2000, sampling_gpus, 32000),
        runtime=growing(60, gpus, 240),
    params:
        settings=probe_settings,
        seed=lambda wildcards: config["bases"][wildcards.base]["seed"],
        code=lambda wildcards: code("probe_base", *engine_modules(wildcards)),
        env=ENVIRONMENT,
    message:
        "Sample many answers of base {wildcards.base} to every prompt and its neutral version"
    shell:
        "OMP_NUM_THREADS=1 python scripts/probe_base.py"
        " --base {input.base} --eval-set {input.eval_set} --rows {input.rows} --settings {params.settings:q}"
        " --seed {params.seed} --output {output}"
        " > {log} 2>&1"


rule profile_prompts:
    input:
        unpack(evaluation_judge_files(experiment_judge)),
        probes="results/{experiment}/prompts/{base}.jsonl",
        preferences="results/{experiment}/preferences/bases/{base}.jsonl",
    output:
        "results/{experiment}/prompts/{base}.csv",
    log:
        "results/logs/profile_prompts/{experiment}/{base}.log",
    benchmark:
        "results/benchmarks/profile_prompts/{experiment}/{base}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        processors=1,
        gpu=judge_gpus(experiment_judge),
        mem_mb=growing(2000, judge_gpus(experiment_judge), 32000),
        runtime=growing(30, judge_gpus(experiment_judge), 240),
    params:
        settings=profile_settings,
        judge=judge_arguments(experiment_judge),
        code=lambda wildcards: code("profile_prompts", *judge_modules(experiment_judge(wildcards))),
        env=ENVIRONMENT,
    message:
        "Measure room and difficulty of every prompt for base {wildcards.base}"
    shell:
        "OMP_NUM_THREADS=1 python scripts/profile_prompts.py"
        " --probes {input.probes} {params.judge} --settings {params.settings:q}"
        " --preferences {input.preferences} --output {output}"
        " > {log} 2>&1"


rule probe_inference:
    input:
        unpack(experiment_judge_files),
        pretrained="results/bases/{base}/pretrained/manifest.json",
        aligned="results/bases/{base}/aligned/manifest.json",
        rows=inference_rows,
    output:
        "results/{experiment}/inference/{base}.jsonl",
    log:
        "results/logs/probe_inference/{experiment}/{base}.log",
    benchmark:
        "results/benchmarks/probe_inference/{experiment}/{base}.tsv"
    wildcard_constraints:
        base=base_names(ready=False),
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        processors=1,
        gpu=judge_gpus(experiment_judge),
        mem_mb=growing(2000, judge_gpus(experiment_judge), 32000),
        runtime=growing(60, judge_gpus(experiment_judge), 240),
    params:
        settings=inference_settings,
        seed=lambda wildcards: config["bases"][wildcards.base]["seed"],
        judge=judge_arguments(experiment_judge),
        code=lambda wildcards: code("probe_inference", *judge_modules(experiment_judge(wildcards))),
        env=ENVIRONMENT,
    message:
        "Measure whether base {wildcards.base} infers who answers, before and after its aligned phase"
    shell:
        "OMP_NUM_THREADS=1 python scripts/probe_inference.py"
        " --pretrained {input.pretrained} --aligned {input.aligned} --rows {input.rows} {params.judge}"
        " --settings {params.settings:q} --seed {params.seed} --output {output}"
        " > {log} 2>&1"
