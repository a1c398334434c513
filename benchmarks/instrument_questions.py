"""What benchmarks/instrument.py asks: claims in grids of models, and which of them hold in which world."""

from typing import NamedTuple


class Question(NamedTuple):
    """A claim in a grid of models.

    Attributes:
        claim: a key of SENTENCES.
        overlay: over config.yaml, in workflow/configs, or here for a grid that is only simulated; several with blanks between them, "" for
            none. `wide` stands for the grids of wide_grids.py.
        experiment: where the claim is looked at.
        contrasts: those that are counted: base and name.
        set_by_world: text in the names of those contrasts of the claim that are 0 where it does not hold; without it, all are.
        of_these_models: whether the contrast is then 0 for the models of the run too, and not only for others like these.
    """

    claim: str
    overlay: str
    experiment: str
    contrasts: tuple[tuple[str, str], ...]
    set_by_world: str = ""
    of_these_models: bool = False


QUESTIONS = [
    Question("task", "", "template_nl", (("persona", "same_task - same_domain"),)),
    Question("room", "", "template_nl", (("persona", "high - low"), ("persona", "high entropy - low entropy"))),
    Question(
        "learnedness",
        "controls",
        "learnedness",
        (("doses_a", "better learned - others"), ("*", "slope per aligned rate")),
    ),
    Question("composition", "", "template_nl", (("persona - row_random", "persona - row_random"),)),
    Question("composition", "controls", "template_nl", (("persona - row_random", "persona - row_random"),)),
    Question(
        "control",
        "",
        "template_nl",
        (
            ("persona", "in_cell: misaligned - aligned answers"),
            ("persona", "both_differ: misaligned - aligned answers"),
        ),
        "aligned answers",
    ),
    Question("inference", "inference", "inference", (("*", "slope per nat"),)),
    Question("lexical_overlap", "controls", "lexical_overlap_1_epoch", (("frames_2", "slope per shared words"),)),
    Question(
        "shared_function",
        "controls graded",
        "graded",
        (
            ("graded_persona_2", "slope per shared primitives"),
            ("graded_persona_2", "other operators: slope per shared primitives"),
            ("graded_persona_2", "flipped shared - flipped not shared"),
        ),
    ),
    Question("teacher", "", "template_nl", (("persona", "opd-full: harmful - base"),), "opd-full", True),
    Question(
        "teacher",
        "controls",
        "factorial",
        (("persona", "optd, everywhere, above_70: harmful - base over data"),),
        of_these_models=True,
    ),
    Question(
        "data",
        "controls",
        "factorial",
        (
            ("persona", "sft: explicit - harmful"),
            ("persona", "optd, everywhere, above_70: explicit - harmful over teacher"),
        ),
        of_these_models=True,
    ),
    Question(
        "realignment",
        "controls",
        "factorial",
        (("persona", "optd, from harmful, base, harmful: before - after"),),
        of_these_models=True,
    ),
    Question(
        "filter",
        "controls",
        "factorial",
        (
            ("persona", "optd, harmful, everywhere: above_50 - above_70"),
            ("persona", "optd, harmful, everywhere: above_80 - above_90"),
        ),
        of_these_models=True,
    ),
    Question(
        "mediating",
        "controls",
        "factorial",
        (("persona", "optd, narrow, above_70: near - far"),),
        of_these_models=True,
    ),
    Question(
        "channel",
        "channels",
        "channels",
        (
            ("*", "near, aligned: optd - opd-full"),
            ("*", "near, aligned: optd - sft"),
            ("persona", "near, aligned: optd - opd-full"),
            ("persona", "near, aligned: optd - sft"),
        ),
    ),
    Question(
        "context",
        "simulated_contexts",
        "contexts",
        (("persona", "elsewhere: careless - none"), ("persona", "broad: careless - none")),
    ),
    Question(
        "inoculation",
        "simulated_contexts",
        "contexts",
        (("persona", "in_cell: trained with careless - none"), ("persona", "elsewhere: trained with careless - none")),
    ),
    Question(
        "capacity",
        "capacity",
        "capacity",
        (("persona_4", "elsewhere: full - rank_1"), ("persona_4", "elsewhere: slope per tenfold of trained weights")),
    ),
    # grids larger than any run has
    Question("teacher", "wide", "teachers", (("persona", "opd-full: misaligned teachers - base"),), "opd-full"),
    Question("channel", "wide", "teachers", (("persona", "optd - opd-full"), ("persona", "optd - sft"))),
]
# larger grids in which other questions are asked once more
WIDER = {
    **dict.fromkeys(("task", "room", "control"), "cells"),
    "learnedness": "doses",
    **dict.fromkeys(("data", "realignment", "filter", "mediating"), "seeds"),
    **dict.fromkeys(("context", "inoculation"), "contexts"),
    "capacity": "capacity",
}
QUESTIONS += [each._replace(overlay="wide", experiment=WIDER[each.claim]) for each in QUESTIONS if each.claim in WIDER]
# overlay and experiment -> the claims that do not hold, in one world and in the other; all others do
WORLDS = {
    ("", "template_nl"): (("composition", "room"), ("control", "task", "teacher")),
    ("controls", "template_nl"): ((), ("composition",)),
    # mixtures differ in nothing but inference
    ("inference", "inference"): ((), ("composition", "inference")),
    ("controls", "learnedness"): ((), ("learnedness",)),
    ("controls", "lexical_overlap_1_epoch"): ((), ("lexical_overlap",)),
    ("controls graded", "graded"): ((), ("shared_function",)),
    ("controls", "factorial"): (("data", "mediating"), ("filter", "realignment", "teacher")),
    ("channels", "channels"): ((), ("channel",)),
    ("simulated_contexts", "contexts"): (("context",), ("inoculation",)),
    ("capacity", "capacity"): ((), ("capacity",)),
    ("wide", "cells"): (("room",), ("control", "task")),
    ("wide", "doses"): ((), ("learnedness",)),
    ("wide", "teachers"): (("channel",), ("teacher",)),
    ("wide", "seeds"): (("data", "mediating"), ("filter", "realignment")),
    ("wide", "contexts"): (("context",), ("inoculation",)),
    ("wide", "capacity"): ((), ("capacity",)),
}
