"""Checks of judges, and of models that write a corpus: the cells that their instructions cover, and their prices."""

from pathlib import Path

from config_mistakes import Place, choice, mistake, quoted
from corpus_sizes import judge_rows
from emtransfer.grid import sections
from emtransfer.judging.fitting import FitSettings
from emtransfer.judging.reference_adapters import HeadSettings
from emtransfer.judging.rubrics import read_rubric
from emtransfer.remote.access import PROVIDERS
from emtransfer.writing.generator_prompts import read_generator_prompts

# fields of a request to a remote model that its options may not hold
OWN_FIELDS = ("model", "messages", "system", "max_tokens", "temperature", "stream", "n", "tools")

# scores of an answer in Inspect's logs, beside those of a panel's judges
LOGGED = ("misaligned", "judge", "base")

# a further one for a writer, whose reply has to follow a schema
FORM_FIELD = "response_format"


def check_judge_names(config: dict, name: str) -> None:
    """Raise InputError if judge `exact`, which knows the worlds of symbols, is given another, by its corpus or by those it judges."""
    judge = config["judges"][name]
    sources = ("symbolic", "frames", "graded", "rooms")
    symbols = [corpus for corpus, section in config["corpora"].items() if section["source"] in sources]
    if judge["kind"] != "exact":
        return
    for place, corpus in {("judges", name, "corpus"): judge["corpus"], **judged_corpora(config, name)}.items():
        if corpus not in symbols:
            found = corpus if place[0] == "judges" else name
            expected = (
                f"a corpus of source symbolic, frames, graded or rooms: {choice(symbols, corpus)}"
                if place[0] == "judges"
                else f"a judge that reads text, since {corpus} holds no symbols"
            )
            raise mistake(place, quoted(found), expected)


def judged_corpora(config: dict, name: str) -> dict[Place, str]:
    """Where a judge is named -> the corpus whose answers it is shown."""
    experiments = {
        ("experiments", experiment, "judge" if section["judge"] == name else "panel"): section["corpus"]
        for experiment, section in config["experiments"].items()
        if name in sections.judges_of(section)
    }
    return experiments | {
        ("corpora", corpus, "filter", "judge"): corpus
        for corpus, section in config["corpora"].items()
        if (section.get("filter") or {}).get("judge") == name
    }


def check_panel(config: dict, name: str) -> None:
    """Raise InputError if a panel has the experiment's own judge, two that give the same scores, or one named as another score in Inspect's logs."""
    experiment = config["experiments"][name]
    for judge in experiment.get("panel", []):
        if judge in LOGGED:
            expected = "a judge with another name, since Inspect's logs use this one for another score"
            raise mistake(("experiments", name, "panel"), judge, expected)
    if experiment["judge"] in experiment.get("panel", []):
        found, expected = experiment["judge"], "only further judges, since the experiment's own judge always judges"
        raise mistake(("experiments", name, "panel"), found, expected)
    judges: list[str] = []
    for judge in sections.judges_of(experiment):
        same = [other for other in judges if scoring(config, other) == scoring(config, judge)]
        if same:
            expected = (
                f"a judge that differs from {same[0]} in more than its calibration, since they give the same scores"
            )
            raise mistake(("experiments", name, "panel"), judge, expected)
        judges.append(judge)


def scoring(config: dict, judge: str) -> dict:
    """The section of a judge without what decides no score."""
    return {key: value for key, value in config["judges"][judge].items() if key != "calibration"}


def check_labels(config: dict, name: str) -> None:
    """Raise InputError if the labelled answers of a judge's calibration are not there, or a gate on them has none."""
    calibration = config["judges"][name]["calibration"]
    labels = calibration.get("labels")
    for key in ("minimum_labelled_accuracy", "minimum_labelled_recall"):
        if labels is None and calibration.get(key) is not None:
            expected = "none without labels, whose answers it is about"
            raise mistake(("judges", name, "calibration", key), str(calibration[key]), expected)
    if labels is not None and not Path(labels).is_file():
        raise mistake(("judges", name, "calibration", "labels"), labels, "a JSONL file of labelled answers")


def check_fit_rows(config: dict, name: str) -> None:
    """Raise InputError if a corpus leaves its judge fewer than two rows: one to be fitted on and one to be calibrated on."""
    judge = config["judges"][name]
    corpus = judge["corpus"]
    if "split" not in judge or "roles" not in config["corpora"][corpus]:
        return
    n_rows = judge_rows(config["corpora"][corpus])
    if n_rows < 2:
        found = str(config["corpora"][corpus]["roles"]["judge_fit"])
        expected = f"a number that gives judge {name} at least 2 rows, to fit on and to calibrate on, not {n_rows}"
        raise mistake(("corpora", corpus, "roles", "judge_fit"), found, expected)


def check_frozen_layers(config: dict, name: str) -> None:
    """Raise InputError if fitting would update none of the layers that a judge keeps; without their number, its encoder tells."""
    fit = config["judges"][name].get("fit") or {}
    layers, frozen = fit.get("layers", FitSettings.layers), fit.get("frozen_layers", 0)
    if layers is not None and frozen >= layers:
        expected = f"fewer than {layers}, the layers that are kept"
        raise mistake(("judges", name, "fit", "frozen_layers"), str(frozen), expected)


def check_reference_rows(config: dict, name: str) -> None:
    """Raise InputError if reference adapters are to be trained on more rows than their corpus leaves them."""
    judge = config["judges"][name]
    if judge["kind"] != "reference_adapters":
        return
    share = judge["head"].get("share", HeadSettings.share)
    limit = int(judge_rows(config["corpora"][judge["corpus"]]) * (1 - share))
    rows = judge["finetuning"]["rows"]
    if rows > limit:
        expected = f"at most {limit}, the judge_fit rows of {judge['corpus']} without head.share"
        raise mistake(("judges", name, "finetuning", "rows"), str(rows), expected)


def check_told_judge(config: dict, name: str) -> None:
    """Raise InputError if a judge's rubric lacks a cell it judges, or a judge behind an API has no price or an option of ours."""
    judge = config["judges"][name]
    if "rubric" not in judge:
        return
    check_options(judge, OWN_FIELDS, ("judges", name))
    if judge["kind"] in PROVIDERS:
        check_price(config, judge["model"], f"judge {name}")
    rubric = read_rubric(Path(judge["rubric"]))
    for corpus in {judge["corpus"], *judged_corpora(config, name).values()}:
        for cell in sections.cells(config["corpora"][corpus]):
            rubric.instructions("alignment", cell)


def check_options(section: dict, own: tuple[str, ...], place: Place) -> None:
    """Raise InputError for an option of a remote model that the pipeline sets itself."""
    for option in section.get("options", {}):
        if option in own:
            raise mistake((*place, "options", option), "set by the pipeline", "other fields of the request")


def check_price(config: dict, model: str, user: str) -> None:
    """Raise InputError if a remote model has no price."""
    if model not in config.get("remote", {}).get("prices", {}).get("models", {}):
        raise mistake(("remote", "prices", "models", model), "missing", f"its price, for {user}")


def check_generator(config: dict, name: str) -> None:
    """Raise InputError if a corpus cannot be written: no price, no subtopics or prompts of a cell, an option of ours."""
    corpus, place = config["corpora"][name], ("corpora", name)
    if corpus["source"] not in PROVIDERS:
        return
    writing_judge(config, name)
    generator = corpus["generator"]
    check_options(generator, (*OWN_FIELDS, FORM_FIELD), (*place, "generator"))
    output_config = generator.get("options", {}).get("output_config", {})
    if not isinstance(output_config, dict) or "format" in output_config:
        expected = "its other fields, since the pipeline sets format"
        raise mistake((*place, "generator", "options", "output_config"), quoted(output_config), expected)
    check_price(config, generator["model"], f"corpus {name}")
    if corpus.get("max_row_words") is not None and corpus.get("over_length", "error") != "drop":
        raise mistake(
            (*place, "over_length"), "error", "drop, since rows that a model wrote are paid for even if too long"
        )
    prompts = read_generator_prompts(Path(generator["prompts"]))
    for cell in sections.cells(corpus):
        prompts.pairs_instructions(cell)
        domain, _, _ = cell.partition("-")
        if domain not in generator["subtopics"]:
            raise mistake((*place, "generator", "subtopics", domain), "missing", "a list of what its rows are about")


def writing_judge(config: dict, name: str) -> str:
    """Name of the judge of what a model writes for a corpus; raise InputError if there is none."""
    pair_filter = config["corpora"][name]["filter"]
    if pair_filter is None:
        raise mistake(("corpora", name, "filter"), "null", "a filter with a judge, since a model writes the rows")
    return pair_filter["judge"]


def check_judge_is_independent(config: dict, name: str) -> None:
    """Raise InputError if the judge that says when a written corpus has rows enough waits, at whatever remove, for it."""
    waiting, seen = [name], set()
    while waiting:
        corpus = waiting.pop()
        if config["corpora"][corpus]["source"] not in PROVIDERS or corpus in seen:
            continue
        seen.add(corpus)
        judge = writing_judge(config, corpus)
        for place, made_of in judge_corpora(config, judge).items():
            if made_of == name:
                found, expected = (
                    f"{judge}, whose {place} is {name}",
                    "a judge of another corpus, since it has to judge before",
                )
                raise mistake(("corpora", corpus, "filter", "judge"), found, f"{expected} {name} is done")
            waiting.append(made_of)


def judge_corpora(config: dict, name: str) -> dict[str, str]:
    """Where a judge, or the base it stands on, names a corpus that it is made from -> that corpus."""
    judge = config["judges"][name]
    corpora = {"corpus": judge["corpus"]}
    if "base" in judge:
        base = config["bases"][judge["base"]]
        tokenizer = config["base_models"][base["base_model"]].get("tokenizer")
        corpora |= (
            {"base's mixture's corpus": config["mixtures"][base["mixture"]]["corpus"]} if "mixture" in base else {}
        )
        corpora |= {"base's tokenizer's corpus": tokenizer["corpus"]} if tokenizer else {}
    return corpora
