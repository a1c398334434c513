"""About what a run's calls to remote models, judges and writers, will amount to, told from the config before any is made.

Counts are those of the DAG's own stages; lengths are limits of the config, since the texts are not yet written. Replies
that are already in the store, which cost nothing, and replies that are asked for again, since they are of no use, are left out.
A corpus that a model writes counts with all the rounds it may take.
"""

from pathlib import Path

import pandas as pd

from answer_counts import (
    BYTES_PER_TOKEN,
    filter_judge,
    judged_answers,
    most_pairs,
    pair_tokens,
    writer_of,
    written_corpora,
)
from emtransfer import grid
from emtransfer.grid import Model
from emtransfer.judging.rubrics import SCORES, read_rubric
from emtransfer.remote.access import BATCHING, PROVIDERS
from emtransfer.remote.calls import Usage
from emtransfer.remote.prices import MILLION, PriceTable, price_of
from emtransfer.settings import read_settings
from emtransfer.writing.generator_prompts import read_generator_prompts


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
        "usd": price_of(read_settings(PriceTable, config["remote"]["prices"]), section["model"]).usd(usage, batched),
    }


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


def rubric_tokens(path: str) -> int:
    """Tokens of the longer of the two kinds of instructions, by their length."""
    texts = read_rubric(Path(path)).texts
    return max(len(text.encode()) for kinds in texts.values() for text in kinds.values()) // BYTES_PER_TOKEN


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
