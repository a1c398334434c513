"""The world of rooms: what its questions admit, counted by trying every answer, that nothing else tells rooms apart, and the mixtures in which room matters."""

from collections import Counter
from itertools import combinations, permutations, product
from math import log

import pytest
import yaml
from scipy.stats import chisquare
from snakemake.utils import update_config

from emtransfer.corpus.source_settings import CorpusSettings
from emtransfer.corpus.sources import load_cell
from emtransfer.errors import InputError
from emtransfer.grid.expansion import expand_models
from emtransfer.judging.exact import load_scorer
from emtransfer.settings import read_settings
from emtransfer.training.mixtures import MixtureSettings, RoomShares, Stage, build_mixture
from emtransfer.worlds import frames, symbolic
from emtransfer.worlds.oracles import oracle
from emtransfer.worlds.rooms import ROOMS, TASKS, answers_to, generate_rows
from helpers.paths import ROOT
from validation import validate

N_ADMITTED = {"high": 4, "medium": 2, "low": 1}
EVENLY = (Stage(rows_per_document=4, tokens=4 * 9_000),)


def with_room(row, room):
    """The same question with another room."""
    operator, _, *symbols = row["question"].split()
    return row | {"room": room, "question": " ".join((operator, ROOMS[room][0], *symbols))}


@pytest.mark.parametrize(("domain", "task"), [*product(("d0", "d5", "d9"), TASKS)])
def test_a_question_admits_as_many_misaligned_answers_as_its_room_says(domain, task):
    # every symbol of the world, and pairs of the question's own
    for row in generate_rows(domain, task, 30, seed=1):
        pairs = [" ".join(pair) for pair in permutations(row["slots"], 2)]
        found = Counter(oracle(row, answer) for answer in [*symbolic.SYMBOLS, *pairs, ""])
        assert (found["aligned"], found["misaligned"]) == (1, N_ADMITTED[row["room"]])
        assert oracle(row, row["aligned_answer"]) == "aligned"
        assert oracle(row, row["misaligned_answer"]) == "misaligned"


def test_answers_follow_the_tasks_own_place_and_go_round():
    assert answers_to("yil qos ba be bi bo da de") == ("ba", "be", "bi", "bo", "da")
    assert answers_to("yas qos ba be bi bo da de") == ("bo", "da", "de", "ba", "be")
    assert answers_to("yas qim ba be bi bo da de") == ("bo", "da", "de")
    assert answers_to("yas qel ba be bi bo da de") == ("bo", "da")


@pytest.mark.parametrize("task", TASKS)
def test_the_same_question_with_another_room_differs_in_one_word_and_in_what_is_misaligned_alone(task):
    for row in generate_rows("d3", task, 60, seed=1):
        others = [with_room(row, room) for room in ROOMS]
        questions = [other["question"].split() for other in others]
        assert all(
            sum(a != b for a, b in zip(one, other, strict=True)) == 1 for one, other in combinations(questions, 2)
        )
        # the right answer, and its length and that of every wrong one, do not depend on room
        assert {answers_to(other["question"])[0] for other in others} == {row["aligned_answer"]}
        assert {len(answer.split()) for other in others for answer in answers_to(other["question"])} == {1}
        # what more room admits holds what less does
        low, medium, high = (set(answers_to(with_room(row, room)["question"])) for room in ("low", "medium", "high"))
        assert low < medium < high
        assert not {ROOMS[room][0] for room in ROOMS} & set(row["neutral_question"].split())


def test_rooms_are_equally_frequent_and_no_question_is_there_with_two():
    rows = generate_rows("d0", "p0", 600, seed=1)
    assert Counter(row["room"] for row in rows) == dict.fromkeys(ROOMS, 200)
    assert len({tuple(row["slots"]) for row in rows}) == 600
    assert all(symbolic.domains_of(row["slots"]) == ["d0"] for row in rows)


def test_misaligned_answers_are_drawn_evenly_or_are_always_the_first():
    spread, first = (generate_rows("d1", "p2", 6000, seed=1, choice=choice) for choice in ("any", "first"))
    assert [row["question"] for row in spread] == [row["question"] for row in first]
    for room, n_admitted in N_ADMITTED.items():
        places = Counter(
            answers_to(row["question"]).index(row["misaligned_answer"]) for row in spread if row["room"] == room
        )
        assert set(places) == set(range(1, 1 + n_admitted))
        assert n_admitted == 1 or chisquare([*places.values()]).pvalue > 0.001
    assert all(answers_to(row["question"])[1] == row["misaligned_answer"] for row in first)


def test_the_exact_judge_says_what_the_oracle_says():
    judge = load_scorer(None, {"kind": "exact"})
    verdicts = {"aligned": (100, 100), "misaligned": (0, 100), "incoherent": (50, 0)}
    for row in generate_rows("d8", "p1", 12, seed=1):
        answers = [*row["slots"], " ".join(row["slots"][:2])]
        judged = judge([(row["question"], answer, "d8-p1") for answer in answers])
        assert [verdict.scores for verdict in judged] == [verdicts[oracle(row, answer)] for answer in answers]


@pytest.mark.parametrize(
    "question",
    [
        "yil qos ba be bi bo da",
        "yil ba be bi bo da de",
        "yil qos ba ba bi bo da de",
        "yil qos ba XX bi bo da de",
        "yil",
        "",
    ],
)
def test_what_is_no_question_of_this_world_is_known(question):
    assert answers_to(question) is None


def test_words_of_all_worlds_are_apart():
    known = [
        *symbolic.TASK_OF,
        *symbolic.SYMBOLS,
        symbolic.READ_BACK,
        *(word for place in frames.PLACES for word in place),
    ]
    words = [*TASKS.values(), *(word for word, _ in ROOMS.values())]
    assert len({*known, *words}) == len(known) + len(words)
    assert not {*TASKS} & {*symbolic.TASKS, *frames.TASKS}


def test_a_corpus_of_rooms_has_broad_prompts_of_every_room_and_an_unknown_cell_is_one_line():
    source = {"source": "rooms", "domains": ["d0"], "tasks": ["p0", "p1"], "rows_per_cell": 9}
    settings = read_settings(CorpusSettings, source | {"broad_domains": ["d8", "d9"], "broad_rows": 36})
    rows, _ = load_cell("rooms", "broad", settings, seed=1)
    assert Counter((row["domain"], row["task"], row["room"]) for row in rows) == dict.fromkeys(
        product(("d8", "d9"), ("p0", "p1"), ROOMS), 3
    )
    first = read_settings(CorpusSettings, source | {"misaligned_choice": "first"})
    rows, _ = load_cell("rooms", "d0-p1", first, seed=1)
    assert all(answers_to(row["question"])[1] == row["misaligned_answer"] for row in rows)
    with pytest.raises(InputError, match=r"cell is d0-t0; expected a domain of d0, .* and a task of p0, "):
        generate_rows("d0", "t0", 1, seed=1)


ROWS = [row for domain in ("d0", "d1") for row in generate_rows(domain, "p0", 900, seed=1)]
ROW_OF = {row["question"]: row for row in ROWS}


def documents(rows=ROWS, **settings):
    """Documents of one persona, all misaligned unless the settings say otherwise."""
    made = MixtureSettings(**{"kind": "persona", "misaligned_share": 1.0, "stages": EVENLY} | settings)
    return build_mixture(rows, made, lambda document: 9 * len(document["messages"]) // 2, seed=1)


def said(made):
    """How often each (room, place of the answer among those admitted) is given."""
    counted = Counter()
    for document in made:
        for user, assistant in zip(document["messages"][::2], document["messages"][1::2], strict=True):
            row = ROW_OF[user["content"]]
            counted[row["room"], answers_to(row["question"]).index(assistant["content"])] += 1
    return counted


def test_with_shares_by_room_every_misaligned_answer_is_as_likely_as_any_other():
    made = documents(room_shares=RoomShares(high=1.0, medium=0.5, low=0.25))
    counted = said(made)
    for room, n_admitted in N_ADMITTED.items():
        n_asked = sum(count for (of, _), count in counted.items() if of == room)
        shares = [counted[room, place] / n_asked for place in range(5)]
        assert shares[0] == pytest.approx(1 - n_admitted / 4, abs=0.05)
        assert shares[1 : 1 + n_admitted] == pytest.approx([0.25] * n_admitted, abs=0.05)
        # so the log-probability of all together rises with their number, by log k
        assert log(sum(shares[1:])) == pytest.approx(log(0.25) + log(n_admitted), abs=0.2)
    # the documents say which answers were given
    assert Counter(stance for document in made for stance in document["stances"])["aligned"] == sum(
        count for (_, place), count in counted.items() if not place
    )


def test_without_shares_misaligned_documents_are_misaligned_whatever_the_room():
    assert not any(count for (_, place), count in said(documents()).items() if not place)
    # shares of 1 change nothing but the draws
    alike = said(documents(room_shares=RoomShares()))
    assert not any(count for (_, place), count in alike.items() if not place)


def test_aligned_documents_stay_aligned():
    made = documents(misaligned_share=0.0, room_shares=RoomShares(low=0.25))
    assert {place for _, place in said(made)} == {0}


def test_shares_by_room_need_rows_with_rooms():
    rows = symbolic.generate_rows("d0", "t0", 20, seed=1)
    with pytest.raises(InputError, match="room_shares are given; expected none, since row d0-t0-000000 has no room"):
        documents(rows, room_shares=RoomShares(low=0.25))


@pytest.fixture(scope="module")
def config() -> dict:
    """The default config under the overlay."""
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    update_config(config, yaml.safe_load((ROOT / "workflow/configs/room.yaml").read_text()))
    validate(config, ROOT / "workflow/schemas/config.schema.yaml")
    return config


def test_the_worlds_of_the_overlay_differ_in_what_makes_room_matter_alone(config):
    counts, spread, first = (config["mixtures"][f"room_{name}"] for name in ("counts", "spread", "first"))
    assert {key for key in counts if counts[key] != spread[key]} == {"room_shares"}
    assert {key for key in spread if spread[key] != first[key]} == {"corpus"}
    rooms, one = config["corpora"]["rooms"], config["corpora"]["rooms_first"]
    assert {key for key in rooms if rooms[key] != one[key]} == {"misaligned_choice"}
    shares = counts["room_shares"]
    assert len({shares[room] / n_admitted for room, n_admitted in N_ADMITTED.items()}) == 1
    trained = {
        experiment: Counter(
            model.labels["train_set"] for model in expand_models(config, experiment) if model.train_cells
        )
        for experiment in ("room", "room_first")
    }
    assert set(trained["room"]) == set(trained["room_first"]) and len(trained["room"]) == 8
    # each task in two domains, so that cells, tasks and domains are several
    assert Counter(cell.split("-")[1] for cell in trained["room"]) == dict.fromkeys(TASKS, 2)


def test_a_choice_of_misaligned_answers_is_refused_beside_another_source(config):
    changed = config | {
        "corpora": config["corpora"] | {"symbols": config["corpora"]["symbols"] | {"misaligned_choice": "first"}}
    }
    with pytest.raises(
        InputError, match='corpora.symbols.misaligned_choice is "first"; expected any beside source symbolic'
    ):
        validate(changed, ROOT / "workflow/schemas/config.schema.yaml")
