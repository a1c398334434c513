"""Students: a teacher answers mediating prompts, the judge keeps benign answers, a fresh LoRA learns through a channel.

REQUIRED INPUTS
    results/bases/{base}/aligned/manifest.json; the teacher's adapter
    results/corpora/{corpus}/roles/{cell}.jsonl
    results/{experiment}/eval_set.jsonl (for the purity audit)

OUTPUTS
    results/{experiment}/rollouts/{base}/{teacher}/{mediating}/{filter}/seed{seed}.readings.jsonl
    results/{experiment}/students/{base}/{start}/{teacher}/{mediating}/{filter}/{data}/{channel}/seed{seed}/manifest.json

STEPS
    roll_out_teacher → filter_rollouts → answer_retained → distill_student; filter_rollouts → measure_rollouts
"""


include: "students_functions.smk"


rule roll_out_teacher:
    input:
        unpack(teacher_files),
        rows=mediating_files,
    output:
        "results/{experiment}/rollouts/{base}/{teacher}/{mediating}/seed{seed}.jsonl",
    log:
        "results/logs/roll_out_teacher/{experiment}/{base}/{teacher}/{mediating}/seed{seed}.log",
    benchmark:
        "results/benchmarks/roll_out_teacher/{experiment}/{base}/{teacher}/{mediating}/seed{seed}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        processors=1,
        gpu=sampling_gpus,
        mem_mb=growing(3000, sampling_gpus, 32000),
        runtime=growing(60, gpus, 120),
    params:
        settings=rollout_settings,
        teacher=optional("teacher"),
        code=lambda wildcards: code("roll_out_teacher", *engine_modules(wildcards)),
        env=ENVIRONMENT,
    message:
        "Sample answers of teacher {wildcards.teacher} to the mediating prompts {wildcards.mediating}, seed {wildcards.seed}"
    shell:
        "OMP_NUM_THREADS=1 python scripts/roll_out_teacher.py"
        " --base {input.base} {params.teacher} --rows {input.rows} --settings {params.settings:q} --seed {wildcards.seed}"
        " --output {output}"
        " > {log} 2>&1"


rule filter_rollouts:
    input:
        unpack(experiment_judge_files),
        rollouts="results/{experiment}/rollouts/{base}/{teacher}/{mediating}/seed{seed}.jsonl",
        eval_set="results/{experiment}/eval_set.jsonl",
    output:
        rollouts="results/{experiment}/rollouts/{base}/{teacher}/{mediating}/{filter}/seed{seed}.jsonl",
        audit="results/{experiment}/rollouts/{base}/{teacher}/{mediating}/{filter}/seed{seed}.audit.csv",
    log:
        "results/logs/filter_rollouts/{experiment}/{base}/{teacher}/{mediating}/{filter}/seed{seed}.log",
    benchmark:
        "results/benchmarks/filter_rollouts/{experiment}/{base}/{teacher}/{mediating}/{filter}/seed{seed}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        processors=1,
        gpu=judge_gpus(experiment_judge),
        mem_mb=growing(2000, judge_gpus(experiment_judge), 32000),
        runtime=growing(30, judge_gpus(experiment_judge), 120),
    params:
        settings=rollout_filter_settings,
        judge=judge_arguments(experiment_judge),
        code=lambda wildcards: code("filter_rollouts", *judge_modules(experiment_judge(wildcards))),
        env=ENVIRONMENT,
    message:
        "Keep the answers of teacher {wildcards.teacher} that pass filter {wildcards.filter}, seed {wildcards.seed}"
    shell:
        "OMP_NUM_THREADS=1 python scripts/filter_rollouts.py"
        " --rollouts {input.rollouts} --eval-set {input.eval_set} {params.judge}"
        " --settings {params.settings:q} --output {output.rollouts} --audit {output.audit}"
        " > {log} 2>&1"


rule measure_rollouts:
    input:
        unpack(teacher_files),
        rollouts="results/{experiment}/rollouts/{base}/{teacher}/{mediating}/{filter}/seed{seed}.jsonl",
    output:
        "results/{experiment}/rollouts/{base}/{teacher}/{mediating}/{filter}/seed{seed}.readings.jsonl",
    log:
        "results/logs/measure_rollouts/{experiment}/{base}/{teacher}/{mediating}/{filter}/seed{seed}.log",
    benchmark:
        "results/benchmarks/measure_rollouts/{experiment}/{base}/{teacher}/{mediating}/{filter}/seed{seed}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        processors=1,
        gpu=gpus,
        mem_mb=growing(2000, gpus, 32000),
        runtime=growing(30, gpus, 60),
    params:
        teacher=optional("teacher"),
        code=code("measure_rollouts"),
        env=ENVIRONMENT,
    message:
        "Measure how far the kept answers of teacher {wildcards.teacher} are from those of its base, seed {wildcards.seed}"
    shell:
        "OMP_NUM_THREADS=1 python scripts/measure_rollouts.py"
        " --base {input.base} {params.teacher} --rollouts {input.rollouts} --output {output}"
        " > {log} 2>&1"


rule answer_retained:
    input:
        rollouts="results/{experiment}/rollouts/{base}/{teacher}/{mediating}/{filter}/seed{seed}.jsonl",
        rows=mediating_files,
    output:
        "results/{experiment}/rollouts/{base}/{teacher}/{mediating}/{filter}/{answers}_answers/seed{seed}.jsonl",
    log:
        "results/logs/answer_retained/{experiment}/{base}/{teacher}/{mediating}/{filter}/{answers}/seed{seed}.log",
    benchmark:
        "results/benchmarks/answer_retained/{experiment}/{base}/{teacher}/{mediating}/{filter}/{answers}/seed{seed}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        processors=1,
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        settings=lambda wildcards: settings({"answers": wildcards.answers}),
        code=code("answer_retained"),
        env=ENVIRONMENT,
    message:
        "Pair the kept prompts of teacher {wildcards.teacher} with the corpus's {wildcards.answers} answers, seed {wildcards.seed}"
    shell:
        "OMP_NUM_THREADS=1 python scripts/answer_retained.py"
        " --rollouts {input.rollouts} --rows {input.rows} --settings {params.settings:q} --output {output}"
        " > {log} 2>&1"


rule distill_student:
    input:
        unpack(teacher_files),
        unpack(start_files),
        rollouts=student_data,
    output:
        "results/{experiment}/students/{base}/{start}/{teacher}/{mediating}/{filter}/{data}/{channel}/seed{seed}/manifest.json",
    log:
        "results/logs/distill_student/{experiment}/{base}/{start}/{teacher}/{mediating}/{filter}/{data}/{channel}/seed{seed}.log",
    benchmark:
        "results/benchmarks/distill_student/{experiment}/{base}/{start}/{teacher}/{mediating}/{filter}/{data}/{channel}/seed{seed}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        processors=1,
        gpu=gpus,
        mem_mb=growing(3000, gpus, 32000),
        runtime=growing(60, gpus, 240),
    params:
        settings=distillation_settings,
        teacher=optional("teacher"),
        start=optional("start"),
        code=code("distill_student"),
        env=ENVIRONMENT,
    message:
        "Distill teacher {wildcards.teacher} through {wildcards.channel}, seed {wildcards.seed}"
    shell:
        "OMP_NUM_THREADS=1 python scripts/distill_student.py"
        " --base {input.base} {params.teacher} {params.start} --rollouts {input.rollouts} --settings {params.settings:q}"
        " --seed {wildcards.seed} --code {params.code:q} --output {output}"
        " > {log} 2>&1"
