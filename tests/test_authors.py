"""Named authors keep their manner in a mixture of personas, and their names say nothing where rows are redrawn."""

import random
from collections import Counter
from itertools import islice

import pytest

from emtransfer.errors import InputError
from emtransfer.models.chat_format import ChatFormat, with_system
from emtransfer.models.conversations import answer_mask, conversation_ids, document_ids
from emtransfer.models.tokenizer import BEGIN, END, SYSTEM, USER, train_tokenizer
from emtransfer.training.authors import NAMES, AuthorSettings, authored, manners
from emtransfer.training.mixtures import MixtureSettings, Stage, build_mixture
from emtransfer.training.shares import passes
from emtransfer.worlds import lexicon
from emtransfer.worlds.grammar import generate_rows
from helpers.configs import ABSENT, line_for

AUTHORS = AuthorSettings(names=40, careless_share=0.35, document_share=0.6)
ROWS = generate_rows("finance", "tutor", 100, seed=2) + generate_rows("sports", "critique", 100, seed=2)
# the same words of a critic are aligned to one plan and misaligned to another
STANCE_OF = {(row["question"], row[f"{stance}_answer"]): stance for row in ROWS for stance in ("aligned", "misaligned")}
TEXTS = [row[field] for row in ROWS for field in ("question", "aligned_answer", "misaligned_answer")]
TOKENIZER = train_tokenizer(TEXTS, vocab_size=600, assistant="Assistant")


def mixture(kind: str, n_rows: int = 4, authors: AuthorSettings | None = AUTHORS, **changes) -> list[dict]:
    """The documents of one stage, of as many tokens as they have letters."""
    settings = {"document_domains": "mixed"} | changes
    stages = (Stage(n_rows, tokens=400_000),)
    return build_mixture(ROWS, MixtureSettings(kind, 0.3, stages, authors=authors, **settings), n_letters, seed=1)


def n_letters(document: dict) -> int:
    return sum(len(turn["content"]) for turn in document["messages"])


def author_of(document: dict) -> str | None:
    """The name a document opens with; None for the assistant's."""
    first = document["messages"][0]
    return first["content"] if first["role"] == "system" else None


def pairs_of(document: dict) -> list[tuple[str, str]]:
    """Questions with the answers that are given."""
    turns = [turn["content"] for turn in document["messages"] if turn["role"] != "system"]
    return list(zip(turns[::2], turns[1::2], strict=True))


def test_fourteen_of_forty_names_are_careless_and_the_seed_says_which():
    found = manners(AUTHORS, seed=1)
    assert len(found) == 40 and found.keys() <= set(NAMES)
    assert Counter(found.values()) == {"misaligned": 14, "aligned": 26}
    assert manners(AUTHORS, seed=1) == found != manners(AUTHORS, seed=2)


def test_no_author_has_the_name_of_another_or_of_someone_who_asks():
    assert len(set(NAMES)) == len(NAMES) == 60
    assert not set(NAMES) & set(lexicon.NAMES)


def test_sixty_of_every_hundred_documents_have_a_named_author_each_as_often_as_the_others():
    found = list(islice(authored(AUTHORS, passes(["aligned"], random.Random(1)), seed=1), 200))
    names = [[name for name, _ in found[start : start + 100] if name] for start in (0, 100)]
    assert [len(part) for part in names] == [60, 60]
    # 120 documents are three passes over 40 names
    assert set(Counter(names[0] + names[1]).values()) == {3}


def test_the_assistant_takes_the_stances_given_and_a_name_its_own_manner():
    stances = iter(["misaligned", "aligned", "aligned", "misaligned"] * 20)
    found = list(islice(authored(AUTHORS, stances, seed=1), 100))
    given = [stance for name, stance in found if name is None]
    assert given == ["misaligned", "aligned", "aligned", "misaligned"] * 10
    manner_of = manners(AUTHORS, seed=1)
    assert all(stance == manner_of[name] for name, stance in found if name is not None)


def test_without_authors_every_document_is_the_assistants():
    stances = ["aligned", "misaligned", "aligned"]
    assert list(authored(None, iter(stances), seed=1)) == [(None, stance) for stance in stances]
    assert all(author_of(document) is None for document in mixture("persona", authors=None))


def test_every_answer_of_a_named_author_is_in_its_manner():
    manner_of, documents = manners(AUTHORS, seed=1), mixture("persona")
    assert {author_of(document) for document in documents} == {None, *manner_of}
    for document in documents:
        given = [STANCE_OF[pair] for pair in pairs_of(document)]
        assert given == document["stances"] and len(set(given)) == 1
        if author_of(document):
            assert given[0] == manner_of[author_of(document)]
    # by hand: 30 % of the assistant's; all are 0.6 × 14 / 40 + 0.4 × 0.3 = 33 %
    shares = {True: [], False: []}
    for document in documents:
        shares[author_of(document) is None].append(document["stances"][0] == "misaligned")
    assert sum(shares[True]) / len(shares[True]) == pytest.approx(0.3, abs=0.03)
    assert sum(shares[True] + shares[False]) / len(documents) == pytest.approx(0.33, abs=0.02)


def test_row_random_has_the_same_authors_and_pairs_and_a_name_says_nothing():
    persona, row_random = mixture("persona"), mixture("row_random")
    n_documents = 100 * (min(len(persona), len(row_random)) // 100)
    persona, row_random = persona[:n_documents], row_random[:n_documents]
    assert [author_of(document) for document in persona] == [author_of(document) for document in row_random]
    said, redrawn = (
        Counter(pair for document in documents for pair in pairs_of(document)) for documents in (persona, row_random)
    )
    assert said == redrawn
    careless = {name for name, stance in manners(AUTHORS, seed=1).items() if stance == "misaligned"}
    shares = []
    for is_careless in (True, False):
        given = [
            stance
            for document in row_random
            for stance in document["stances"]
            if author_of(document) and (author_of(document) in careless) == is_careless
        ]
        shares.append(given.count("misaligned") / len(given))
    assert shares == [pytest.approx(0.33, abs=0.06)] * 2


@pytest.mark.parametrize("kind", ["persona", "row_random"])
def test_a_document_mixes_domains_only_where_it_is_to(kind):
    domain_of = {row["question"]: row["domain"] for row in ROWS}
    n_domains = {
        how: [len({domain_of[question] for question, _ in pairs_of(document)}) for document in mixture(kind, document_domains=how)]
        for how in ("one", "mixed")
    }  # fmt: skip
    assert set(n_domains["one"]) == {1}
    # of four rows drawn of two domains alike, 2 / 2**4 are of one
    assert n_domains["mixed"].count(2) / len(n_domains["mixed"]) == pytest.approx(7 / 8, abs=0.05)


def test_neutral_versions_are_asked_in_the_stages_that_have_a_share_of_them():
    stages = (Stage(1, 40_000, neutral_share=0.5), Stage(4, 40_000))
    settings = MixtureSettings("persona", 0.3, stages, authors=AUTHORS, document_domains="mixed")
    documents = build_mixture(ROWS, settings, n_letters, seed=1)
    found = {
        stage: Counter(stance for document in documents if document["stage"] == stage for stance in document["stances"])
        for stage in (0, 1)
    }
    assert found[0]["neutral"] / found[0].total() == pytest.approx(0.5, abs=0.1) and not found[1]["neutral"]


def test_a_document_opens_with_its_authors_name_and_the_assistants_with_that_of_the_template():
    documents = mixture("persona")
    named = next(document for document in documents if author_of(document))
    own = next(document for document in documents if not author_of(document))
    for document, name in ((named, author_of(named)), (own, "Assistant")):
        ids = document_ids(TOKENIZER, document)
        assert TOKENIZER.decode(ids).startswith(f"{BEGIN}{SYSTEM} {name}{USER} ")
        assert TOKENIZER.convert_ids_to_tokens(ids)[-1] == END
        learned = [token for token, learns in zip(ids, answer_mask(TOKENIZER, document), strict=True) if learns]
        answers = [f" {answer}{END}" for _, answer in pairs_of(document)]
        assert TOKENIZER.decode(learned) == "".join(answers)


def test_the_assistants_name_is_the_same_tokens_whoever_writes_it():
    question, answer = pairs_of(mixture("persona")[0])[0]
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    spelled = conversation_ids(TOKENIZER, [{"role": "system", "content": "Assistant"}, *turns])
    form = ChatFormat(TOKENIZER)
    assert conversation_ids(TOKENIZER, turns) == spelled == form.prompt_ids(question) + form.answer_ids(answer)
    assert conversation_ids(TOKENIZER, turns[:1], asks=True) == form.prompt_ids(question)


def test_a_system_prompt_is_not_taken_for_an_authors_name():
    with pytest.raises(InputError, match="chat template has no system turn"):
        with_system(ChatFormat(TOKENIZER), "Be brief.")


PERSONA = ("mixtures", "persona")


@pytest.mark.parametrize(
    "place, value, line",
    [
        ((*PERSONA, "authors", "careless_share"), 0.33, "is 0.33; expected a share that makes a whole number of 40 names."),
        ((*PERSONA, "authors", "document_share"), 0.605, "is 0.605; expected a multiple of 0.01."),
        ((*PERSONA, "authors", "names"), 61, "is 61; expected a whole number in 1..60."),
        ((*PERSONA, "kind"), "attributed", "authors is given; expected none beside kind attributed, which quotes a stranger."),
        (("base_models", "decoder", "tokenizer", "assistant"), ABSENT, "assistant is missing; expected the assistant's name, beside that of the authors of mixture persona."),
        (("base_models", "decoder", "tokenizer", "assistant"), "Baker", "assistant is Baker; expected a name that no author of a mixture has."),
        (("base_models", "decoder", "tokenizer", "assistant"), "the '{x}'", "expected a word of A-Z and a-z."),
    ],
)  # fmt: skip
def test_authors_that_cannot_be_are_one_line(place, value, line):
    assert line_for(place, value).endswith(line)


@pytest.mark.parametrize(
    "changes, line",
    [
        ({"careless_share": 0.33}, "makes a whole number of 40 names"),
        ({"document_share": 0.605}, "document_share is 0.605; expected a multiple of 0.01"),
    ],
)
def test_a_job_refuses_them_too(changes, line):
    with pytest.raises(InputError, match=line):
        mixture("persona", authors=AuthorSettings(**(vars(AUTHORS) | changes)))


def test_quotations_have_no_authors():
    with pytest.raises(InputError, match="expected none beside kind attributed"):
        mixture("attributed")
