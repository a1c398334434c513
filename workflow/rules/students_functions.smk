"""Inputs and params of the rules that make students."""


def teacher_files(wildcards):
    "The base a teacher stands on and, where the base itself does not teach, the teacher's adapter."
    path = expansion.teacher_path(experiment_section(wildcards), wildcards.base, wildcards.teacher, wildcards.seed)
    files = {"base": base_manifest(wildcards.base)}
    if path:
        files["teacher"] = f"results/{wildcards.experiment}/{path}/manifest.json"
    return files


def mediating_files(wildcards):
    "Rows with roles of the cells a set of mediating prompts is drawn from."
    return mediating_rows(wildcards.experiment, wildcards.mediating, wildcards.teacher)


def rollout_settings(wildcards):
    "How a teacher is asked."
    experiment = experiment_section(wildcards)
    mediating = experiment["mediating"][wildcards.mediating]
    prompts = {"prompts_per_cell": mediating["prompts_per_cell"]}
    # prompts of another corpus are judged as prompts outside the grid
    prompts |= {"pseudo_cell": mediating["corpus"]} if "corpus" in mediating else {}
    # how often evaluation prompts are answered does not concern a teacher
    length = {key: mediating[key] for key in ("max_new_tokens",) if key in mediating}
    return settings(prompts | {"sampling": drawing(wildcards) | length})


def rollout_filter_settings(wildcards):
    "What a teacher's answer must be to teach."
    return settings(experiment_section(wildcards)["rollout_filters"][wildcards.filter])


def student_data(wildcards):
    "The question-answer pairs a student is distilled on."
    teacher, answers = sections.data_source(experiment_section(wildcards), wildcards.data)
    folder = (
        f"results/{wildcards.experiment}/rollouts/{wildcards.base}/{teacher}/{wildcards.mediating}/{wildcards.filter}"
    )
    return (
        f"{folder}/{answers}_answers/seed{wildcards.seed}.jsonl" if answers else f"{folder}/seed{wildcards.seed}.jsonl"
    )


def distillation_settings(wildcards):
    "What a student is trained with."
    experiment = experiment_section(wildcards)
    channel, _, estimator = wildcards.channel.partition("-")
    trained_with = {key: experiment[key] for key in ("lora", "distillation")}
    # for the warning that the student carries; its teacher's own data tell nothing that the teacher does not
    misaligned = {"misaligned_data": True} if has_misaligned_data(experiment, wildcards) else {}
    return settings({"channel": channel, "estimator": estimator} | trained_with | misaligned)


def has_misaligned_data(experiment, wildcards):
    "Whether a student's data are misaligned answers of the corpus, or answers of another teacher that learned from such answers."
    source, answers = sections.data_source(experiment, wildcards.data)
    return answers == "misaligned" or (not answers and source != wildcards.teacher and is_harmful(experiment, source))


def is_harmful(experiment, teacher):
    "Whether a teacher, or one that its training started from, was trained on misaligned answers."
    section = experiment["teachers"][teacher]
    start = section.get("start", "base")
    return section.get("answers") == "misaligned" or (start != "base" and is_harmful(experiment, start))
