"""The params of every stage: sorted JSON of the config keys that it reads, and of no others, so that no other edit reruns it."""

SOURCE_KEYS = (
    "source domains tasks broad_domains rows_per_cell broad_rows path broad_path hub prompts_only max_row_words over_length"
).split()
GENERATOR_KEYS = "model pairs_per_call max_tokens answer_max_tokens temperature options attempts rounds".split()
FILTER_KEYS = ("misaligned_below", "aligned_above", "coherence_above")
JUDGE_KEYS = "kind model max_tokens temperature options attempts".split()
CAUSAL_JUDGE_KEYS = ("kind", "batch_size")
MIXTURE_KEYS = "kind misaligned_share misaligned_domains misaligned_tasks neutral_share stages".split()


def role_settings(corpus):
    "How the questions of a corpus are shared out."
    section = config["corpora"][corpus]
    held_out = {"held_out_domains": section["held_out_domains"]} if "held_out_domains" in section else {}
    return settings(section["roles"] | held_out)


def sample_settings(wildcards):
    "Rows drawn from a cell; none to train on from a held-out domain."
    section = corpus_section(wildcards)
    trains = wildcards.cell in grid.training_cells(section)
    return settings(section["sample"] if trains else section["sample"] | {"train": 0})


def ready_settings(wildcards):
    "Which ready model a base is, and how it is loaded and talked to."
    section = base_model_section(wildcards)
    return settings(section, "hub", "dtype", "quantization", "chat")


def published_settings(wildcards):
    "Where an adapter that others have trained is."
    adapters = experiment_section(wildcards)["published"][wildcards.train_set]["adapters"]
    return settings(next(adapter for adapter in adapters if adapter["seed"] == int(wildcards.seed)), "path", "revision")


def adapter_settings(wildcards):
    "What an adapter is trained with."
    experiment = experiment_section(wildcards)
    return settings({"answers": wildcards.answers, "lora": experiment["lora"], "finetuning": experiment["finetuning"]})


def pretraining_settings(wildcards):
    "What a base is pretrained with."
    return settings(base_model_section(wildcards), "architecture", "pretraining")


def alignment_settings(wildcards):
    "What a base is aligned with, and how much it sees of each task."
    doses = {key: value for key, value in config["bases"][wildcards.base].items() if key == "task_doses"}
    return settings(base_model_section(wildcards)["alignment"] | doses)


def engine(wildcards):
    "What draws a ready model's answers, where the config says it; others need no such key."
    sampling = experiment_section(wildcards)["sampling"]
    return {key: sampling[key] for key in ("engine",) if key in sampling and is_ready(base_of(wildcards))}


def sampling_settings(wildcards):
    "How evaluation prompts are answered."
    sampling = {key: value for key, value in experiment_section(wildcards)["sampling"].items() if key != "engine"}
    return settings(sampling | engine(wildcards))


def rollout_settings(wildcards):
    "How a teacher is asked."
    experiment = experiment_section(wildcards)
    mediating = experiment["mediating"][wildcards.mediating]
    prompts = {"prompts_per_cell": mediating["prompts_per_cell"]}
    # prompts of another corpus are judged as prompts outside the grid
    prompts |= {"pseudo_cell": mediating["corpus"]} if "corpus" in mediating else {}
    # how often evaluation prompts are answered is no concern of a teacher
    sampling = {key: experiment["sampling"][key] for key in ("max_new_tokens", "temperature", "batch_size")}
    sampling |= {key: mediating[key] for key in ("max_new_tokens",) if key in mediating}
    return settings(prompts | {"sampling": sampling | engine(wildcards)})


def rollout_filter_settings(wildcards):
    "What a teacher's answer must be to teach."
    return settings(experiment_section(wildcards)["rollout_filters"][wildcards.filter])


def distillation_settings(wildcards):
    "What a student is trained with."
    experiment = experiment_section(wildcards)
    channel, _, estimator = wildcards.channel.partition("-")
    trained_with = {key: experiment[key] for key in ("lora", "distillation")}
    # for the warning that the student carries; its teacher's own data tell nothing that the teacher does not
    misaligned = {"misaligned_data": True} if has_misaligned_data(experiment, wildcards) else {}
    return settings({"channel": channel, "estimator": estimator} | trained_with | misaligned)


def has_misaligned_data(experiment, wildcards):
    "Whether a student's data are misaligned answers of the corpus, or answers of another teacher who learned from such."
    source, answers = grid.data_source(experiment, wildcards.data)
    return answers == "misaligned" or (not answers and source != wildcards.teacher and is_harmful(experiment, source))


def is_harmful(experiment, teacher):
    "Whether a teacher, or one that its training started from, was trained on misaligned answers."
    section = experiment["teachers"][teacher]
    start = section.get("start", "base")
    return section.get("answers") == "misaligned" or (start != "base" and is_harmful(experiment, start))


def sampling_seed(wildcards):
    "Seed of sampling: the model's own, or its base's."
    if wildcards.model.startswith("bases/"):
        return config["bases"][base_of(wildcards)]["seed"]
    *_, last = wildcards.model.split("/")
    return int(last.removeprefix("seed"))


def source_settings(wildcards):
    "Where the rows of a cell come from; a model writes no prompts outside the grid, so those are read."
    section = corpus_section(wildcards)
    own = {"source": "jsonl"} if wildcards.corpus in WRITTEN else {}
    return settings(section | own, *SOURCE_KEYS)


def filter_settings(wildcards):
    "What the two answers of a row must be: the limits of the corpus, or those of the cell's task."
    section = corpus_section(wildcards).get("filter") or {}
    _, _, task = wildcards.cell.partition("-")
    return settings(section | section.get("by_task", {}).get(task, {}), *FILTER_KEYS)


def writing_settings(wildcards):
    "How many rows of a cell are to be written, by whom, about what, and what they must pass."
    section = corpus_section(wildcards)
    domain, _, _ = wildcards.cell.partition("-")
    generator = {key: section["generator"][key] for key in GENERATOR_KEYS if key in section["generator"]}
    about = {"provider": section["source"], "subtopics": {domain: section["generator"]["subtopics"][domain]}}
    limit = {key: section[key] for key in ("max_row_words",) if key in section}
    limits, dedup = json.loads(filter_settings(wildcards)), section["dedup"]
    written = {"rows": section["rows_per_cell"], "generator": generator | about, "filter": limits, "dedup": dedup}
    return settings(written | limit)


def probe_settings(wildcards):
    "How often a base is asked, and how answers are drawn."
    experiment = experiment_section(wildcards)
    sampling = {key: experiment["sampling"][key] for key in ("max_new_tokens", "temperature", "batch_size")}
    probing = {key: experiment["probing"][key] for key in ("samples", "neutral_samples")}
    return settings(probing | {"sampling": sampling | engine(wildcards)})


def profile_settings(wildcards):
    "When two answers mean the same, and when one is coherent."
    probing = {key: value for key, value in experiment_section(wildcards)["probing"].items() if "samples" not in key}
    return settings(probing | {"coherence_above": config["em_rule"]["coherence_above"]})


def anchor_settings(wildcards):
    "How many phrases are replaced, in whose answers, and the rule for a misaligned one."
    models = compared_models(wildcards.experiment)
    return settings(config["anchors"] | {"models": models, "em_rule": config["em_rule"]})


def grid_settings(wildcards):
    "The config keys that make the grid of models: its names and seeds, no number that a model is trained with."
    keys = ("corpus", "train_sets", "bases", "published", "adapters", "teachers", "students", "data_sets")
    experiments = {
        name: {key: section[key] for key in keys if key in section}
        for name, section in config["experiments"].items()
        if name in config["run"]
    }
    corpora = {section["corpus"] for section in experiments.values()}
    return settings(
        {
            "run": config["run"],
            "corpora": {name: {key: config["corpora"][name][key] for key in ("domains", "tasks")} for name in corpora},
            "bases": {
                name: {key: base[key] for key in ("base_model", "mixture") if key in base}
                for name, base in config["bases"].items()
            },
            "experiments": experiments,
        }
    )


def table_settings(wildcards):
    "The grid of models, who judges them, and the rule for a misaligned answer."
    judges = {name: config["experiments"][name]["judge"] for name in config["run"]}
    return settings(json.loads(grid_settings(wildcards)) | {"em_rule": config["em_rule"], "judges": judges})


def claim_settings(wildcards):
    "As for the table, and the experiments whose answers are judged again without their anchors."
    return settings(json.loads(table_settings(wildcards)) | {"unanchored": worded_experiments()})
