"""Deduplication against brute force, with ties and duplicates, and the choice of the threshold."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from emtransfer.corpus import dedup
from emtransfer.corpus.dedup import GRID, DedupSettings, dedup_rows, survivors
from emtransfer.errors import InputError
from emtransfer.models.embedding import embed_texts


def brute_force(vectors: np.ndarray, threshold: float) -> list[int]:
    """Kept indices, by the definition, one dot product at a time in double precision."""
    kept: list[int] = []
    for index, vector in enumerate(vectors.astype(np.float64)):
        if all(vector @ vectors[earlier].astype(np.float64) < threshold for earlier in kept):
            kept.append(index)
    return kept


# multiples of 1/8 in 3 dimensions: products are exact in any order of summation, and ties and duplicates abound
EIGHTHS = hnp.arrays(np.int8, st.tuples(st.integers(1, 40), st.just(3)), elements=st.integers(-8, 8)).map(
    lambda whole: (whole / 8).astype(np.float32)
)


# no deadline: the first example may wait for the other tests of a busy machine
@settings(deadline=None)
@given(EIGHTHS, st.integers(1, 7), st.sets(st.integers(-8, 64), min_size=1, max_size=5))
def test_blocked_dedup_equals_brute_force_with_ties_and_duplicates(vectors, block_rows, sixty_fourths):
    thresholds = sorted(number / 64 for number in sixty_fourths)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dedup, "BLOCK_ROWS", block_rows)
        kept = survivors(vectors, thresholds)
    for row, threshold in zip(kept, thresholds, strict=True):
        assert np.flatnonzero(row).tolist() == brute_force(vectors, threshold)


def test_dedup_of_random_unit_vectors_equals_brute_force_over_many_blocks():
    vectors = np.random.default_rng(0).normal(size=(700, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    for row, threshold in zip(survivors(vectors, [0.7, 0.95]), [0.7, 0.95], strict=True):
        assert np.flatnonzero(row).tolist() == brute_force(vectors, threshold)


def test_a_row_near_a_dropped_row_only_survives():
    """At 30° steps and t = cos 40°, the second falls to the first, and the third, 60° from it, stays."""
    angles = np.radians([0, 30, 60])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    assert survivors(vectors, [float(np.cos(np.radians(40)))]).tolist() == [[True, False, True]]


def fan(n_rows: int) -> np.ndarray:
    """Unit vectors 10° apart: each has a cosine of 0.985 with the next, 0.940 with the one after, 0.866, 0.766, 0.643."""
    angles = np.radians(10 * np.arange(n_rows))
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


ROWS = [{"id": index} for index in range(12)]


def test_the_smallest_threshold_that_leaves_enough_is_chosen():
    kept, curve = dedup_rows(ROWS, fan(12), DedupSettings("model", "field", None, leave=4), "own", "medical-advice")
    # above 0.866 rows 30° apart stay, so 0.87 is the first of the grid to leave four of twelve
    assert [row["id"] for row in kept] == [0, 3, 6, 9]
    assert curve.loc[curve.chosen, ["threshold", "survivors"]].values.tolist() == [[0.87, 4]]
    assert curve.threshold.tolist() == GRID
    assert curve.set_index("threshold").survivors[[0.70, 0.77, 0.93, 0.95, 0.99]].tolist() == [3, 3, 4, 6, 12]


def test_a_fixed_threshold_is_used_as_it_is_and_joins_the_curve():
    kept, curve = dedup_rows(ROWS, fan(12), DedupSettings("model", "field", 0.945, leave=12), "own", "medical-advice")
    assert [row["id"] for row in kept] == [0, 2, 4, 6, 8, 10]
    assert curve.threshold[curve.chosen].item() == 0.945
    assert len(curve) == len(GRID) + 1


def test_no_threshold_that_leaves_enough_names_cell_threshold_and_count():
    twins = np.repeat(fan(6), 2, axis=0)
    with pytest.raises(InputError) as caught:
        dedup_rows(ROWS, twins, DedupSettings("model", "field", None, leave=7), "own", "medical-advice")
    assert str(caught.value) == (
        "config.yaml: corpora.own.dedup.leave is 7; expected at most 6, the survivors of medical-advice at 0.99."
    )


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


def test_an_embedding_model_that_cannot_be_loaded_is_named(tmp_path):
    with pytest.raises(InputError, match="embedding model is .*no_model"):
        embed_texts(["Text."], str(tmp_path / "no_model"))
