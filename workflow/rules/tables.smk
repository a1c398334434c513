"""The measurement: tables of transfer, training losses, inference, preferences and capability, and the claims with their effects.

REQUIRED INPUTS
    results/{experiment}/judged/{model}.jsonl
    results/{experiment}/rollouts/…/seed{seed}.readings.jsonl, seed{seed}.audit.csv
    results/{experiment}/preferences/{model}.jsonl
    results/{experiment}/inference/{base}.jsonl

OUTPUTS
    results/judges/agreement.csv, cautions.csv
    results/em_transfer_table.csv
    results/training_losses.csv
    results/rollouts.csv
    results/inference.csv
    results/preferences.csv
    results/preference_claims.csv
    results/shift_claims.csv
    results/capability.csv
    results/effects.csv
    results/claims.csv
    results/power.csv
    results/balance.csv
    results/confounds.csv

STEPS
    compare_judges → tabulate_transfer; tabulate_training; tabulate_rollouts; tabulate_inference; tabulate_preferences; tabulate_capability; replace_anchors → test_claims; tabulate_confounds
"""


include: "tables_functions.smk"


rule compare_judges:
    input:
        judged_files,
        calibrations,
        cells_trained_on,
    output:
        agreement="results/judges/agreement.csv",
        cautions="results/judges/cautions.csv",
    log:
        "results/logs/compare_judges.log",
    benchmark:
        "results/benchmarks/compare_judges.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        processors=1,
        mem_mb=growing(2000),
        runtime=growing(20),
    params:
        settings=comparison_settings,
        code=code("compare_judges"),
        env=ENVIRONMENT,
    message:
        "Compare the judges and look for reasons for caution"
    # cautions about a judge go to the screen too
    shell:
        "OMP_NUM_THREADS=1 python scripts/compare_judges.py"
        " --settings {params.settings:q} --results results --agreement {output.agreement} --cautions {output.cautions}"
        " > {log} 2>&1 && cat {log}"


rule tabulate_transfer:
    input:
        judged_files,
        cautions="results/judges/cautions.csv",
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
        mem_mb=growing(2000),
        runtime=growing(20),
    params:
        settings=table_settings,
        code=code("tabulate_transfer"),
        env=ENVIRONMENT,
    message:
        "Tabulate the transfer of misalignment"
    shell:
        "OMP_NUM_THREADS=1 python scripts/tabulate_transfer.py"
        " --settings {params.settings:q} --judged results --cautions {input.cautions} --output {output}"
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
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        settings=grid_settings,
        code=code("tabulate_training"),
        env=ENVIRONMENT,
    message:
        "Tabulate training losses and the KL of students to their teachers"
    # trainings that ended at their limit go to the screen too
    shell:
        "OMP_NUM_THREADS=1 python scripts/tabulate_training.py"
        " --settings {params.settings:q} --results results --output {output}"
        " > {log} 2>&1 && cat {log}"


rule tabulate_rollouts:
    input:
        kept_answers(".readings.jsonl"),
        kept_answers(".audit.csv"),
    output:
        "results/rollouts.csv",
    log:
        "results/logs/tabulate_rollouts.log",
    benchmark:
        "results/benchmarks/tabulate_rollouts.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        processors=1,
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        settings=grid_settings,
        code=code("tabulate_rollouts"),
        env=ENVIRONMENT,
    message:
        "Tabulate how far the kept answers of teachers are from those of their base"
    shell:
        "OMP_NUM_THREADS=1 python scripts/tabulate_rollouts.py"
        " --settings {params.settings:q} --results results --output {output}"
        " > {log} 2>&1"


rule tabulate_inference:
    input:
        inference_files,
    output:
        "results/inference.csv",
    log:
        "results/logs/tabulate_inference.log",
    benchmark:
        "results/benchmarks/tabulate_inference.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        processors=1,
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        settings=inference_table_settings,
        code=code("tabulate_inference"),
        env=ENVIRONMENT,
    message:
        "Tabulate which bases infer who answers"
    # what it says about bases goes to the screen too
    shell:
        "OMP_NUM_THREADS=1 python scripts/tabulate_inference.py"
        " --settings {params.settings:q} --results results --output {output}"
        " > {log} 2>&1 && cat {log}"


rule tabulate_preferences:
    input:
        preference_files,
        losses="results/training_losses.csv",
    output:
        table="results/preferences.csv",
        claims="results/preference_claims.csv",
        shift_claims="results/shift_claims.csv",
    log:
        "results/logs/tabulate_preferences.log",
    benchmark:
        "results/benchmarks/tabulate_preferences.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        processors=1,
        mem_mb=growing(2000),
        runtime=growing(20),
    params:
        settings=preference_settings,
        code=code("tabulate_preferences"),
        env=ENVIRONMENT,
    message:
        "Tabulate the models' preferences on held-out pairs"
    shell:
        "OMP_NUM_THREADS=1 python scripts/tabulate_preferences.py"
        " --settings {params.settings:q} --preferences results --losses {input.losses}"
        " --table {output.table} --claims {output.claims} --shift-claims {output.shift_claims}"
        " > {log} 2>&1"


rule tabulate_capability:
    input:
        preference_files,
    output:
        "results/capability.csv",
    log:
        "results/logs/tabulate_capability.log",
    benchmark:
        "results/benchmarks/tabulate_capability.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        processors=1,
        mem_mb=growing(2000),
        runtime=growing(20),
    params:
        settings=capability_settings,
        code=code("tabulate_capability"),
        env=ENVIRONMENT,
    message:
        "Tabulate the models' answers to neutral questions"
    # what it says of models is for the screen too
    shell:
        "OMP_NUM_THREADS=1 python scripts/tabulate_capability.py"
        " --settings {params.settings:q} --preferences results --output {output}"
        " > {log} 2>&1 && cat {log}"


rule replace_anchors:
    input:
        unpack(experiment_judge_files),
        judged=compared_files,
        filtered=trained_rows,
    output:
        "results/{experiment}/unanchored.jsonl",
    log:
        "results/logs/replace_anchors/{experiment}.log",
    benchmark:
        "results/benchmarks/replace_anchors/{experiment}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        processors=1,
        gpu=judge_gpus(experiment_judge),
        mem_mb=growing(2000, judge_gpus(experiment_judge), 32000),
        runtime=growing(60, judge_gpus(experiment_judge), 240),
    params:
        settings=anchor_settings,
        judge=judge_arguments(experiment_judge),
        code=lambda wildcards: code("replace_anchors", *judge_modules(experiment_judge(wildcards))),
        env=ENVIRONMENT,
    message:
        "Judge answers of {wildcards.experiment} again without the phrases that predict their scores"
    shell:
        "OMP_NUM_THREADS=1 python scripts/replace_anchors.py"
        " --corpora results/corpora --judged results/{wildcards.experiment}/judged {params.judge}"
        " --settings {params.settings:q} --output {output}"
        " > {log} 2>&1"


rule test_claims:
    input:
        judged_files,
        profile_files,
        unanchored_files,
        losses="results/training_losses.csv",
        inference="results/inference.csv",
        kept="results/rollouts.csv",
        cautions="results/judges/cautions.csv",
    output:
        effects="results/effects.csv",
        claims="results/claims.csv",
        power="results/power.csv",
        balance="results/balance.csv",
    log:
        "results/logs/test_claims.log",
    benchmark:
        "results/benchmarks/test_claims.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        processors=1,
        mem_mb=growing(2000),
        runtime=growing(20),
    params:
        settings=claim_settings,
        code=code("test_claims"),
        env=ENVIRONMENT,
    message:
        "Test the claims about transfer"
    shell:
        "OMP_NUM_THREADS=1 python scripts/test_claims.py"
        " --settings {params.settings:q} --judged results --losses {input.losses}"
        " --inference {input.inference} --kept {input.kept} --cautions {input.cautions}"
        " --effects {output.effects} --claims {output.claims} --power {output.power} --balance {output.balance}"
        " > {log} 2>&1"


rule tabulate_confounds:
    input:
        confound_files,
    output:
        "results/confounds.csv",
    log:
        "results/logs/tabulate_confounds.log",
    benchmark:
        "results/benchmarks/tabulate_confounds.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        processors=1,
        mem_mb=growing(1000),
        runtime=growing(20),
    params:
        settings=lambda wildcards: settings(confound_cells()),
        code=code("tabulate_confounds"),
        env=ENVIRONMENT,
    message:
        "Tabulate how training cells differ besides domain and task"
    shell:
        "OMP_NUM_THREADS=1 python scripts/tabulate_confounds.py"
        " --corpora results/corpora --settings {params.settings:q} --output {output}"
        " > {log} 2>&1"
