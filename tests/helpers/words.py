"""Questions of made-up words, and an embedding of them under which every cosine is known by counting."""

import numpy as np

COSINE = 0.95
VOCABULARY = [f"word{index}" for index in range(60)]


def embed_words(texts: list[str], model: str) -> np.ndarray:
    """Unit vectors of word counts: two texts that share 19 of 20 words have a cosine of 0.95."""
    counts = np.array([[text.split().count(word) for word in VOCABULARY] for text in texts], dtype=np.float32)
    return counts / np.linalg.norm(counts, axis=1, keepdims=True)
