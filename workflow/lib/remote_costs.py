"""About what a run's calls to remote models, judges and writers, will amount to, told from its work before any is done.

Lengths are limits of the config, since the texts are not yet written. Replies that are already in the store, which cost
nothing, and replies that are asked for again, since they are of no use, are left out. A corpus that a model writes counts
with all the rounds it may take.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from corpus_sizes import is_written, writer_of
from emtransfer.errors import counted
from emtransfer.grid import sections
from emtransfer.grid.labels import Model
from emtransfer.judging.rubrics import SCORES
from emtransfer.remote.access import BATCHING, PROVIDERS
from emtransfer.remote.caching import cache_minimum
from emtransfer.remote.calls import Usage
from emtransfer.remote.prices import MILLION, PriceTable, price_of
from emtransfer.settings import read_settings
from emtransfer.writing.generator_prompts import read_generator_prompts
from model_sizes import BYTES_PER_TOKEN, rubric_tokens
from needed import needed
from work import Work, work


class Calls(NamedTuple):
    """Calls of one kind; tokens are those of one call."""

    provider: str
    model: str
    number: int
    input_tokens: int
    output_tokens: int


def calls_of(config: dict, entry: Work) -> Calls | None:
    """The calls that an entry makes; None for one that asks nobody behind an API."""
    if entry.does in ("write", "answer"):
        corpus = config["corpora"][entry.of]
        writer, prompts = writer_of(corpus), read_generator_prompts(Path(corpus["generator"]["prompts"]))
        if entry.does == "write":
            told = longest(map(prompts.pairs_instructions, sections.cells(corpus)))
            return Calls(writer.provider, writer.model, entry.items, told, entry.tokens)
        told = longest(map(prompts.aligned_instructions, sections.cells(corpus)))
        return Calls(writer.provider, writer.model, entry.items, told + entry.tokens, writer.answer_max_tokens)
    if entry.does == "judge" and config["judges"][entry.judge]["kind"] in PROVIDERS:
        judge = config["judges"][entry.judge]
        # as if nothing came from the provider's cache, so that the sum is an upper bound; see `cache_line`
        n_input = entry.tokens + rubric_tokens(judge["rubric"])
        return Calls(judge["kind"], judge["model"], len(SCORES) * entry.items, n_input, judge.get("max_tokens", 16))
    return None


def longest(instructions: Iterable[str]) -> int:
    """Tokens of the longest of several instructions, by their length."""
    return max(len(text.encode()) for text in instructions) // BYTES_PER_TOKEN


def remote_calls(config: dict, models: dict[str, list[Model]]) -> pd.DataFrame:
    """One row per stage, what it is of, and what is asked for.

    Args:
        config: as validated.
        models: experiment of the run -> its models.

    Returns:
        stage, of, does (write, answer or judge), judge, provider, model; calls; millions of input and output tokens; usd at the
        prices of `remote`.
    """
    rows = []
    for entry in work(config, models):
        calls = calls_of(config, entry)
        if calls and calls.number:
            usage = Usage(calls.number * calls.input_tokens, calls.number * calls.output_tokens)
            batched = config["remote"].get("batches", False) and calls.provider in BATCHING
            usd = price_of(price_table(config), calls.model).usd(usage, batched)
            asked = [entry.stage, entry.of, entry.does, entry.judge, calls.provider, calls.model, calls.number]
            rows.append([*asked, usage.input_tokens / MILLION, usage.output_tokens / MILLION, usd])
    return pd.DataFrame(rows, columns="stage of does judge provider model calls input_mtok output_mtok usd".split())


def price_table(config: dict) -> PriceTable:
    """The prices of the config."""
    return read_settings(PriceTable, config["remote"]["prices"])


def call_report(config: dict, models: dict[str, list[Model]]) -> str:
    """The table of calls in words, with its sum."""
    table = remote_calls(config, models)
    if table.empty:
        return "No judge and no corpus of this run is behind an API: no call, no cost.\n"
    prices = config["remote"]["prices"]["date"]
    text = table.to_string(index=False, float_format=lambda number: f"{number:.3f}")
    rounds = "".join(
        f"\nCounted with {counted(writer_of(config['corpora'][name]).rounds, 'round')} of {name}; writing stops after a round that suffices."
        for name in needed(config, models)["corpus"]
        if is_written(config["corpora"][name])
    )
    sums = f"About {table.calls.sum()} calls and {table.usd.sum():.2f} USD at the prices of {prices}."
    return f"{text}\n{sums}{rounds}{batch_line(config, table)}{cache_line(config, table)}\n"


def batch_line(config: dict, table: pd.DataFrame) -> str:
    """What batches make of the sum, where a provider of the run takes them: what they save, or would save."""
    if config["remote"].get("batches", False):
        batched = "Calls of models whose provider takes batches are counted at the price of a batch."
    else:
        share = {name: price.batch_share for name, price in price_table(config).models.items()}
        saved = sum(row.usd * (1 - share[row.model]) for row in table.itertuples() if row.provider in BATCHING)
        batched = f"With remote.batches: true, {table.usd.sum() - saved:.2f} USD."
    return f"\n{batched}" if set(table.provider) & set(BATCHING) else ""


def cache_line(config: dict, table: pd.DataFrame) -> str:
    """Whether the provider's cache takes in the rubrics of the run's judges, which it does from a length of its own on."""
    lines = set()
    for name in set(table.judge) - {""}:
        judge = config["judges"][name]
        if judge["kind"] == "anthropic":
            tokens, minimum = rubric_tokens(judge["rubric"]), cache_minimum(judge["model"])
            cached = "is cached, which the sum leaves out" if tokens >= minimum else "is not cached"
            lines.add(
                f"\nThe provider's cache takes in {minimum} tokens or more of {judge['model']}: {judge['rubric']}, about {tokens}, "
                f"{cached}."
            )
    return "".join(sorted(lines))
