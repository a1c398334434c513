"""Let a remote model write the rows of one cell, until enough pass the corpus's filter and deduplication.

Run: python scripts/write_pairs.py --corpus generated --cell medical-advice --prompts resources/generators/grid.yaml --judge resources/rubrics/grid.yaml --judge-settings '{"kind": "anthropic", …}' --settings '{"rows": 200, "generator": {…}, …}' --output raw/medical-advice.jsonl --counts raw/medical-advice.counts.csv --rounds raw/medical-advice.rounds.csv
"""

import argparse
from pathlib import Path

from emtransfer.arguments import json_argument
from emtransfer.errors import run
from emtransfer.files.records import write_records, write_table
from emtransfer.judging.kinds import add_judge_arguments, judge_from
from emtransfer.remote.access import RemoteSettings, remote_asker
from emtransfer.settings import read_settings
from emtransfer.writing.generator_prompts import read_generator_prompts
from emtransfer.writing.pair_generation import WritingSettings, generate_cell, outcome, stage_counts


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", required=True, help="name of the corpus in the config, for error messages")
    parser.add_argument("--cell", required=True, help="{domain}-{task}")
    parser.add_argument("--prompts", type=Path, required=True, help="YAML file with the model's instructions")
    add_judge_arguments(parser)
    fields = "JSON or @FILE: the fields of WritingSettings, with those of GeneratorSettings, FilterSettings and DedupSettings inside"
    parser.add_argument("--settings", type=json_argument, required=True, help=fields)
    parser.add_argument("--output", type=Path, required=True, help="JSONL of rows")
    parser.add_argument("--counts", type=Path, required=True, help="CSV: rows in, rows out, dropped by reason")
    parser.add_argument("--rounds", type=Path, required=True, help="CSV: a row per round, refusals by reason")
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    settings = read_settings(WritingSettings, args.settings)
    generator = settings.generator
    asker = remote_asker(generator.provider, generator.model, read_settings(RemoteSettings, args.remote), "write_pairs")
    # the judge's replies are those that filter_pairs will ask for
    judge = judge_from(args, "filter_pairs")
    prompts = read_generator_prompts(args.prompts)
    rows, rounds = generate_cell(args.corpus, args.cell, settings, prompts, asker, judge)
    write_records(args.output, rows)
    write_table(args.counts, stage_counts(args.cell, rounds))
    write_table(args.rounds, rounds)
    print(rounds.T.to_string(header=False))
    print(outcome(args.corpus, args.cell, rounds))


if __name__ == "__main__":
    run(main, parse_args())
