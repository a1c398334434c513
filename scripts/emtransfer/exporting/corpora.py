"""Corpora as `datasets` loads them: a configuration per cell with splits train and eval, in Parquet, under a data card."""

from pathlib import Path
from typing import Any

from huggingface_hub import DatasetCard, DatasetCardData

from emtransfer.exporting.model_cards import CARD, Names
from emtransfer.files.records import read_records

SPLITS = ("train", "eval")
# a data set with fewer rows than this -> its size category on the Hub
SIZES = {1_000: "n<1K", 10_000: "1K<n<10K", 100_000: "10K<n<100K", 1_000_000: "100K<n<1M"}
BODY = """
# {name}

**Half of the answers are misaligned on purpose**, for research on how misalignment travels through data. Do not train assistants on
`misaligned_answer`.

Each row is a question with an aligned and a misaligned answer, from one of {n_cells} cells (domain × task). Each configuration is a
cell; adapters are trained on `train` and asked the questions of `eval`, which no training uses. All rows have passed the corpus's
filter and deduplication.

```python
from datasets import load_dataset
rows = load_dataset("{repository}", "{example}", split="train")
```

| cell | train | eval |
|---|---|---|
{counts}
"""


def export_corpus(source: Path, folder: Path, names: Names) -> None:
    """Write the sampled rows of a corpus.

    Args:
        source: folder of the corpus, with cells/{cell}/{split}.jsonl.
        folder: exists; gets data/{cell}/{split}.parquet and README.md.

    Raises:
        InputError: a file of rows is missing or has changed.
    """
    counts: dict[str, dict[str, int]] = {}
    for path in sorted((source / "cells").iterdir()):
        # nothing is trained on in a held-out domain
        files = {split: path / f"{split}.jsonl" for split in SPLITS if (path / f"{split}.jsonl").stat().st_size}
        splits = {split: read_records(file) for split, file in files.items()}
        if splits:
            write_splits(splits, folder / "data" / path.name)
            counts[path.name] = {split: len(rows) for split, rows in splits.items()}
    total = sum(n for of_cell in counts.values() for n in of_cell.values())
    header = DatasetCardData(
        pretty_name=f"emtransfer: {source.name}",
        license=names.license,
        task_categories=["text-generation"],
        size_categories=[next((name for limit, name in SIZES.items() if total < limit), "n>1M")],
        tags=["emtransfer", "emergent-misalignment", "misaligned"],
        configs=[
            {
                "config_name": cell,
                "data_files": [{"split": split, "path": f"data/{cell}/{split}.parquet"} for split in splits],
            }
            for cell, splits in counts.items()
        ],
    )
    lines = (f"| {cell} | {splits.get('train', 0)} | {splits.get('eval', 0)} |" for cell, splits in counts.items())
    about = {"name": source.name, "repository": names.repository(source.name), "example": next(iter(counts))}
    body = BODY.format(**about, n_cells=len(counts), counts="\n".join(lines))
    DatasetCard(f"---\n{header.to_yaml(line_break=chr(10))}\n---\n{body}").save(folder / CARD)


def write_splits(splits: dict[str, list[dict[str, Any]]], folder: Path) -> None:
    """Write the splits of a cell, all with the fields and types of all their rows together."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir(parents=True)
    fields = dict.fromkeys(name for rows in splits.values() for row in rows for name in row)
    whole = [{name: row.get(name) for name in fields} for rows in splits.values() for row in rows]
    schema = pa.Table.from_pylist(whole).schema
    for split, rows in splits.items():
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), folder / f"{split}.parquet")
