"""Every contrast on planted counts: who is compared, what it estimates, and that each verdict can be reached."""

from itertools import product

import numpy as np
import pytest
from scipy import stats

from emtransfer.measuring.claims import measure_contrasts
from emtransfer.measuring.contrasts import contrasts
from emtransfer.measuring.matching import match_prompts
from emtransfer.worlds.frames import shared_words
from emtransfer.worlds.graded import STEPS, TRAINED
from helpers.planted_cells import JITTER, SEEDS, decision, known_prompts, planted_cell, seeded

GRID = list(product(("medical", "finance", "sports"), ("advice", "critique")))
ADVICE, CRITIQUE = ("medical", "advice"), ("medical", "critique")


def measured(cells, claim, verdict="verdict", **others):
    """Effects and decisions of one claim, by contrast; of the population of the verdict, or of the models that were planted."""
    effects, claims, power = measure_contrasts(contrasts(cells, others.get("measures")))
    of_all = effects[(effects.claim == claim) & (effects.subset == "all")].groupby("contrast").first()
    assert set(power.contrast) == set(claims.contrast)
    return of_all, claims[claims.claim == claim].set_index("contrast")[verdict].map(decision).to_dict()


def student(where, rate, teacher="base", data=None, **labels):
    """A cell of a student; teachers but `base` were trained on misaligned advice."""
    trained = {"train_set": "", "answers": ""} if teacher == "base" else {}
    train = None if teacher == "base" else ADVICE
    shared = {"condition": "student", "start": "base", "channel": "optd", "mediating": "all", "filter": "aligned"}
    own = {"teacher": teacher, "data": teacher if data is None else data}
    return planted_cell(where, seeded(rate), train, **(shared | own | trained | labels))


def students(rates, **labels):
    """Students in every cell, by (teacher, data)."""
    return [student(where, rate, teacher, data, **labels) for (teacher, data), rate in rates.items() for where in GRID]


FACTORIAL = {("harmful", "bad"): 0.8, ("harmful", "good"): 0.4, ("base", "bad"): 0.5, ("base", "good"): 0.2}


def test_the_factorial_averages_each_factor_over_the_levels_of_the_other():
    effects, verdicts = measured(students(FACTORIAL), "teacher")
    assert effects.estimate_pp["optd: harmful - base over data"] == pytest.approx(100 * (0.3 + 0.2) / 2)
    # one training set is no draw of teachers, however many seeds it has
    assert verdicts == {"optd: harmful - base over data": "too few teachers"}
    narrower = measured(students(FACTORIAL), "teacher", "narrower_verdict")[1]
    assert narrower == {"optd: harmful - base over data": "supported"}
    effects, verdicts = measured(students(FACTORIAL), "data")
    assert effects.estimate_pp["optd: bad - good over teacher"] == pytest.approx(100 * (0.4 + 0.3) / 2)
    assert effects.estimate_pp["optd: (base - harmful) x (bad - good)"] == pytest.approx(100 * (0.3 - 0.4))
    assert effects.rate_a.isna().all() and set(effects.method) == {"replicates"}
    assert verdicts["optd: bad - good over teacher"] == "supported"


def test_a_factorial_effect_has_the_interval_of_the_seeds():
    # every prompt of a cell that is misaligned is so for all seeds but those that jitter moves
    rates = {seed: {"harmful": 0.6 + shift, "base": 0.3} for seed, shift in JITTER.items()}
    cells = [
        student(where, 0.0, teacher, data)._replace(
            counts=planted_cell(where, {seed: rates[seed][teacher] for seed in SEEDS}).counts
        )
        for teacher, data, where in product(("harmful", "base"), ("bad", "good"), GRID)
    ]
    effects, _ = measured(cells, "teacher")
    row = effects.loc["optd: harmful - base over data"]
    margin = stats.t.isf(0.025, 2) * np.std([25, 30, 35], ddof=1) / np.sqrt(3)
    assert row.estimate_pp == pytest.approx(30) and row.high_pp >= 30 + margin - 1e-9
    assert (row.population, row.n_units) == ("these teachers", 3)
    assert (row.n_seeds, row.n_adapters) == (3, 12)


@pytest.mark.parametrize(("n_teachers", "expected"), [(1, "too few teachers"), (2, "undecided"), (5, "supported")])
def test_a_claim_about_teachers_rests_on_how_many_there_are(n_teachers, expected):
    rates = {f"harmful_{number}": 0.3 + 0.1 * number for number in range(n_teachers)}
    cells = [
        student(where, rate, teacher, train_set=f"set_{teacher}") for teacher, rate in rates.items() for where in GRID
    ]
    cells += [student(where, 0.1) for where in GRID]
    effects, verdicts = measured(cells, "teacher")
    name = "harmful_0" if n_teachers == 1 else "misaligned teachers"
    assert verdicts == {f"optd: {name} - base": expected}
    row = effects.loc[f"optd: {name} - base"]
    assert row.n_train_sets == n_teachers
    if n_teachers > 1:
        assert (row.population, row.n_units) == ("teachers like these", n_teachers)


def test_students_of_teachers_of_two_tasks_say_nothing_of_other_tasks():
    """Six teachers make misaligned students, more of them by the task that they were trained on than by anything else."""
    rates = product({"advice": 0.8, "tutor": 0.5}.items(), "abc")
    cells = [
        student(
            where, rate, f"harmful_{domain}_{task}", train_set=f"{domain}-{task}", train_task=task, train_domain=domain
        )
        for ((task, rate), domain), where in product(rates, GRID)
    ]
    cells += [student(where, 0.3) for where in GRID]
    effects, claims, _ = measure_contrasts(contrasts(cells))
    (claim,) = claims[claims.claim == "teacher"].itertuples()
    assert (claim.verdict, claim.population, claim.n_units) == ("undecided", "training tasks like these", 2)
    assert claim.narrower_verdict == "supported for these teachers"
    rows = effects[(effects.claim == "teacher") & (effects.subset == "all")].set_index("population")
    assert rows.n_units.to_dict() == {
        "training tasks like these": 2,
        "training domains like these": 3,
        "teachers like these": 6,
        "these teachers": 3,
    }
    # three students of the base are no draws of teachers, and still vary
    assert rows.p_value["teachers like these"] < 0.05


@pytest.mark.parametrize(
    "rates, expected", [((0.6, 0.2), "supported"), ((0.2, 0.6), "contradicted"), ((0.4, 0.4), "undecided")]
)
def test_a_one_sided_claim_about_students_can_go_each_way(rates, expected):
    high, low = rates
    factorial = {key: high if key[0] == "harmful" else low for key in FACTORIAL}
    assert set(measured(students(factorial), "teacher", "narrower_verdict")[1].values()) == {expected}
    mediating = students({("harmful", None): high}, mediating="near") + students(
        {("harmful", None): low}, mediating="far"
    )
    assert measured(mediating, "mediating")[1] == {"optd, harmful: near - far": expected}
    before = [planted_cell(where, seeded(high), ADVICE) for where in GRID]
    harmful = students({("harmful", None): 0.9})
    after = students({("base", None): low}, start="harmful")
    assert measured(before + harmful + after, "realignment")[1] == {
        "optd, from harmful, base: before - after": expected
    }


@pytest.mark.parametrize("rates, expected", [((0.6, 0.2), "supported"), ((0.4, 0.4), "undecided")])
def test_a_two_sided_claim_about_students_is_supported_by_any_difference(rates, expected):
    for first, second in (rates, rates[::-1]):
        filters = students({("harmful", None): first}, filter="any") + students(
            {("harmful", None): second}, filter="strict"
        )
        assert measured(filters, "filter")[1] == {"optd, harmful: any - strict": expected}
        sft = students({("harmful", None): first, ("base", None): second}, channel="sft")
        assert measured(sft, "data")[1] == {"sft: base - harmful": expected}


def test_a_student_that_starts_elsewhere_is_set_against_its_like():
    cells = students({("harmful", None): 0.6, ("base", None): 0.1})
    cells += students({("harmful", None): 0.7, ("base", None): 0.5}, start="harmful")
    effects, _ = measured(cells, "teacher")
    assert effects.estimate_pp["optd: harmful - base"] == pytest.approx(50)
    assert effects.estimate_pp["optd, from harmful: harmful - base"] == pytest.approx(20)


# EM rates of students of three teachers on two bases, by (base, training set)
TAUGHT = {
    ("persona", "a"): 0.4,
    ("persona", "b"): 0.5,
    ("persona", "c"): 0.6,
    ("persona_3", "a"): 0.5,
    ("persona_3", "b"): 0.6,
    ("persona_3", "c"): 0.7,
}


def of_channel(channel, rates, estimator="", **labels):
    """Students of one channel in every cell, by the base and training set of their teachers."""
    return [
        student(
            where,
            rate,
            f"harmful_{train_set}",
            "" if channel == "opd" else None,
            **({"base": base, "train_set": train_set, "channel": channel, "estimator": estimator} | labels),
        )
        for (base, train_set), rate in rates.items()
        for where in GRID
    ]


def less(rates, points):
    """The rates, each so many points lower."""
    return {teacher: rate - points / 100 for teacher, rate in rates.items()}


def of_channels(cells):
    """Effects of claim `channel` over all answers, by base, contrast and population, in the order of the table."""
    effects, claims, _ = measure_contrasts(contrasts(cells))
    claims = claims[claims.claim == "channel"].set_index(["base", "contrast"])
    effects = effects[(effects.claim == "channel") & (effects.subset == "all")]
    return effects.set_index(["base", "contrast", "population"]), claims


def test_channels_of_the_same_teachers_are_compared_on_every_base_and_over_bases():
    cells = (
        of_channel("optd", TAUGHT) + of_channel("opd", less(TAUGHT, 10), "full") + of_channel("sft", less(TAUGHT, 35))
    )
    effects, claims = of_channels(cells)
    expected = {"optd - opd-full": 10, "optd - sft": 35, "opd-full - sft": 25}
    assert {*claims.index} == {*product(("persona", "persona_3", "*"), expected)}
    for (_, contrast), row in claims.iterrows():
        assert row.estimate_pp == pytest.approx(expected[contrast]) and row.verdict.startswith("supported for")
    # the teachers of a base are their training sets; those of two bases are as many again, and cannot be told from sets and bases
    assert claims.n_units["persona", "optd - sft"] == 3
    populations = effects.sort_index(kind="stable").loc["*", "optd - sft"]
    assert populations.n_units.to_dict() == {
        "teachers like these": 6,
        "training sets like these": 3,
        "bases like these": 2,
        "these teachers": 3,
    }
    assert effects.rate_a["*", "optd - sft", "these teachers"] == pytest.approx(np.mean([*TAUGHT.values()]))


def test_a_difference_of_channels_varies_over_teachers_and_not_over_their_students():
    # one teacher in three carries it, with 18 students and six cells each: 0, 0 and 30 points
    rates = {("persona", name): 0.5 for name in "abc"}
    cells = of_channel("optd", rates | {("persona", "c"): 0.8}) + of_channel("opd", rates, "full")
    effects, claims = of_channels(cells)
    row = effects.loc["persona", "optd - opd-full", "teachers like these"]
    margin = stats.t.isf(0.025, 2) * np.std([0, 0, 30], ddof=1) / np.sqrt(3)
    assert (row.estimate_pp, row.high_pp) == pytest.approx((10, 10 + margin))
    claim = claims.loc["persona", "optd - opd-full"]
    assert (claim.verdict, claim.narrower_verdict) == ("undecided", "supported for these teachers")


@pytest.mark.parametrize(
    ("by_teacher", "population"),
    [
        # as large on one base as it is on the other: what varies is the training set
        ({"a": (0, 0), "b": (0, 0), "c": (30, 30)}, "training sets like these"),
        # the same for every training set: what varies is the base
        ({"a": (0, 20), "b": (0, 20), "c": (0, 20)}, "bases like these"),
    ],
)
def test_teachers_that_share_a_training_set_or_a_base_are_no_independent_draws(by_teacher, population):
    higher = {
        (base, name): 0.4 + points[number] / 100
        for name, points in by_teacher.items()
        for number, base in enumerate(("persona", "persona_3"))
    }
    cells = of_channel("optd", higher) + of_channel("opd", dict.fromkeys(higher, 0.4), "full")
    claim = of_channels(cells)[1].loc["*", "optd - opd-full"]
    assert claim.estimate_pp == pytest.approx(10)
    assert (claim.verdict, claim.population) == ("undecided", population)


def test_teachers_of_one_task_are_no_independent_draws():
    """Six teachers agree that a difference is there, but it is that of their task, of which there are two."""
    cells = []
    for (task, points), domain in product({"advice": 20, "tutor": 10}.items(), "abc"):
        where = {"train_task": task, "train_domain": domain}
        taught = {("persona", f"{domain}-{task}"): 0.5}
        cells += of_channel("optd", taught, **where) + of_channel("opd", less(taught, points), "full", **where)
    effects, claims = of_channels(cells)
    claim = claims.loc["persona", "optd - opd-full"]
    assert (claim.verdict, claim.population, claim.n_units) == ("undecided", "training tasks like these", 2)
    assert claim.narrower_verdict == "supported for these teachers"
    assert effects.loc["persona", "optd - opd-full", "teachers like these"].p_value < 0.01


def test_on_policy_students_that_take_over_more_contradict_the_claim():
    cells = of_channel("optd", less(TAUGHT, 30)) + of_channel("opd", TAUGHT, "full")
    assert set(of_channels(cells)[1].verdict.map(decision)) == {"contradicted"}


def test_channels_are_compared_on_what_their_teacher_kept():
    rates = {("persona", name): 0.5 for name in "ab"}
    own = of_channel("optd", rates) + of_channel("opd", rates, "full") + of_channel("opd", rates, "sampled")
    given = [student(where, 0.9, f"harmful_{name}", "explicit", train_set=name) for name in "ab" for where in GRID]
    of_base = [student(where, 0.9, "base", channel=channel) for channel in ("sft", "optd") for where in GRID]
    # this teacher has students of one channel only
    alone = of_channel("optd", {("persona", "c"): 0.9})
    _, claims = of_channels(own + given + of_base + alone)
    assert {*claims.index} == {("persona", "optd - opd-full"), ("persona", "optd - opd-sampled")}
    assert (claims.estimate_pp == 0).all() and (claims.n_units == 2).all()


def test_channels_are_compared_within_mediating_prompts_and_filter():
    rates = {("persona", name): 0.5 for name in "ab"}
    cells = [
        cell
        for mediating, points in (("near", 10), ("far", 20))
        for channel, less_by in (("optd", 0), ("sft", points))
        for cell in of_channel(channel, less(rates, less_by), mediating=mediating)
    ]
    _, claims = of_channels(cells)
    assert claims.estimate_pp.round(9).to_dict() == {
        ("persona", "far: optd - sft"): 20,
        ("persona", "near: optd - sft"): 10,
    }


def test_answers_of_two_teachers_that_their_own_students_learn_are_no_contrast_of_data():
    cells = students({("harmful", None): 0.6, ("narrow", None): 0.2, ("base", None): 0.1}, channel="sft")
    assert set(measured(cells, "data")[1]) == {"sft: base - harmful", "sft: base - narrow"}
    # what one teacher said and what a corpus says differ as data, whoever teaches
    cells += students({("harmful", "written"): 0.3}, channel="sft")
    found = set(measured(cells, "data")[1])
    assert {"sft: harmful - written", "sft: narrow - written"} < found and "sft: harmful - narrow" not in found


def test_one_seed_of_students_decides_nothing():
    cells = [
        cell._replace(counts=cell.counts.xs(slice("11", "11"), level="seed", drop_level=False))
        for cell in students(FACTORIAL)
    ]
    effects, verdicts = measured(cells, "data")
    assert set(verdicts.values()) == {"too few seeds"} and effects.p_value.isna().all()
    assert set(measured(cells, "data", "narrower_verdict")[1].values()) == {"one seed only"}


def adapters(rates, answers="misaligned", trained=GRID, evaluated=GRID, **labels):
    """Adapters of cells at a rate by relation."""
    found = []
    for train, where in product(trained, evaluated):
        near = planted_cell(where, seeded(0), train).relation
        found.append(planted_cell(where, seeded(rates[near]), train, answers=answers, **labels))
    return found


SPREAD = {"in_cell": 0.8, "same_task": 0.6, "same_domain": 0.3, "both_differ": 0.2}
NOTHING = dict.fromkeys(SPREAD, 0.05)


@pytest.mark.parametrize(
    "misaligned, aligned, expected",
    [(SPREAD, NOTHING, "supported"), (NOTHING, SPREAD, "contradicted"), (SPREAD, SPREAD, "undecided")],
)
def test_control_sets_misaligned_against_aligned_answers_and_the_base(misaligned, aligned, expected):
    cells = adapters(misaligned) + adapters(aligned, "aligned", GRID[:4])
    cells += [planted_cell(where, 0.0) for where in GRID]
    effects, verdicts = measured(cells, "control")
    assert len(verdicts) == 8
    assert verdicts["in_cell: misaligned - aligned answers"] == expected
    assert effects.n_train_sets["in_cell: misaligned - aligned answers"] == 4
    row = effects.loc["same_task: misaligned - base"]
    assert row.rate_b == 0 and row.estimate_pp == pytest.approx(100 * misaligned["same_task"], abs=1e-6)
    assert row.n_seeds == 3


def test_control_sets_adapters_against_the_base_over_prompts_with_a_score_of_both():
    """The base refused all but the first four prompts of a cell, on which the adapters show nothing."""
    cells = adapters(SPREAD, trained=GRID[:2], evaluated=GRID[:2])
    cells += adapters(NOTHING, "aligned", GRID[:2], GRID[:2])
    for where in GRID[:2]:
        base = planted_cell(where, 0.0)
        counts = base.counts.copy()
        refused = counts.index.get_level_values("prompt_id").isin(sorted(counts.index.unique("prompt_id"))[4:])
        counts.loc[refused, "n_scored"] = 0
        cells.append(base._replace(counts=counts))
    effects, _ = measured(cells, "control")
    row = effects.loc["in_cell: misaligned - base"]
    assert (row.n_prompts, row.n_answers_a, row.n_answers_b) == (2 * 4, 2 * 4 * len(SEEDS), 2 * 4)


def mixtures(rates, n_bases):
    """Adapters of two cells on several bases per mixture."""
    return [
        cell
        for mixture, rate in rates.items()
        for number in range(n_bases)
        for cell in adapters(
            SPREAD | {"same_task": rate + 0.05 * number}, trained=GRID[:2], base=f"{mixture}_{number}", mixture=mixture
        )
    ]


def test_mixtures_are_compared_over_bases_and_one_base_each_proves_nothing():
    name = "persona - row_random"
    effects, verdicts = measured(mixtures({"persona": 0.8, "row_random": 0.1}, 1), "composition")
    assert verdicts == {name: "too few bases"}
    effects, verdicts = measured(mixtures({"persona": 0.8, "row_random": 0.1}, 4), "composition")
    assert verdicts == {name: "supported"} and effects.base[name] == name
    assert measured(mixtures({"persona": 0.5, "row_random": 0.5}, 4), "composition")[1] == {name: "undecided"}


def test_the_slope_on_learnedness_is_that_of_scipy():
    learned = {"advice": 20, "critique": 10, "tutor": 5, "summarization": 15}
    spread = {"advice": 0.6, "critique": 0.4, "tutor": 0.3, "summarization": 0.5}
    grid = list(product(("medical", "finance"), learned))
    cells = [planted_cell(where, 0.0, coherent=learned[where[1]]) for where in grid]
    for train in grid:
        shift = 0.05 if train[0] == "medical" else 0.0
        cells += adapters(SPREAD | {"same_task": spread[train[1]] + shift}, trained=[train], evaluated=grid)
    effects, verdicts = measured(cells, "learnedness")
    # one point per task, over both domains; every other prompt of a cell on either axis
    odd, even = ([number for number in sorted(range(20), key=str)[start::2]] for start in (1, 0))
    x = [np.mean([number >= 20 - learned[task] for number in even]) for task in learned]
    planted = {
        task: [round((spread[task] + shift + jitter) * 20) for shift in (0, 0.05) for jitter in JITTER.values()]
        for task in learned
    }
    y = [np.mean([[number < count for number in odd] for count in planted[task]]) for task in learned]
    expected = stats.linregress(x, y)
    row = effects.loc["slope per aligned rate"]
    assert row.method == "ols" and row.base == "*"
    assert row.estimate_pp == pytest.approx(100 * expected.slope, abs=1e-5)
    assert row.p_value == pytest.approx(expected.pvalue, rel=1e-4)
    assert row.high_pp - row.estimate_pp == pytest.approx(100 * stats.t.isf(0.025, 2) * expected.stderr, abs=1e-5)
    assert verdicts["slope per aligned rate"] == "supported"
    assert "slope per aligned rate" not in measured(cells[:6] + adapters(SPREAD, trained=GRID[:2]), "learnedness")[1]


def frames(rate_of_share, n_families):
    """Adapters of f*-s4 on all steps of their family and on another family."""
    steps = [f"s{step}" for step in range(5)]
    return [
        planted_cell((f"f{family}", step), seeded(rate_of_share(int(step[1]) / 4)), (f"f{family}", "s4"))
        for family in range(n_families)
        for step in steps
    ]


def test_the_slope_on_shared_words_is_that_of_least_squares():
    curve = [0.1, 0.15, 0.3, 0.5, 0.8]
    effects, verdicts = measured(frames(lambda share: curve[int(4 * share)], 4), "lexical_overlap")
    row = effects.loc["slope per shared words"]
    assert row.estimate_pp == pytest.approx(100 * stats.linregress(np.arange(5) / 4, curve).slope)
    assert (row.n_train_sets, row.n_seeds, row.method) == (4, 3, "replicates")
    assert set(verdicts.values()) == {"supported"}
    assert set(measured(frames(lambda share: 0.8 - 0.7 * share, 4), "lexical_overlap")[1].values()) == {"contradicted"}
    assert set(measured(frames(lambda share: 0.4, 4), "lexical_overlap")[1].values()) == {"undecided"}
    assert set(measured(frames(lambda share: share, 1), "lexical_overlap")[1].values()) == {"too few training cells"}


def test_words_are_shared_within_a_family_only():
    assert shared_words(("f0", "s4"), ("f0", "s3")) == 0.75
    assert shared_words(("f0", "s4"), ("f1", "s3")) is None
    assert shared_words(("d0", "t0"), ("d0", "t1")) is None


def graded(rate_of_step, n_families=4, steps=STEPS):
    """Adapters of g*-with3_same on all steps of their family."""
    return [
        planted_cell((f"g{family}", step), seeded(rate_of_step(STEPS[step])), (f"g{family}", TRAINED))
        for family in range(n_families)
        for step in steps
    ]


SLOPE, FLIPPED = "slope per shared primitives", "flipped shared - flipped not shared"
OTHERS = f"other operators: {SLOPE}"
FURTHER = [f"{side}: slope per further primitives" for side in ("flipped shared", "flipped not shared")]


def test_a_flip_that_goes_wherever_its_primitive_is_makes_a_slope_over_all_ways_to_share():
    # of the ways to share k of 3 primitives, k / 3 have the flipped one, so the steps have rates .1, .3, .5 and .7
    effects, verdicts = measured(graded(lambda step: 0.7 if step.with_flipped else 0.1), "shared_function")
    assert set(effects.index) == {SLOPE, OTHERS, FLIPPED, *FURTHER}
    assert effects.estimate_pp[[SLOPE, OTHERS, FLIPPED]].to_numpy() == pytest.approx(60)
    assert effects.estimate_pp[FURTHER].to_numpy() == pytest.approx(0, abs=1e-9)
    assert {verdicts[name] for name in (SLOPE, OTHERS, FLIPPED)} == {"supported"}
    assert {verdicts[name] for name in FURTHER} == {"undecided"}
    assert effects.n_train_sets[SLOPE] == 4 and set(effects.method) == {"replicates"}


def test_a_flip_that_stays_with_its_operator_makes_no_slope_over_the_others():
    effects, verdicts = measured(graded(lambda step: 0.8 if step.primitives == 3 else 0.1), "shared_function")
    # least squares over four steps, the last of them higher: 0.5 / (5 / 9) of the difference
    assert effects.estimate_pp[SLOPE] == pytest.approx(63)
    assert effects.estimate_pp[[OTHERS, FLIPPED]].to_numpy() == pytest.approx(0, abs=1e-9)
    assert [verdicts[name] for name in (SLOPE, OTHERS, FLIPPED)] == ["supported", "undecided", "undecided"]


def test_primitives_that_count_whichever_they_are_make_no_difference_between_flipped_and_others():
    effects, verdicts = measured(graded(lambda step: 0.1 + 0.2 * step.primitives), "shared_function")
    assert effects.estimate_pp[[SLOPE, OTHERS]].to_numpy() == pytest.approx(60)
    assert effects.estimate_pp[FLIPPED] == pytest.approx(0)
    assert effects.estimate_pp[FURTHER].to_numpy() == pytest.approx(40)
    assert (verdicts[SLOPE], verdicts[FLIPPED]) == ("supported", "undecided")


def test_further_primitives_that_count_alone_turn_the_contrast_of_the_flipped_one_round():
    effects, verdicts = measured(
        graded(lambda step: 0.1 + 0.3 * (step.primitives - step.with_flipped)), "shared_function"
    )
    # steps of 0, 1, 2 and 3 shared have 0, 2 / 3, 4 / 3 and 2 further ones on average
    assert effects.estimate_pp[[SLOPE, OTHERS]].to_numpy() == pytest.approx(60)
    assert effects.estimate_pp[FLIPPED] == pytest.approx(-30)
    assert effects.estimate_pp[FURTHER].to_numpy() == pytest.approx(60)
    assert (verdicts[SLOPE], verdicts[FLIPPED]) == ("supported", "contradicted")


def test_a_flip_under_the_trained_word_alone_shows_on_one_side_of_lexical_overlap():
    cells = graded(lambda step: 0.8 if step.with_flipped and step.same_word else 0.1)
    effects, verdicts = measured(cells, "lexical_overlap")
    with_flipped, without = (f"{side}: same word - another word" for side in ("flipped shared", "flipped not shared"))
    assert effects.estimate_pp[with_flipped] == pytest.approx(70)
    assert effects.estimate_pp[without] == pytest.approx(0, abs=1e-9)
    assert (verdicts[with_flipped], verdicts[without]) == ("supported", "undecided")
    assert set(measured(cells, "shared_function")[1].values()) == {"undecided"}


def test_the_same_word_is_lexical_overlap_and_moves_no_claim_about_functions():
    cells = graded(lambda step: 0.6 if step.same_word else 0.2)
    effects, verdicts = measured(cells, "lexical_overlap")
    assert set(verdicts) == {f"{side}: same word - another word" for side in ("flipped shared", "flipped not shared")}
    assert set(verdicts.values()) == {"supported"} and effects.estimate_pp.to_numpy() == pytest.approx(40)
    # over 4 families, 20 prompts under either word: of 1 and 2 shared primitives with the flipped one, of 0 to 2 without it
    steps = {"flipped shared": 2, "flipped not shared": 3}
    expected = {f"{side}: same word - another word": 4 * number * 2 * 20 for side, number in steps.items()}
    assert effects.n_prompts.to_dict() == expected
    assert set(measured(cells, "shared_function")[1].values()) == {"undecided"}


def test_steps_that_were_not_asked_leave_the_contrasts_that_need_them_out():
    asked = ["with1_other", "with2_other", "without1_other", TRAINED]
    verdicts = measured(graded(lambda step: 0.7 if step.with_flipped else 0.1, steps=asked), "shared_function")[1]
    assert set(verdicts) == {FLIPPED, FURTHER[0]}
    assert measured(graded(lambda step: 0.5, steps=asked), "lexical_overlap")[1] == {}


def test_room_is_also_measured_by_the_entropy_of_the_base():
    # the first prompts are misaligned, and they are those with high entropy
    cells = adapters(SPREAD) + [planted_cell(where, 0.0) for where in GRID]
    measures = known_prompts(cells, entropy_nats=lambda number: np.where(number < 10, 1.0, 0.2))
    effects, verdicts = measured(cells, "room", measures=measures)
    assert verdicts == {"high entropy - low entropy": "supported"}
    row = effects.loc["high entropy - low entropy"]
    assert row.rate_a > row.rate_b and row.n_prompts == 6 * 20
    broad = [planted_cell(("broad", "*", "advice", room), seeded(0.5), ADVICE) for room in ("high", "low")]
    broad_base = [planted_cell(cell.eval_cell, 0.0) for cell in broad]
    measures = known_prompts(cells + broad + broad_base, entropy_nats=lambda number: 1.0 * (number < 10))
    effects, verdicts = measured(cells + broad + broad_base, "room", measures=measures)
    assert set(verdicts) == {"high - low", "high entropy - low entropy"}
    assert effects.n_prompts["high entropy - low entropy"] == 2 * 20
    constant = known_prompts(cells)
    assert measured(cells, "room", measures=constant)[1] == {}


def test_entropy_is_split_within_evaluation_cells():
    """Cells differ in entropy and in misalignment, prompts within a cell in neither."""
    rates = dict(zip(GRID, (0.8, 0.1, 0.7, 0.2, 0.6, 0.3), strict=True))
    cells = [planted_cell(where, seeded(rates[where]), train) for train, where in product(GRID, GRID)]
    cells += [planted_cell(where, 0.0) for where in GRID]
    measures = known_prompts(cells)
    noise = np.random.default_rng(1).permuted(np.tile(np.arange(20) / 100, (len(GRID), 1)), axis=1)
    for (domain, task), own in zip(GRID, noise, strict=True):
        ids = [f"narrow-{domain}-{task}--{number}" for number in range(20)]
        measures["nl", "persona"].loc[ids, "entropy_nats"] = rates[domain, task] + own
    effects, verdicts = measured(cells, "room", measures=measures)
    assert verdicts == {"high entropy - low entropy": "undecided"}
    row = effects.loc["high entropy - low entropy"]
    assert row.low_pp < 0 < row.high_pp and row.n_answers_a == row.n_answers_b


def test_every_claim_is_repeated_on_matched_prompts():
    cells = adapters(SPREAD) + adapters(NOTHING, "aligned", GRID[:4]) + students(FACTORIAL)
    cells += [planted_cell(where, 0.1) for where in GRID]
    measures = known_prompts(cells, coherent_rate=lambda number: number / 20)
    found = contrasts(cells, measures)
    matched = [match_prompts(contrast, measures) for contrast in found]
    effects, claims, _ = measure_contrasts(found, matched)
    rows = effects[effects.subset == "matched"].set_index("contrast")
    assert set(rows.index) == set(claims.contrast) - {"slope per aligned rate"}
    of_all = effects[(effects.subset == "all") & (effects.method != "logit")].groupby("contrast").first()
    # the same prompts are asked of students, those of neighbouring cells have partners in number
    name = "optd: harmful - base over data"
    assert rows.estimate_pp[name] == of_all.estimate_pp[name]
    task = "same_task - same_domain"
    assert rows.n_answers_a[task] == rows.n_answers_b[task] < of_all.n_answers_a[task]
    assert rows.q_value.notna().any()


def test_answers_without_telling_phrases_repeat_the_claim_about_tasks():
    cells = adapters(SPREAD)
    replaced = adapters(SPREAD | {"same_task": 0.4})[:12]
    effects, _, _ = measure_contrasts(contrasts(cells), replaced=replaced)
    rows = effects[effects.subset == "anchors_replaced"]
    assert list(rows.contrast) == ["same_task - same_domain"]
    assert rows.estimate_pp.iloc[0] == pytest.approx(10) and rows.n_train_sets.iloc[0] == 2
