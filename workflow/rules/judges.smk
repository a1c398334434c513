"""Judges that are fitted in the run, and the calibration that every judge must pass before it is used.

REQUIRED INPUTS
    results/corpora/{corpus}/roles/{cell}.jsonl
    the base of reference adapters

OUTPUTS
    results/judges/{judge}/model/manifest.json
    results/judges/{judge}/calibration.csv

STEPS
    fit_judge or fit_reference_adapters → calibrate_judge
"""


include: "judges_functions.smk"


rule fit_judge:
    input:
        rows=judge_rows,
    output:
        "results/judges/{judge}/model/manifest.json",
    log:
        "results/logs/fit_judge/{judge}.log",
    benchmark:
        "results/benchmarks/fit_judge/{judge}.tsv"
    wildcard_constraints:
        judge=judges_of_kind("cross_encoder"),
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        processors=1,
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        settings=lambda wildcards: settings(config["judges"][wildcards.judge], "base_model", "split", "fit"),
        seed=lambda wildcards: config["judges"][wildcards.judge]["seed"],
        code=code("fit_judge"),
        env=ENVIRONMENT,
    message:
        "Fit judge {wildcards.judge}"
    shell:
        "OMP_NUM_THREADS=1 python scripts/fit_judge.py"
        " --rows {input.rows} --settings {params.settings:q} --seed {params.seed} --code {params.code:q}"
        " --output {output}"
        " > {log} 2>&1"


rule fit_reference_adapters:
    input:
        base=lambda wildcards: base_manifest(config["judges"][wildcards.judge]["base"]),
        rows=judge_rows,
    output:
        "results/judges/{judge}/model/manifest.json",
    log:
        "results/logs/fit_reference_adapters/{judge}.log",
    benchmark:
        "results/benchmarks/fit_reference_adapters/{judge}.tsv"
    wildcard_constraints:
        judge=judges_of_kind("reference_adapters"),
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        processors=1,
        gpu=judge_gpus(lambda wildcards: wildcards.judge),
        mem_mb=growing(4000, judge_gpus(lambda wildcards: wildcards.judge), 32000),
        runtime=growing(60, judge_gpus(lambda wildcards: wildcards.judge), 120),
    params:
        settings=lambda wildcards: settings(config["judges"][wildcards.judge], "split", "lora", "finetuning", "head"),
        seed=lambda wildcards: config["judges"][wildcards.judge]["seed"],
        code=code("fit_reference_adapters"),
        env=ENVIRONMENT,
    message:
        "Train the reference adapters of judge {wildcards.judge}"
    shell:
        "OMP_NUM_THREADS=1 python scripts/fit_reference_adapters.py"
        " --base {input.base} --rows {input.rows} --settings {params.settings:q} --seed {params.seed} --code {params.code:q}"
        " --output {output}"
        " > {log} 2>&1"


rule calibrate_judge:
    input:
        unpack(calibration_files),
    output:
        "results/judges/{judge}/calibration.csv",
    log:
        "results/logs/calibrate_judge/{judge}.log",
    benchmark:
        "results/benchmarks/calibrate_judge/{judge}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        processors=1,
        gpu=judge_gpus(lambda wildcards: wildcards.judge),
        mem_mb=growing(3000, judge_gpus(lambda wildcards: wildcards.judge), 32000),
        runtime=growing(30, judge_gpus(lambda wildcards: wildcards.judge), 120),
    params:
        judge=judge_arguments(lambda wildcards: wildcards.judge),
        labels=optional("labels"),
        settings=lambda wildcards: settings(config["judges"][wildcards.judge], "split", "calibration"),
        seed=lambda wildcards: config["judges"][wildcards.judge]["seed"],
        code=lambda wildcards: code("calibrate_judge", *judge_modules(wildcards.judge)),
        env=ENVIRONMENT,
    message:
        "Calibrate judge {wildcards.judge} on held-out answers"
    shell:
        "OMP_NUM_THREADS=1 python scripts/calibrate_judge.py"
        " --name {wildcards.judge} {params.judge} --rows {input.rows} {params.labels}"
        " --settings {params.settings:q} --seed {params.seed} --output {output}"
        " > {log} 2>&1"
