"""How many rows a corpus has at most, and how long they may get, told from its config section before any is made."""

from math import ceil

from emtransfer.corpus.source_settings import GENERATED
from emtransfer.grid import sections
from emtransfer.remote.access import PROVIDERS
from emtransfer.writing.pair_requests import GeneratorSettings

# in place of an encoder, where only equal texts are alike
IDENTITY = "identity"
# words of a question and its answer, where the config sets no limit; those in symbols are short
WORDS_UNKNOWN, WORDS_OF_SYMBOLS, TOKENS_PER_WORD = 200, 30, 1.4


def is_written(corpus: dict) -> bool:
    """Whether a model behind an API writes the corpus."""
    return corpus["source"] in PROVIDERS


def is_generated(corpus: dict) -> bool:
    """Whether the rows of a corpus are made here, by rules."""
    return corpus["source"] in GENERATED


def is_drawn_at_once(config: dict, corpus: dict) -> bool:
    """Whether no model looks at the rows of a corpus from its roles to the draw, and all cells are told the same."""
    if corpus.get("prompts_only"):
        return False
    judge = filter_judge(corpus)
    is_judged = judge is not None and config["judges"][judge]["kind"] != "exact"
    return not is_judged and not (corpus["filter"] or {}).get("by_task") and corpus["dedup"]["model"] == IDENTITY


def has_broad(corpus: dict) -> bool:
    """Whether a corpus has prompts outside its grid."""
    return bool(corpus.get("broad_domains") or corpus.get("broad_path") or corpus.get("hub", {}).get("broad_config"))


def filter_judge(corpus: dict) -> str | None:
    """Name of the judge that filters a corpus; None for one that comes filtered."""
    return (corpus.get("filter") or {}).get("judge")


def writer_of(corpus: dict) -> GeneratorSettings:
    """The settings of the model that writes a corpus."""
    fields = {key: value for key, value in corpus["generator"].items() if key not in ("prompts", "subtopics")}
    return GeneratorSettings(provider=corpus["source"], subtopics={}, **fields)


def calls_per_round(corpus: dict) -> int:
    """Calls that ask for pairs of a cell in a round at most: no later one asks for more than the first."""
    return ceil(corpus["rows_per_cell"] / writer_of(corpus).pairs_per_call)


def rows_per_cell(corpus: dict) -> int:
    """Rows of a cell; of a corpus that is read, where the config does not say how many there are, those it has to have."""
    if is_written(corpus):
        writer = writer_of(corpus)
        return writer.rounds * calls_per_round(corpus) * writer.pairs_per_call
    used = sum(corpus.get("roles", {}).get(role, 0) for role in ("judge_fit", "eval", "mediating"))
    return corpus.get("rows_per_cell", used + corpus.get("sample", {}).get("train", 0))


def broad_rows(corpus: dict) -> int:
    """Rows outside the grid; as for cells."""
    used = sum(corpus.get("roles", {}).get(role, 0) for role in ("broad_judge_fit", "broad_eval"))
    return corpus.get("broad_rows", used) if has_broad(corpus) else 0


def judge_rows(corpus: dict) -> int:
    """Rows that a judge may be fitted and calibrated on."""
    roles = corpus["roles"]
    broad = roles.get("broad_judge_fit", 0) if has_broad(corpus) else 0
    return len(sections.cells(corpus)) * roles["judge_fit"] + broad


def held_out_rows(judge: dict, n_rows: int) -> int:
    """Of so many rows, those that a judge is not fitted but calibrated on."""
    split = judge["split"]
    return ceil(n_rows * min(1, split.get("held_out_share", 0.1) + split.get("phrase_share", 0.03)))


def filtered_rows(corpus: dict) -> int:
    """Rows of all cells that are trained or evaluated on, before any filter; no row of a held-out domain mediates."""
    roles, n_cells = corpus["roles"], len(sections.cells(corpus))
    others = n_cells * roles["judge_fit"] + len(sections.training_cells(corpus)) * roles["mediating"]
    return n_cells * rows_per_cell(corpus) - others


def pair_tokens(corpus: dict) -> int:
    """Tokens of a question and one of its answers at most; where the config does not say, those of WORDS_UNKNOWN."""
    limit = corpus.get("max_row_words")
    if limit is None and is_written(corpus):
        writer = writer_of(corpus)
        return writer.max_tokens // writer.pairs_per_call + writer.answer_max_tokens
    unlimited = WORDS_OF_SYMBOLS if corpus["source"] in ("symbolic", "frames", "graded", "rooms") else WORDS_UNKNOWN
    return int((limit or unlimited) * TOKENS_PER_WORD)
