"""How many pairs and answers a run's stages make, and how long they may get, told from the config before any is made."""

from collections.abc import Iterator
from math import ceil
from pathlib import Path

from emtransfer import grid
from emtransfer.corpus.question_files import read_questions
from emtransfer.grid import Model
from emtransfer.remote.access import PROVIDERS
from emtransfer.writing.pair_requests import GeneratorSettings
from planning import is_pooled

BYTES_PER_TOKEN = 4
# per held-out row: its two answers, those two masked, and an incoherent one
ANSWERS_PER_PROBED_ROW = 5
# of a question and its answer, where the config has no limit; a question of symbols and its answer are short
WORDS_UNKNOWN, WORDS_OF_SYMBOLS, TOKENS_PER_WORD = 200, 30, 1.4


def needed_corpora(config: dict, models: dict[str, list[Model]]) -> list[str]:
    """The corpora that the experiments need, for themselves, their prompts, their bases or their judges."""

    def judged_on(corpus: str) -> list[str]:
        judge = filter_judge(config["corpora"][corpus])
        return [config["judges"][judge]["corpus"]] if judge else []

    needed, waiting = set(), []
    for name, of_experiment in models.items():
        experiment = config["experiments"][name]
        mixtures = {model.labels["mixture"] for model in of_experiment} & config["mixtures"].keys()
        mediating = {model.labels["mediating"] for model in of_experiment} & experiment["mediating"].keys()
        tokenizer = config["base_models"][experiment["base_model"]].get("tokenizer", {})
        waiting += [experiment["corpus"], config["judges"][experiment["judge"]]["corpus"]]
        waiting += [config["mixtures"][mixture]["corpus"] for mixture in mixtures]
        waiting += [experiment["mediating"][prompts].get("corpus", experiment["corpus"]) for prompts in mediating]
        waiting += [tokenizer["corpus"]] if "corpus" in tokenizer else []
    while waiting:
        corpus = waiting.pop()
        if corpus not in needed:
            needed.add(corpus)
            waiting += judged_on(corpus)
    return sorted(needed)


def written_corpora(config: dict, models: dict[str, list[Model]]) -> list[str]:
    """Those of them that a model writes."""
    return [name for name in needed_corpora(config, models) if config["corpora"][name]["source"] in PROVIDERS]


def writer_of(corpus: dict) -> GeneratorSettings:
    """The settings of the model that writes a corpus."""
    fields = {key: value for key, value in corpus["generator"].items() if key not in ("prompts", "subtopics")}
    return GeneratorSettings(provider=corpus["source"], subtopics={}, **fields)


def most_pairs(corpus: dict) -> int:
    """Pairs of a cell that its writer is asked for at most: no round asks for more than the first."""
    writer = writer_of(corpus)
    return writer.rounds * ceil(corpus["rows_per_cell"] / writer.pairs_per_call) * writer.pairs_per_call


def filter_judge(corpus: dict) -> str | None:
    """Name of the judge that filters a corpus; None for one that comes filtered."""
    return (corpus.get("filter") or {}).get("judge")


def judged_answers(config: dict, models: dict[str, list[Model]]) -> Iterator[tuple[str, str, str, int, int]]:
    """Stage, what it is of, judge, answers it shows to the judge, and tokens of a question and its answer."""
    corpora = {config["experiments"][name]["corpus"] for name in models} | {*written_corpora(config, models)}
    for name in sorted(corpora):
        corpus = config["corpora"][name]
        judge = filter_judge(corpus)
        if judge is None:
            continue
        # what a model has written is judged at once, and not again when it is filtered
        n_rows = most_pairs(corpus) if corpus["source"] in PROVIDERS else corpus.get("rows_per_cell", 0)
        yield "filter_pairs", name, judge, 2 * len(grid.cells(corpus)) * n_rows, pair_tokens(corpus)
    used = {filter_judge(config["corpora"][name]) for name in corpora} - {None}
    used |= {config["experiments"][name]["judge"] for name in models}
    for judge in sorted(used):
        corpus = config["corpora"][config["judges"][judge]["corpus"]]
        n_rows = len(grid.cells(corpus)) * corpus["roles"]["judge_fit"] + corpus["roles"].get("broad_judge_fit", 0)
        split = config["judges"][judge]["split"]
        share = min(1, split.get("held_out_share", 0.1) + split.get("phrase_share", 0.03))
        yield "calibrate_judge", judge, judge, ANSWERS_PER_PROBED_ROW * ceil(n_rows * share), pair_tokens(corpus)
    for name, of_experiment in models.items():
        yield from experiment_answers(config, name, of_experiment)


def experiment_answers(config: dict, name: str, models: list[Model]) -> Iterator[tuple[str, str, str, int, int]]:
    """As `judged_answers`, of one experiment."""
    experiment = config["experiments"][name]
    corpus, judge, sampling = config["corpora"][experiment["corpus"]], experiment["judge"], experiment["sampling"]
    tokens = pair_tokens(corpus) + sampling["max_new_tokens"]
    n_narrow = len(grid.cells(corpus)) * corpus["sample"]["eval"]
    n_broad = corpus.get("broad_eval", {}).get("prompts", 0)
    probing = experiment["probing"]
    questions = question_prompts(experiment)
    n_probes = (n_narrow + n_broad) * (probing["samples"] + probing["neutral_samples"])
    n_probes += len(questions) * probing["samples"]
    n_bases = sum(model.seed is None for model in models)
    yield "profile_prompts", name, judge, n_bases * n_probes, tokens
    students = [model for model in models if model.labels["condition"] == "student"]
    keys = ("base", "teacher", "mediating", "filter")
    filtered = {(*(model.labels[key] for key in keys), model.seed) for model in students}
    n_rollouts = 0
    for *_, mediating, _, _ in filtered:
        prompts = experiment["mediating"][mediating]
        source = config["corpora"][prompts.get("corpus", experiment["corpus"])]
        # of a corpus of prompts only the config does not say how many there are
        n_prompts = prompts["prompts_per_cell"] or source.get("roles", {}).get("mediating", 0)
        n_rollouts += len(grid.chosen_cells(source, prompts["cells"])) * n_prompts
    yield "filter_rollouts", name, judge, n_rollouts, tokens
    n_answers = n_narrow * sampling["samples"] + n_broad * sampling["broad_samples"]
    n_answers += sum(prompt.get("samples", sampling["broad_samples"]) for prompt in questions)
    yield "judge_answers", name, judge, len(models) * n_answers, tokens
    # answers of the cells that share a task or a domain with the training cell
    n_neighbours = (len(corpus["domains"]) + len(corpus["tasks"]) - 2) * corpus["sample"]["eval"] * sampling["samples"]
    yield "replace_anchors", name, judge, sum(map(is_pooled, models)) * n_neighbours, tokens


def question_prompts(experiment: dict) -> list[dict]:
    """The prompts of the experiment's question file; none where it has no such file."""
    section = experiment.get("questions")
    if not section:
        return []
    samples = section.get("samples_per_paraphrase")
    return [prompt for question in read_questions(Path(section["path"])) for prompt in question.prompts(samples)]


def pair_tokens(corpus: dict) -> int:
    """Tokens of a question and one of its answers at most; where the config does not say, those of WORDS_UNKNOWN."""
    limit = corpus.get("max_row_words")
    if limit is None and corpus["source"] in PROVIDERS:
        writer = writer_of(corpus)
        return writer.max_tokens // writer.pairs_per_call + writer.answer_max_tokens
    return row_tokens(corpus)


def row_tokens(corpus: dict) -> int:
    """Tokens of a question and its answer, by the limit of the config or a guess."""
    unlimited = WORDS_OF_SYMBOLS if corpus["source"] == "symbolic" else WORDS_UNKNOWN
    return int((corpus.get("max_row_words") or unlimited) * TOKENS_PER_WORD)
