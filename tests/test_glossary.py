"""The glossary: its terms in alphabetical order, and the columns and words of the report that a reader looks up."""

import re

from emtransfer.judging.cautions import COLUMNS as OF_CAUTIONS
from helpers.paths import ROOT

HEADS = re.findall(r"^\*\*(.+?)\*\*", (ROOT / "docs/glossary.md").read_text(encoding="utf-8"), re.MULTILINE)
TERMS = {term for head in HEADS for term in head.replace("`", "").lower().split(", ")}
# words that README, the tutorials or the report use without saying what they are
USED = "author calibration caution control domain frame gate grid interval judge nats overlay pair panel preference stance task world"


def test_terms_are_in_alphabetical_order():
    keys = [head.replace("`", "").replace("_", " ").lower() for head in HEADS]
    assert keys == sorted(keys)


def test_every_term_that_is_used_without_an_explanation_is_defined():
    assert set(USED.split()) <= TERMS
    assert {"primary claim", "ready model", "labelled answers", "p value", "q value"} <= TERMS
    assert {column.replace("_", " ") for column in OF_CAUTIONS} <= TERMS
