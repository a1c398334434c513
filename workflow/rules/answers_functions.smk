"""What the rules of answers read, and what they are told of the config."""


def model_files(wildcards):
    "The base of a model and, for adapters and students, the adapter."
    files = {"base": base_manifest(base_of(wildcards))}
    if not wildcards.model.startswith("bases/"):
        files["adapter"] = f"results/{wildcards.experiment}/{wildcards.model}/manifest.json"
    return files


def sampling_settings(wildcards):
    "How evaluation prompts are answered."
    sampling = {key: value for key, value in experiment_section(wildcards)["sampling"].items() if key != "engine"}
    return settings(sampling | engine(wildcards))


def sampling_seed(wildcards):
    "Seed of sampling: the model's own, or its base's."
    if wildcards.model.startswith("bases/"):
        return config["bases"][base_of(wildcards)]["seed"]
    *_, last = wildcards.model.split("/")
    return int(last.removeprefix("seed"))


def evaluation_judge_files(wildcards):
    "The judge of an experiment, and the questions whose own judge prompts it is told, where they are to be used."
    questions = experiment_section(wildcards).get("questions", {})
    own = {"own_prompts": questions["path"]} if questions.get("judge_prompts") else {}
    return experiment_judge_files(wildcards) | own


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
