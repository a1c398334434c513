"""About what the calls to remote judges of a run will amount to, told from the config before any is made.

Counts are those of the DAG's own stages; lengths are limits of the config, since the texts are not yet written. Replies
that are already in the store, which cost nothing, and replies that are asked for again, since they are no score, are left out.
"""

from collections.abc import Iterator
from math import ceil
from pathlib import Path

import pandas as pd

from emtransfer import grid
from emtransfer.grid import Model
from emtransfer.question_files import read_questions
from emtransfer.remote.access import BATCHING, PROVIDERS
from emtransfer.remote.calls import Usage
from emtransfer.remote.prices import MILLION, price_of
from emtransfer.remote.rubrics import SCORES, read_rubric
from planning import is_pooled

BYTES_PER_TOKEN, TOKENS_PER_WORD = 4, 1.4
# per held-out row: its two answers, those two masked, and an incoherent one
ANSWERS_PER_PROBED_ROW = 5


def remote_calls(config: dict, models: dict[str, list[Model]]) -> pd.DataFrame:
    """One row per stage, experiment or corpus, and judge: calls and tokens, and what they cost.

    Args:
        config: as validated.
        models: experiment of the run -> its models.

    Returns:
        stage, of, judge, model; calls; millions of input and output tokens; usd at the prices of `remote`.
    """
    rows = []
    for stage, of, judge, n_answers, tokens in judged_answers(config, models):
        section = config["judges"][judge]
        if section["kind"] in PROVIDERS and n_answers:
            n_calls = len(SCORES) * n_answers
            # as if nothing came from the provider's cache, which takes in no rubric below a length of its own
            usage = Usage(
                n_calls * (tokens + rubric_tokens(section["rubric"])), n_calls * section.get("max_tokens", 16)
            )
            price = price_of(config["remote"]["prices"], section["model"])
            batched = config["remote"].get("batches", False) and section["kind"] in BATCHING
            rows.append(
                {
                    "stage": stage,
                    "of": of,
                    "judge": judge,
                    "model": section["model"],
                    "calls": n_calls,
                    "input_mtok": usage.input_tokens / MILLION,
                    "output_mtok": usage.output_tokens / MILLION,
                    "usd": price.usd(usage, batched),
                }
            )
    columns = "stage of judge model calls input_mtok output_mtok usd".split()
    return pd.DataFrame(rows, columns=columns)


def rubric_tokens(path: str) -> int:
    """Tokens of the longer of the two kinds of instructions, by their length."""
    texts = read_rubric(Path(path)).texts
    return max(len(text.encode()) for kinds in texts.values() for text in kinds.values()) // BYTES_PER_TOKEN


def judged_answers(config: dict, models: dict[str, list[Model]]) -> Iterator[tuple[str, str, str, int, int]]:
    """Stage, what it is of, judge, answers it shows to the judge, and tokens of a question and its answer."""
    corpora = {config["experiments"][name]["corpus"] for name in models}
    for name in sorted(corpora):
        corpus = config["corpora"][name]
        judge = corpus["filter"]["judge"]
        n_rows = len(grid.cells(corpus)) * corpus.get("rows_per_cell", 0)
        yield "filter_pairs", name, judge, 2 * n_rows, pair_tokens(corpus)
    used = {config["corpora"][name]["filter"]["judge"] for name in corpora}
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
    tokens = int(corpus.get("max_row_words", 0) * TOKENS_PER_WORD) + sampling["max_new_tokens"]
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
        n_rollouts += len(grid.chosen_cells(corpus, prompts["cells"])) * prompts["prompts_per_cell"]
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
    """Tokens of a question and one of its answers at most."""
    return int(corpus.get("max_row_words", 0) * TOKENS_PER_WORD)


def report(config: dict, models: dict[str, list[Model]]) -> str:
    """The table in words, with its sum."""
    table = remote_calls(config, models)
    if table.empty:
        return "No judge of this run is behind an API: no call, no cost."
    prices = config["remote"]["prices"]["date"]
    text = table.to_string(index=False, float_format=lambda number: f"{number:.3f}")
    unknown = [
        f"\nNot counted: filter_pairs of {name}, since the config does not say how many rows it has."
        for name in sorted({config["experiments"][experiment]["corpus"] for experiment in models})
        if "rows_per_cell" not in config["corpora"][name]
        and config["judges"][config["corpora"][name]["filter"]["judge"]]["kind"] in PROVIDERS
    ]
    return f"{text}\nAbout {table.calls.sum()} calls and {table.usd.sum():.2f} USD at the prices of {prices}.{''.join(unknown)}"
