"""About what a run's calls to remote models, judges and writers, will amount to, told from the config before any is made.

Counts are those of the DAG's own stages; lengths are limits of the config, since the texts are not yet written. Replies
that are already in the store, which cost nothing, and replies that are asked for again, since they are of no use, are left out.
A corpus that a model writes counts with all the rounds it may take.
"""

from collections.abc import Iterator
from math import ceil
from pathlib import Path

import pandas as pd

from emtransfer import grid
from emtransfer.grid import Model
from emtransfer.pair_requests import GeneratorSettings
from emtransfer.question_files import read_questions
from emtransfer.remote.access import BATCHING, PROVIDERS
from emtransfer.remote.calls import Usage
from emtransfer.remote.generator_prompts import read_generator_prompts
from emtransfer.remote.prices import MILLION, price_of
from emtransfer.remote.rubrics import SCORES, read_rubric
from gpu_hours import hour_report, row_tokens
from planning import is_pooled

BYTES_PER_TOKEN = 4
# per held-out row: its two answers, those two masked, and an incoherent one
ANSWERS_PER_PROBED_ROW = 5


def remote_calls(config: dict, models: dict[str, list[Model]]) -> pd.DataFrame:
    """One row per stage, experiment or corpus, and judge: calls and tokens, and what they cost.

    Args:
        config: as validated.
        models: experiment of the run -> its models.

    Returns:
        stage, of, judge (empty where a model writes), model; calls; millions of input and output tokens; usd at the
        prices of `remote`.
    """
    rows = []
    for name in written_corpora(config, models):
        rows += writing_calls(config, name)
    for stage, of, judge, n_answers, tokens in judged_answers(config, models):
        section = config["judges"][judge]
        if section["kind"] in PROVIDERS and n_answers:
            n_calls = len(SCORES) * n_answers
            # as if nothing came from the provider's cache, which takes in no rubric below a length of its own
            input_tokens = tokens + rubric_tokens(section["rubric"])
            about = {"stage": stage, "of": of, "judge": judge}
            rows.append(
                about | priced(config, section, section["kind"], n_calls, input_tokens, section.get("max_tokens", 16))
            )
    columns = "stage of judge model calls input_mtok output_mtok usd".split()
    return pd.DataFrame(rows, columns=columns)


def priced(config: dict, section: dict, provider: str, n_calls: int, input_tokens: int, output_tokens: int) -> dict:
    """Calls of one kind with their tokens and cost; `section` names the model, tokens are those of one call."""
    usage = Usage(n_calls * input_tokens, n_calls * output_tokens)
    batched = config["remote"].get("batches", False) and provider in BATCHING
    return {
        "model": section["model"],
        "calls": n_calls,
        "input_mtok": usage.input_tokens / MILLION,
        "output_mtok": usage.output_tokens / MILLION,
        "usd": price_of(config["remote"]["prices"], section["model"]).usd(usage, batched),
    }


def written_corpora(config: dict, models: dict[str, list[Model]]) -> list[str]:
    """The corpora that a model writes and that the experiments need, for themselves, their bases or their judges."""

    def judged_on(corpus: str) -> list[str]:
        judge = filter_judge(config["corpora"][corpus])
        return [config["judges"][judge]["corpus"]] if judge else []

    needed, waiting = set(), []
    for name, of_experiment in models.items():
        experiment = config["experiments"][name]
        mixtures = {model.labels["mixture"] for model in of_experiment} & config["mixtures"].keys()
        tokenizer = config["base_models"][experiment["base_model"]].get("tokenizer", {})
        waiting += [experiment["corpus"], *judged_on(experiment["corpus"])]
        waiting += [config["judges"][experiment["judge"]]["corpus"]]
        waiting += [config["mixtures"][mixture]["corpus"] for mixture in mixtures]
        waiting += [tokenizer["corpus"]] if "corpus" in tokenizer else []
    while waiting:
        corpus = waiting.pop()
        if config["corpora"][corpus]["source"] in PROVIDERS and corpus not in needed:
            needed.add(corpus)
            waiting += judged_on(corpus)
    return sorted(needed)


def writing_calls(config: dict, name: str) -> list[dict]:
    """Two rows of the table: the calls that ask for a corpus's pairs, and those that answer their questions."""
    corpus = config["corpora"][name]
    writer, prompts = writer_of(corpus), read_generator_prompts(Path(corpus["generator"]["prompts"]))
    cells = grid.cells(corpus)
    n_pairs = len(cells) * most_pairs(corpus)
    asking, answering = (
        max(len(instructions(cell).encode()) for cell in cells) // BYTES_PER_TOKEN
        for instructions in (prompts.pairs_instructions, prompts.aligned_instructions)
    )
    return [
        {"stage": stage, "of": name, "judge": ""} | priced(config, corpus["generator"], writer.provider, *counts)
        for stage, *counts in [
            ("write_pairs", n_pairs // writer.pairs_per_call, asking, writer.max_tokens),
            ("write_pairs answers", n_pairs, answering + pair_tokens(corpus), writer.answer_max_tokens),
        ]
    ]


def writer_of(corpus: dict) -> GeneratorSettings:
    """The settings of the model that writes a corpus."""
    fields = {key: value for key, value in corpus["generator"].items() if key not in ("prompts", "subtopics")}
    return GeneratorSettings(provider=corpus["source"], subtopics=[], **fields)


def most_pairs(corpus: dict) -> int:
    """Pairs of a cell that its writer is asked for at most: no round asks for more than the first."""
    writer = writer_of(corpus)
    return writer.rounds * ceil(corpus["rows_per_cell"] / writer.pairs_per_call) * writer.pairs_per_call


def filter_judge(corpus: dict) -> str | None:
    """Name of the judge that filters a corpus; None for one that comes filtered."""
    return (corpus.get("filter") or {}).get("judge")


def rubric_tokens(path: str) -> int:
    """Tokens of the longer of the two kinds of instructions, by their length."""
    texts = read_rubric(Path(path)).texts
    return max(len(text.encode()) for kinds in texts.values() for text in kinds.values()) // BYTES_PER_TOKEN


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


def report(config: dict, models: dict[str, list[Model]]) -> str:
    """What the run will cost in calls and in GPU hours, in words."""
    return call_report(config, models) + hour_report(config, models)


def call_report(config: dict, models: dict[str, list[Model]]) -> str:
    """The table of calls in words, with its sum."""
    table = remote_calls(config, models)
    if table.empty:
        return "No judge and no corpus of this run is behind an API: no call, no cost.\n"
    prices = config["remote"]["prices"]["date"]
    text = table.to_string(index=False, float_format=lambda number: f"{number:.3f}")
    unknown = [
        f"\nNot counted: filter_pairs of {name}, since the config does not say how many rows it has."
        for name in sorted({config["experiments"][experiment]["corpus"] for experiment in models})
        if "rows_per_cell" not in config["corpora"][name]
        and filter_judge(config["corpora"][name])
        and config["judges"][filter_judge(config["corpora"][name])]["kind"] in PROVIDERS
    ]
    rounds = [
        f"\nCounted with {writer_of(config['corpora'][name]).rounds} rounds of {name}; a round that suffices ends it."
        for name in written_corpora(config, models)
    ]
    notes = "".join(unknown + rounds)
    return f"{text}\nAbout {table.calls.sum()} calls and {table.usd.sum():.2f} USD at the prices of {prices}.{notes}\n"
