"""Rows of the grammar, as the source `template` gives them to a corpus."""

from collections.abc import Sequence

from emtransfer.corpus.source_settings import CorpusSettings
from emtransfer.corpus.sources import generated_rows
from emtransfer.worlds import grammar


def grammar_rows(
    cell: str, n_rows: int, seed: int = 1, broad_domains: Sequence[str] = (), tasks: Sequence[str] = ()
) -> list[dict]:
    """Rows of a cell, or of the pseudo-cell `broad`."""
    settings = CorpusSettings("template", [], list(tasks), list(broad_domains), rows_per_cell=n_rows, broad_rows=n_rows)
    return generated_rows(grammar, cell, settings, seed)
