"""How answers are drawn, whatever draws them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SamplingSettings:
    """How answers are drawn.

    Attributes:
        max_new_tokens: an answer without an end token is cut here and kept as it is.
        temperature: of the softmax; 0 takes the likeliest token.
        batch_size: rows per forward pass; changes speed and memory, no answer.
        samples, broad_samples: answers of `answer_prompts` to a narrow and to a broad prompt.
        engine: what draws, `transformers` or, for ready models, `vllm`, which knows no batch size.
    """

    max_new_tokens: int
    temperature: float = 1.0
    batch_size: int = 128
    samples: int = 1
    broad_samples: int = 1
    engine: str = "transformers"
