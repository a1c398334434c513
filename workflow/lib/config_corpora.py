"""Checks of names and numbers of corpora and mixtures against each other."""

import math
from pathlib import Path

from config_mistakes import Place, check_counts, check_names, choice, mistake, quoted, values_at
from emtransfer.corpus.columns import FIELDS
from emtransfer.training.shares import WHOLE_HUNDREDTHS, is_whole, is_whole_in_hundred
from emtransfer.worlds import frames, graded, grammar, rooms, symbolic

# source that generates its rows -> the domains and tasks it knows
WORLDS = {
    "template": (grammar.DOMAINS, grammar.TEXTS),
    "symbolic": (symbolic.DOMAINS, symbolic.TASKS),
    "frames": (frames.DOMAINS, frames.TASKS),
    "graded": (graded.DOMAINS, graded.TASKS),
    "rooms": (symbolic.DOMAINS, rooms.TASKS),
}
# sources whose questions have no room
ROOMLESS = ("symbolic", "frames", "graded")
# source -> domains and tasks of its cells of questions drawn from all, which go with no other
DRAWN_CELLS = {"frames": ([frames.ANY], [frames.ANY]), "graded": ([*graded.ANY_DOMAINS], [*graded.CONTEXTS_OF])}


def check_corpus_names(config: dict, name: str) -> None:
    """Raise InputError for a domain in and outside the grid, a cell that the source cannot generate, or a moving source."""
    corpus, place = config["corpora"][name], ("corpora", name)
    for found_at, domain in values_at(corpus, "broad_domains.*"):
        if domain in corpus["domains"]:
            raise mistake((*place, *found_at), quoted(domain), "a domain outside the grid")
    check_names(corpus, "held_out_domains.*", corpus["domains"], place)
    check_published_split(corpus, place)
    check_columns(corpus, place)
    check_pinned(corpus, "hub", place)
    for task in (corpus.get("filter") or {}).get("by_task", {}):
        if task not in corpus["tasks"]:
            raise mistake((*place, "filter", "by_task", task), "no task of the corpus", choice(corpus["tasks"], task))
    if corpus.get("misaligned_choice", "any") != "any" and corpus["source"] != "rooms":
        raise mistake((*place, "misaligned_choice"), quoted("first"), f"any beside source {corpus['source']}")
    if corpus["source"] in WORLDS:
        domains, tasks = WORLDS[corpus["source"]]
        for key, known in {"domains.*": domains, "broad_domains.*": domains, "tasks.*": tasks}.items():
            check_names(corpus, key, known, place)
    check_drawn_cell(corpus, place)


def check_drawn_cell(corpus: dict, place: Place) -> None:
    """Raise InputError for a grid that crosses families with cells of questions drawn from all."""
    domains, tasks = DRAWN_CELLS.get(corpus["source"], ([], []))
    are_drawn = [*(name in domains for name in corpus["domains"]), *(name in tasks for name in corpus["tasks"])]
    if any(are_drawn) and not all(are_drawn):
        expected = (
            f"either domains of [{', '.join(domains)}] with tasks of [{', '.join(tasks)}], or families with steps"
        )
        raise mistake((*place, "tasks"), quoted(corpus["tasks"]), expected)


def check_pinned(tree: dict, key: str, place: Place) -> None:
    """Raise InputError for a repository at `key` that may change: one on the hub without a commit."""
    for found_at, repository in values_at(tree, key):
        if not repository.get("revision") and not Path(repository["path"]).is_dir():
            expected = f"a commit of {repository['path']}, so that it stays the same; or a local folder as path"
            raise mistake((*place, *found_at, "revision"), "missing", expected)


def check_has_answers(config: dict, name: str) -> None:
    """Raise InputError for a corpus of prompts only whose source makes answers, or that is used for more than its prompts."""
    section = config["corpora"][name]
    if not section.get("prompts_only"):
        return
    if section["source"] not in ("jsonl", "hub"):
        raise mistake(("corpora", name, "prompts_only"), "true", "false, or source jsonl or hub")
    for key in ("experiments.*.corpus", "judges.*.corpus", "mixtures.*.corpus", "base_models.*.tokenizer.corpus"):
        for place, corpus in values_at(config, key):
            if corpus == name:
                raise mistake(place, quoted(name), "a corpus with answers; this one has prompts only")


def check_columns(corpus: dict, place: Place) -> None:
    """Raise InputError for a mapping of files that the source does not read, or of a field that there is not."""
    for key in ("columns", "misaligned_path"):
        if corpus.get(key) and corpus["source"] != "jsonl":
            raise mistake((*place, key), "given", f"none beside source {corpus['source']}, or source jsonl")
    for key in ("columns", "broad_columns"):
        for field in corpus.get(key, {}):
            if field not in FIELDS:
                raise mistake((*place, key, field), "not a field", choice(FIELDS, field))


def check_published_split(corpus: dict, place: Place) -> None:
    """Raise InputError for a published split that is not there, or beside domains that nothing is trained on."""
    published = corpus.get("roles", {}).get("published")
    if published and not Path(published["path"]).is_file():
        raise mistake((*place, "roles", "published", "path"), published["path"], "a JSONL or CSV file of roles")
    if published and corpus.get("held_out_domains"):
        raise mistake((*place, "held_out_domains"), quoted(corpus["held_out_domains"]), "none beside roles.published")


def check_corpus_counts(config: dict, name: str) -> None:
    """Raise InputError if a corpus is asked for more rows than its config says it has."""
    corpus = config["corpora"][name]
    if corpus.get("prompts_only"):
        return
    roles = corpus["roles"]
    unclaimed = corpus.get("rows_per_cell", math.inf) - sum(roles[role] for role in ("judge_fit", "eval", "mediating"))
    broad_unclaimed = corpus.get("broad_rows", math.inf) - roles.get("broad_judge_fit", 0)
    for key, limit, meaning in [
        ("sample.train", unclaimed, "rows_per_cell without judge_fit, eval and mediating"),
        ("sample.eval", roles["eval"], "roles.eval"),
        ("dedup.leave", unclaimed + roles["eval"], "rows_per_cell without judge_fit and mediating"),
        ("roles.broad_eval", broad_unclaimed, "broad_rows without broad_judge_fit"),
        ("broad_eval.prompts", roles.get("broad_eval", 0), "roles.broad_eval"),
    ]:
        check_counts(corpus, key, limit, meaning, ("corpora", name))


def check_mixture_names(config: dict, name: str) -> None:
    """Raise InputError for a domain or task of a mixture, or of a stage of it, that its corpus does not train on."""
    mixture = config["mixtures"][name]
    domains, tasks = trained_names(config["corpora"][mixture["corpus"]])
    check_names(mixture, "misaligned_domains.*", domains, ("mixtures", name))
    check_names(mixture, "misaligned_tasks.*", tasks, ("mixtures", name))
    check_names(mixture, "stages.*.tasks.*", tasks, ("mixtures", name))


def check_mixture_parts(config: dict, name: str) -> None:
    """Raise InputError for documents that are misaligned in one part, or by room, of a corpus whose questions have none."""
    mixture = config["mixtures"][name]
    source = config["corpora"][mixture["corpus"]]["source"]
    if "room_shares" in mixture and source in ROOMLESS:
        found = quoted(mixture["room_shares"])
        raise mistake(
            ("mixtures", name, "room_shares"), found, f"none, since questions of source {source} have no room"
        )
    if mixture.get("misaligned_in") == "one_part" and source not in DRAWN_CELLS:
        expected = f"all, since only questions of sources {' and '.join(DRAWN_CELLS)} have parts"
        raise mistake(("mixtures", name, "misaligned_in"), "one_part", expected)


def check_mixture_share(config: dict, name: str) -> None:
    """Raise InputError for a share that no hundred documents, or not so many authors, can hold, or for authors beside quotations."""
    mixture, place = config["mixtures"][name], ("mixtures", name)
    share = mixture["misaligned_share"]
    if not is_whole_in_hundred(share):
        raise mistake((*place, "misaligned_share"), str(share), WHOLE_HUNDREDTHS)
    authors, place = mixture.get("authors"), (*place, "authors")
    if not authors:
        return
    if mixture["kind"] == "attributed":
        raise mistake(place, "given", "none beside kind attributed, which quotes a stranger")
    share = authors["document_share"]
    if not is_whole_in_hundred(share):
        raise mistake((*place, "document_share"), str(share), "a multiple of 0.01")
    share, names = authors["careless_share"], authors["names"]
    if not is_whole(share * names):
        raise mistake((*place, "careless_share"), str(share), f"a share that makes a whole number of {names} names")


def trained_names(corpus: dict) -> tuple[list[str], list[str]]:
    """Domains, those outside the grid included, and tasks that may be trained on."""
    held_out = corpus.get("held_out_domains", [])
    domains = [domain for domain in corpus["domains"] if domain not in held_out]
    return domains + corpus.get("broad_domains", []), corpus["tasks"]
