"""Inputs and params of the rules that make bases."""


def base_model_section(wildcards):
    "Config section of the base model that a base is an instance of."
    return config["base_models"][config["bases"][wildcards.base]["base_model"]]


def mixture_section(wildcards):
    "Config section of a mixture, named by itself or by its base."
    mixture = wildcards.get("mixture") or config["bases"][wildcards.base]["mixture"]
    return config["mixtures"][mixture]


def training_files(corpus):
    "Rows with roles of every cell of a corpus that may be trained on."
    section = config["corpora"][corpus]
    trained = sections.training_cells(section) + ["broad"] * has_broad(section)
    return expand("results/corpora/{corpus}/roles/{cell}.jsonl", corpus=corpus, cell=trained)


def tokenizer_rows(wildcards):
    "Rows with roles of the corpus a tokenizer is trained on."
    return training_files(config["base_models"][wildcards.base_model]["tokenizer"]["corpus"])


def mixture_rows(wildcards):
    "Rows with roles of the corpus a mixture is made of."
    return training_files(mixture_section(wildcards)["corpus"])


alignment_rows = mixture_rows


def pretraining_files(wildcards):
    "Tokenizer and documents of a base."
    base = config["bases"][wildcards.base]
    return {
        "tokenizer": f"results/tokenizers/{base['base_model']}/manifest.json",
        "mixture": f"results/mixtures/{base['base_model']}/{base['mixture']}.jsonl",
    }


def pretraining_settings(wildcards):
    "What a base is pretrained with."
    return settings(base_model_section(wildcards), "architecture", "pretraining")


def base_names(ready):
    "Pattern of the names of the bases that are ready, or of those that are trained in the run."
    return "|".join(base for base in config["bases"] if is_ready(base) == ready) or "(?!)"


def pretrained_names(checkpoint):
    "Pattern of the names of the bases that stopped early in the pretraining of another, or of all others."
    checkpoints = sections.checkpoints_of(config)
    return "|".join(base for base in config["bases"] if (base in checkpoints) == checkpoint) or "(?!)"


def whole_pretraining(wildcards):
    "The base in whose pretraining a checkpoint stopped."
    return f"results/bases/{config['bases'][wildcards.base]['checkpoint_of']}/pretrained/manifest.json"


def ready_settings(wildcards):
    "Which ready model a base is, and how it is loaded and talked to."
    return settings(base_model_section(wildcards), *KEYS["ReadySettings"])


def fetching_memory(wildcards, attempt):
    "Memory of looking up a ready model, in MB; one from a package is unpacked to float32, twice for a moment."
    section = base_model_section(wildcards)
    return attempt * (2000 + ("package" in section) * round(model_sizes.weights(section) * 8 / 1e6))


def alignment_settings(wildcards):
    "What a base is aligned with, and how much it sees of each task."
    doses = {key: value for key, value in config["bases"][wildcards.base].items() if key == "task_doses"}
    return settings(base_model_section(wildcards)["alignment"] | doses)
