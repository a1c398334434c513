"""How answers are drawn, whatever draws them."""

from dataclasses import dataclass
from typing import Literal

from emtransfer.settings import Positive, Weight


@dataclass(frozen=True)
class SamplingSettings:
    """How answers are drawn.

    Attributes:
        max_new_tokens: Where an answer without an end is cut.
        temperature: Of the softmax; 0 takes the likeliest token.
        batch_size: Rows in a forward pass; changes speed and memory, in float32 no answer.
        engine: What draws a ready model's answers; auto is vllm where it is installed. Models of the run always answer in transformers.
    """

    max_new_tokens: Positive
    temperature: Weight = 1.0
    batch_size: Positive = 128
    engine: Literal["auto", "transformers", "vllm"] = "auto"


@dataclass(frozen=True, kw_only=True)
class AnsweringSettings(SamplingSettings):
    """How answers are drawn, from teachers and for the evaluation.

    Attributes:
        samples: Answers to a narrow prompt.
        broad_samples: Answers to a broad prompt.
    """

    samples: Positive
    broad_samples: Positive
