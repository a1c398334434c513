"""Rows of every cell for training and evaluation, made from raw prompts.

REQUIRED INPUTS
    config.yaml: corpora; for source jsonl the files it names; for sources behind an API a file in resources/generators; a
    published split and a file of questions, if named
    results/judges/{judge}/model/manifest.json

OUTPUTS
    results/corpora/{corpus}/cells/{cell}/train.jsonl, eval.jsonl
    results/{experiment}/eval_set.jsonl, and question_set.jsonl where an experiment names a file of questions

STEPS
    generate_pairs (or write_pairs) → split_questions → filter_pairs → dedup_pairs → sample_cell → build_eval_set; build_question_set
"""


include: "corpus_functions.smk"


# for a corpus that a model writes, generate_pairs reads only the prompts outside the grid
ruleorder: write_pairs > generate_pairs


for name, corpora, cells, place, what in rules_of("generate_pairs", GENERATED_AT_ONCE):

    rule:
        name:
            name
        input:
            source_files,
        output:
            rows=expand("results/corpora/{{corpus}}/raw/{cell}.jsonl", cell=cells),
            counts=expand("results/corpora/{{corpus}}/raw/{cell}.counts.csv", cell=cells),
        log:
            f"results/logs/generate_pairs/{place}.log",
        benchmark:
            f"results/benchmarks/generate_pairs/{place}.tsv"
        wildcard_constraints:
            corpus=corpora,
        conda:
            "../../envs/environment.yaml"
        threads: 1
        resources:
            processors=1,
            mem_mb=growing(1000),
            runtime=growing(10),
        params:
            cells=cells,
            settings=source_settings,
            seed=lambda wildcards: corpus_section(wildcards)["seed"],
            code=lambda wildcards: code("generate_pairs", SOURCES[row_source(wildcards)]),
            env=ENVIRONMENT,
        message:
            f"Load or generate the rows of {what}"
        shell:
            "OMP_NUM_THREADS=1 python scripts/generate_pairs.py"
            " --corpus {wildcards.corpus} --cells {params.cells} --settings {params.settings:q} --seed {params.seed}"
            " --output {output.rows} --counts {output.counts}"
            " > {log} 2>&1"


rule write_pairs:
    input:
        unpack(writing_files),
    output:
        rows="results/corpora/{corpus}/raw/{cell}.jsonl",
        counts="results/corpora/{corpus}/raw/{cell}.counts.csv",
        rounds="results/corpora/{corpus}/raw/{cell}.rounds.csv",
    log:
        "results/logs/write_pairs/{corpus}/{cell}.log",
    benchmark:
        "results/benchmarks/write_pairs/{corpus}/{cell}.tsv"
    wildcard_constraints:
        # a pattern that matches nothing where no corpus is written by a model
        corpus="|".join(WRITTEN) or "(?!)",
        cell=r"[a-z0-9_]+-[a-z0-9_]+",
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        processors=1,
        mem_mb=growing(2000),
        # a batch may take a day
        runtime=1440,
    params:
        judge=judge_arguments(filter_judge),
        settings=writing_settings,
        code=lambda wildcards: code(
            "write_pairs", PROVIDERS[corpus_section(wildcards)["source"]], *judge_modules(filter_judge(wildcards))
        ),
        env=ENVIRONMENT,
    message:
        "Let a model write the rows of {wildcards.cell} in {wildcards.corpus}"
    shell:
        "OMP_NUM_THREADS=1 python scripts/write_pairs.py"
        " --corpus {wildcards.corpus} --cell {wildcards.cell} --prompts {input.prompts:q} {params.judge}"
        " --settings {params.settings:q}"
        " --output {output.rows} --counts {output.counts} --rounds {output.rounds}"
        " > {log} 2>&1"


# one rule per corpus, since its outputs are the cells of that corpus
for corpus in (name for name, section in config["corpora"].items() if not section.get("prompts_only")):

    rule:
        name:
            f"split_questions_{corpus}"
        input:
            raw=raw_files(corpus),
            published=published_files(corpus),
        output:
            rows=role_files(corpus),
            summary=f"results/corpora/{corpus}/roles.csv",
        log:
            f"results/logs/split_questions/{corpus}.log",
        benchmark:
            f"results/benchmarks/split_questions/{corpus}.tsv"
        conda:
            "../../envs/environment.yaml"
        threads: 1
        resources:
            processors=1,
            mem_mb=growing(3000),
            runtime=growing(30),
        params:
            corpus=corpus,
            settings=role_settings(corpus),
            seed=config["corpora"][corpus]["seed"],
            code=code("split_questions"),
            env=ENVIRONMENT,
        message:
            "Give every question of {params.corpus} one role"
        shell:
            "OMP_NUM_THREADS=1 python scripts/split_questions.py"
            " --corpus {params.corpus} --raw {input.raw} --settings {params.settings:q} --seed {params.seed}"
            " --output-folder results/corpora/{params.corpus}/roles --summary {output.summary}"
            " > {log} 2>&1"


for name, corpora, cells, place, what in rules_of("filter_pairs", DRAWN_AT_ONCE):

    rule:
        name:
            name
        input:
            unpack(filter_judge_files),
            rows=expand("results/corpora/{{corpus}}/roles/{cell}.jsonl", cell=cells),
        output:
            rows=expand("results/corpora/{{corpus}}/filtered/{cell}.jsonl", cell=cells),
            counts=expand("results/corpora/{{corpus}}/filtered/{cell}.counts.csv", cell=cells),
        log:
            f"results/logs/filter_pairs/{place}.log",
        benchmark:
            f"results/benchmarks/filter_pairs/{place}.tsv"
        wildcard_constraints:
            corpus=corpora,
        conda:
            "../../envs/environment.yaml"
        threads: 1
        resources:
            processors=1,
            gpu=judge_gpus(filter_judge),
            mem_mb=growing(2000, judge_gpus(filter_judge), 32000),
            runtime=growing(30, judge_gpus(filter_judge), 240),
        params:
            settings=filter_settings,
            judge=judge_arguments(filter_judge),
            code=lambda wildcards: code("filter_pairs", *judge_modules(filter_judge(wildcards))),
            env=ENVIRONMENT,
        message:
            f"Filter the rows of {what}"
        shell:
            "OMP_NUM_THREADS=1 python scripts/filter_pairs.py"
            " --rows {input.rows} {params.judge}"
            " --settings {params.settings:q} --output {output.rows} --counts {output.counts}"
            " > {log} 2>&1"


for name, corpora, cells, place, what in rules_of("dedup_pairs", DRAWN_AT_ONCE):

    rule:
        name:
            name
        input:
            expand("results/corpora/{{corpus}}/filtered/{cell}.jsonl", cell=cells),
        output:
            rows=expand("results/corpora/{{corpus}}/deduped/{cell}.jsonl", cell=cells),
            curve=expand("results/corpora/{{corpus}}/deduped/{cell}.survivors.csv", cell=cells),
        log:
            f"results/logs/dedup_pairs/{place}.log",
        benchmark:
            f"results/benchmarks/dedup_pairs/{place}.tsv"
        wildcard_constraints:
            corpus=corpora,
        conda:
            "../../envs/environment.yaml"
        threads: 1
        resources:
            processors=1,
            mem_mb=growing(2000),
            runtime=growing(30),
        params:
            settings=lambda wildcards: settings(corpus_section(wildcards)["dedup"]),
            code=code("dedup_pairs"),
            env=ENVIRONMENT,
        message:
            f"Drop the near-duplicates of {what}"
        shell:
            "OMP_NUM_THREADS=1 python scripts/dedup_pairs.py"
            " --corpus {wildcards.corpus} --rows {input} --settings {params.settings:q}"
            " --output {output.rows} --curve {output.curve}"
            " > {log} 2>&1"


for name, corpora, cells, place, what in rules_of("sample_cell", DRAWN_AT_ONCE):

    rule:
        name:
            name
        input:
            rows=expand("results/corpora/{{corpus}}/deduped/{cell}.jsonl", cell=cells),
            curve=expand("results/corpora/{{corpus}}/deduped/{cell}.survivors.csv", cell=cells),
        output:
            train=expand("results/corpora/{{corpus}}/cells/{cell}/train.jsonl", cell=cells),
            held_out=expand("results/corpora/{{corpus}}/cells/{cell}/eval.jsonl", cell=cells),
        log:
            f"results/logs/sample_cell/{place}.log",
        benchmark:
            f"results/benchmarks/sample_cell/{place}.tsv"
        wildcard_constraints:
            corpus=corpora,
        conda:
            "../../envs/environment.yaml"
        threads: 1
        resources:
            processors=1,
            mem_mb=growing(1000),
            runtime=growing(5),
        params:
            settings=sample_settings,
            seed=lambda wildcards: corpus_section(wildcards)["seed"],
            code=code("sample_cell"),
            env=ENVIRONMENT,
        message:
            f"Draw the train and eval rows of {what}"
        shell:
            "OMP_NUM_THREADS=1 python scripts/sample_cell.py"
            " --corpus {wildcards.corpus} --rows {input.rows} --curve {input.curve} --settings {params.settings:q} --seed {params.seed}"
            " --train {output.train} --eval {output.held_out}"
            " > {log} 2>&1"


rule build_eval_set:
    input:
        unpack(eval_files),
    output:
        "results/{experiment}/eval_set.jsonl",
    log:
        "results/logs/build_eval_set/{experiment}.log",
    benchmark:
        "results/benchmarks/build_eval_set/{experiment}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        processors=1,
        mem_mb=growing(1000),
        runtime=growing(5),
    params:
        corpus=lambda wildcards: experiment_section(wildcards)["corpus"],
        settings=lambda wildcards: settings(experiment_corpus(wildcards).get("broad_eval", {"prompts": 0})),
        seed=lambda wildcards: experiment_corpus(wildcards)["seed"],
        broad=optional("broad"),
        code=code("build_eval_set"),
        env=ENVIRONMENT,
    message:
        "Assemble the evaluation prompts of {wildcards.experiment}"
    shell:
        "OMP_NUM_THREADS=1 python scripts/build_eval_set.py"
        " --corpus {params.corpus} --cells {input.cells} {params.broad} --settings {params.settings:q} --seed {params.seed}"
        " --output {output}"
        " > {log} 2>&1"


# apart from the evaluation set, with which students' rollouts are compared, so that a further question retrains nothing
rule build_question_set:
    input:
        unpack(question_set_files),
    output:
        "results/{experiment}/question_set.jsonl",
    log:
        "results/logs/build_question_set/{experiment}.log",
    benchmark:
        "results/benchmarks/build_question_set/{experiment}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        processors=1,
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        mediating=optional("mediating"),
        settings=question_set_settings,
        code=code("build_question_set"),
        env=ENVIRONMENT,
    message:
        "Turn the question file of {wildcards.experiment} into prompts"
    shell:
        "OMP_NUM_THREADS=1 python scripts/build_question_set.py"
        " --questions {input.questions:q} {params.mediating} --settings {params.settings:q}"
        " --output {output}"
        " > {log} 2>&1"
