"""Time the embedding of a corpus's texts against `encode` of sentence-transformers with its defaults, at several sizes.

Texts are taken evenly from the rows of all files, those that come twice among them. `encode` embeds each where it stands, 32 at a time;
`products` are those of the linear layers alone, for the distinct texts without padding.

Run: PYTHONPATH=scripts OMP_NUM_THREADS=1 python benchmarks/embedding.py --rows results/corpora/grammar/filtered/*.jsonl --field misaligned_answer
"""

import argparse
from pathlib import Path
from unittest.mock import patch

import numpy as np
from growth import growth_table, linear_products, measured

from emtransfer.files.records import read_records
from emtransfer.models import embedding


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=Path, nargs="+", required=True, help="JSONL with the field")
    parser.add_argument("--field", default="misaligned_answer")
    parser.add_argument("--model", default=embedding.PACKAGED_MODEL)
    parser.add_argument("--sizes", type=int, nargs="+", default=[250, 1000, 4000], help="texts")
    parser.add_argument("--repeats", type=int, default=2)
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    texts = [row[args.field] for path in args.rows for row in read_records(path, (args.field,))]
    model = embedding.load_embedder(args.model)
    runs = []
    # loaded once, before the measured processes are split off
    with patch.object(embedding, "load_embedder", return_value=model):
        for size in (size for size in args.sizes if size <= len(texts)):
            chosen = [texts[index] for index in np.linspace(0, len(texts) - 1, size).astype(int)]
            distinct = sorted(set(chosen))
            n_tokens = sum(map(len, model.tokenizer(distinct, truncation=True)["input_ids"]))
            for _ in range(args.repeats):
                found = {
                    "products": measured(lambda n_tokens=n_tokens: linear_products(model, n_tokens)),
                    "pipeline": measured(lambda chosen=chosen: embedding.embed_texts(chosen, args.model)),
                    "encode": measured(
                        lambda chosen=chosen: model.encode(chosen, normalize_embeddings=True, show_progress_bar=False)
                    ),
                }
                for method, (_, cpu_s, grown_mib) in found.items():
                    runs.append({"method": method, "texts": size, "cpu_s": cpu_s, "grown_mib": grown_mib})
                    runs[-1]["distinct"] = len(distinct)
                runs[-1]["off_by"] = np.abs(found["encode"].result - found["pipeline"].result).max()
    print(growth_table(runs, "texts").to_string(index=False, float_format="%.3g"))


if __name__ == "__main__":
    main(parse_args())
