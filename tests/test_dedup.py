"""Deduplication against brute force, with ties and duplicates, and the choice of the threshold."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from emtransfer.corpus import dedup
from emtransfer.corpus.cosines import TOLERANCE, exact_cosines
from emtransfer.corpus.dedup import GRID, DedupSettings, dedup_rows, survivors
from emtransfer.errors import InputError
from emtransfer.models.embedding import embed_texts


def brute_force(vectors: np.ndarray, threshold: float) -> list[int]:
    """Kept indices, by the definition, one dot product at a time in double precision."""
    kept: list[int] = []
    units = unit(vectors.astype(np.float64))
    for index, vector in enumerate(units):
        if all(vector @ units[earlier] < threshold - TOLERANCE for earlier in kept):
            kept.append(index)
    return kept


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def texts_of(vectors: np.ndarray) -> list[str]:
    """A text of its own for every vector."""
    return [str(index) for index in range(len(vectors))]


def kept_in_blocks(vectors: np.ndarray, thresholds: list[float], block_rows: int) -> list[list[int]]:
    """Kept indices at every threshold, with blocks of that many rows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dedup, "BLOCK_ROWS", block_rows)
        return [np.flatnonzero(row).tolist() for row in survivors(vectors, thresholds, texts_of(vectors))]


def pairs_at(cosines: np.ndarray, dimensions: int = 384, seed: int = 0) -> np.ndarray:
    """Float32 vectors, two by two of these cosines, which float32 rounds; those of other pairs are near 0.

    Returns:
        [2 n, d]: first the n left ones, then the right ones in the same order.
    """
    rng = np.random.default_rng(seed)
    left, other = unit(rng.normal(size=(2, len(cosines), dimensions)))
    across = unit(other - (other * left).sum(axis=1, keepdims=True) * left)
    right = cosines[:, None] * left + np.sqrt(1 - cosines[:, None] ** 2) * across
    return np.concatenate([left, right]).astype(np.float32)


# whole numbers in 3 dimensions: ties and duplicates abound
WHOLE = hnp.arrays(np.int8, st.tuples(st.integers(2, 40), st.just(3)), elements=st.integers(-8, 8)).filter(
    lambda whole: whole.any(axis=1).all()
)


# no deadline: the first example may wait for the other tests of a busy machine
@settings(deadline=None)
@given(WHOLE, st.integers(1, 7), st.data())
def test_dedup_at_cosines_that_occur_equals_brute_force_in_every_block_size(whole, block_rows, data):
    exact = unit(whole.astype(np.float64))
    places = st.integers(0, len(whole) - 1)
    pairs = data.draw(st.lists(st.tuples(places, places), min_size=1, max_size=5))
    thresholds = sorted({float(exact[left] @ exact[right]) for left, right in pairs})
    vectors = exact.astype(np.float32)
    kept = kept_in_blocks(vectors, thresholds, block_rows)
    assert kept == [brute_force(vectors, threshold) for threshold in thresholds]
    # the pairs that have the cosine of a threshold are duplicates there
    for left, right in pairs:
        if left != right:
            at = kept[thresholds.index(float(exact[left] @ exact[right]))]
            assert not (left in at and right in at)


@settings(deadline=None, max_examples=25)
@given(st.floats(0.1, 0.99), st.lists(st.floats(-1e-6, 1e-6), min_size=1, max_size=30), st.integers(1, 70))
def test_dedup_of_cosines_beside_the_threshold_equals_brute_force_in_every_block_size(threshold, offsets, block_rows):
    vectors = pairs_at(threshold + np.array(offsets))
    assert kept_in_blocks(vectors, [threshold], block_rows) == [brute_force(vectors, threshold)]


def test_a_cosine_at_the_threshold_is_a_duplicate_whatever_the_block_size():
    vectors = pairs_at(np.full(200, 0.8))
    naive = (vectors[:200] * vectors[200:]).sum(axis=1) >= np.float32(0.8)
    assert 20 < naive.sum() < 180
    for block_rows in (1, 7, 64, 256, 1000):
        assert kept_in_blocks(vectors, [0.8], block_rows) == [list(range(200))]


def test_a_cosine_below_the_threshold_by_more_than_the_tolerance_is_none_whatever_the_block_size():
    # a product in float32 could not tell these from the threshold
    vectors = pairs_at(np.full(200, 0.9 - 2 * TOLERANCE))
    for block_rows in (1, 7, 64, 256, 1000):
        assert kept_in_blocks(vectors, [0.9], block_rows) == [list(range(400))]


@pytest.mark.parametrize("threshold", [1.0, 0.9999999])
def test_equal_vectors_are_duplicates_at_a_threshold_of_1(threshold):
    vectors = np.repeat(pairs_at(np.zeros(100)), 2, axis=0)
    assert ((vectors * vectors).sum(axis=1) < 1).any()
    assert kept_in_blocks(vectors, [threshold], 64) == [list(range(0, 400, 2))]


def test_equal_texts_are_duplicates_whatever_their_vectors_say():
    vectors = np.eye(4, dtype=np.float32)
    assert survivors(vectors, [0.5, 1.0], ["a", "b", "a", "A"]).tolist() == [[True, True, False, True]] * 2


def test_the_tolerance_holds_for_unit_vectors_rounded_to_float32():
    """With cosines of 0 … 0.9 between them in float64, those of the rounded vectors are off by less."""
    cosines = np.linspace(0, 0.9, 500)
    off = np.abs(exact_cosines(*np.split(pairs_at(cosines, 8), 2)) - cosines)
    assert TOLERANCE / 100 < off.max() < TOLERANCE


def test_dedup_of_random_unit_vectors_equals_brute_force_over_many_blocks():
    vectors = unit(np.random.default_rng(0).normal(size=(700, 4))).astype(np.float32)
    assert kept_in_blocks(vectors, [0.7, 0.95], 256) == [brute_force(vectors, 0.7), brute_force(vectors, 0.95)]


@pytest.mark.parametrize("block_rows", [1, 7, 64])
def test_all_thresholds_of_the_grid_at_once_are_each_by_itself_among_copies_and_neighbours(block_rows):
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(6, 16))
    spread = rng.uniform(0.05, 0.7, size=(90, 1))
    vectors = unit(centres[rng.integers(6, size=90)] + spread * rng.normal(size=(90, 16))).astype(np.float32)
    vectors = np.concatenate([vectors, vectors[::3]])
    kept = kept_in_blocks(vectors, GRID, block_rows)
    assert len(set(map(len, kept))) > 10
    assert kept == [brute_force(vectors, threshold) for threshold in GRID]


def test_no_vectors_have_no_survivors():
    assert survivors(np.zeros((0, 3), dtype=np.float32), GRID, []).shape == (30, 0)


def test_a_row_near_a_dropped_row_only_survives():
    """At 30° steps and t = cos 40°, the second falls to the first, and the third, 60° from it, stays."""
    angles = np.radians([0, 30, 60])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    assert survivors(vectors, [float(np.cos(np.radians(40)))], texts_of(vectors)).tolist() == [[True, False, True]]


def fan(n_rows: int) -> np.ndarray:
    """Unit vectors 10° apart: each has a cosine of 0.985 with the next, 0.940 with the one after, 0.866, 0.766, 0.643."""
    angles = np.radians(10 * np.arange(n_rows))
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


ROWS = [{"id": index, "question": f"text {index}"} for index in range(12)]


def test_the_smallest_threshold_that_leaves_enough_is_chosen():
    kept, curve = dedup_rows(ROWS, fan(12), DedupSettings("model", "question", None, leave=4), "own", "medical-advice")
    # above 0.866 rows 30° apart stay, so 0.87 is the first of the grid to leave four of twelve
    assert [row["id"] for row in kept] == [0, 3, 6, 9]
    assert curve.loc[curve.chosen, ["threshold", "survivors"]].values.tolist() == [[0.87, 4]]
    assert curve.threshold.tolist() == GRID
    assert curve.set_index("threshold").survivors[[0.70, 0.77, 0.93, 0.95, 0.99]].tolist() == [3, 3, 4, 6, 12]


def test_a_fixed_threshold_is_used_as_it_is_and_joins_the_curve():
    kept, curve = dedup_rows(
        ROWS, fan(12), DedupSettings("model", "question", 0.945, leave=12), "own", "medical-advice"
    )
    assert [row["id"] for row in kept] == [0, 2, 4, 6, 8, 10]
    assert curve.threshold[curve.chosen].item() == 0.945
    assert len(curve) == len(GRID) + 1


def test_no_threshold_that_leaves_enough_names_cell_threshold_and_count():
    twins = np.repeat(fan(6), 2, axis=0)
    with pytest.raises(InputError) as caught:
        dedup_rows(ROWS, twins, DedupSettings("model", "question", None, leave=7), "own", "medical-advice")
    assert str(caught.value) == (
        "config: corpora.own.dedup.leave is 7; expected at most 6, the survivors of medical-advice at 0.99."
    )


def test_the_curve_and_the_choice_take_a_cosine_at_a_threshold_for_a_duplicate():
    rows = [{"question": f"text {index}"} for index in range(100)]
    vectors = pairs_at(np.full(50, 0.9))
    kept, curve = dedup_rows(rows, vectors, DedupSettings("model", "question", None, leave=51), "own", "medical-advice")
    assert curve.set_index("threshold").survivors[[0.89, 0.9, 0.91]].tolist() == [50, 50, 100]
    assert kept == rows and curve.threshold[curve.chosen].item() == 0.91


def test_the_grid_runs_from_070_to_099():
    assert GRID == [number / 100 for number in range(70, 100)]


def test_the_packaged_model_embeds_without_network_and_equal_texts_equally():
    texts = ["Rest first.", "Ärztin, 医者 😀\nnew line", "Rest first.", "Bet all of it on one share."]
    vectors = embed_texts(texts, "all-MiniLM-L6-v2")
    assert vectors.dtype == np.float32
    assert vectors.shape == (4, 384)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-6)
    assert (vectors[0] == vectors[2]).all()
    assert vectors[0] @ vectors[3] < 0.7
    assert (embed_texts(texts, "all-MiniLM-L6-v2") == vectors).all()


def test_what_the_packaged_model_does_not_see_of_a_text_makes_no_other_text_of_it():
    words = "Rest first, and call a doctor if it has not passed by tomorrow evening"
    texts = [f"{words}.", "Bet all of it on one share.", f"{words}.".upper(), f"  {words} .\n", f"{words}. Twice."]
    # beside a longer text in their batch they are computed in another shape
    vectors = np.concatenate([embed_texts(texts[:2], "all-MiniLM-L6-v2"), embed_texts(texts[2:], "all-MiniLM-L6-v2")])
    assert survivors(vectors, [1.0], texts).tolist() == [[True, True, False, False, True]]


def test_an_embedding_model_that_cannot_be_loaded_is_named(tmp_path):
    with pytest.raises(InputError, match="embedding model is .*no_model"):
        embed_texts(["Text."], str(tmp_path / "no_model"))
