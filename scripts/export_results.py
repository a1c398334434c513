"""Export a finished run: tables in LaTeX, and models with cards and corpora with data cards in the Hugging Face Hub's format.

Run: python scripts/export_results.py --results results --output results/export --owner my-lab
"""

import argparse
from pathlib import Path

from emtransfer.drawing.rates import read_claim_table, read_transfer_table
from emtransfer.errors import counted, run
from emtransfer.exporting.corpora import export_corpus
from emtransfer.exporting.latex import claims_latex, relations_latex
from emtransfer.exporting.model_cards import Names, export_model
from emtransfer.exporting.run_files import read_rows, trained_models
from emtransfer.files.artefacts import new_folder


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder of a finished run")
    parser.add_argument("--output", type=Path, required=True, help="folder for tex, models and corpora")
    parser.add_argument("--owner", default="your-name", help="owner of the repositories that cards refer to")
    licence = "identifier for cards of the run's own models and corpora; adapters of others' models refer to theirs"
    parser.add_argument("--license", default="apache-2.0", help=licence)
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    names, results = Names(args.owner, args.license), args.results
    table = read_rows(results / "em_transfer_table.csv")
    models = trained_models(results, results / "declared.jsonl", table)
    corpora = sorted({corpus for model in models for corpus in model.corpora.values()})
    with new_folder(args.output) as folder:
        (folder / "tex").mkdir()
        claims = read_claim_table(results / "claims.csv")
        (folder / "tex/claims.tex").write_text(claims_latex(claims), encoding="utf-8")
        for experiment in table["experiment"].unique():
            rows = read_transfer_table(results / "em_transfer_table.csv", experiment)
            (folder / f"tex/relations_{experiment}.tex").write_text(relations_latex(rows), encoding="utf-8")
        for model in models:
            target = folder / "models" / model.folder.relative_to(results)
            target.mkdir(parents=True)
            export_model(model, results / "bases" / model.labels["base"] / "aligned", target, names)
        for corpus in corpora:
            (folder / "corpora" / corpus).mkdir(parents=True)
            export_corpus(results / "corpora" / corpus, folder / "corpora" / corpus, names)
    print(
        f"{args.output}: tables in tex, {counted(len(models), 'model')}, {counted(len(corpora), 'corpus', 'corpora')}."
    )


if __name__ == "__main__":
    run(main, parse_args())
