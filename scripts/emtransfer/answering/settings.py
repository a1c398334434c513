"""Settings of sampling, for any engine."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from emtransfer.settings import Elsewhere, Positive, Weight

# where vLLM runs -> the module that asks it; it is imported where a ready model answers, so that it is no code of other jobs
MODULES = {"here": "emtransfer.answering.vllm", "on a server": "emtransfer.answering.vllm_server"}


@dataclass(frozen=True)
class SamplingSettings:
    """Settings of sampling.

    Attributes:
        max_new_tokens: Greatest length of an answer in tokens; a longer one is cut.
        temperature: Sampling temperature; 0 takes the likeliest token.
        batch_size: Rows in a forward pass; changes speed and memory, but in float32 no answer.
        engine: Engine that samples a ready model's answers; auto is vllm if it is installed or a server of it is named (EMTRANSFER_VLLM_SERVER). Models trained in the run, and those of which all weights are fine-tuned, always use transformers.
    """

    max_new_tokens: Positive
    temperature: Weight = 1.0
    batch_size: Positive = 128
    engine: Literal["auto", "transformers", "vllm"] = "auto"


@dataclass(frozen=True, kw_only=True)
class AnsweringSettings(SamplingSettings):
    """Sampling of answers, from teachers and for the evaluation.

    Attributes:
        samples: Number of answers to a narrow prompt.
        broad_samples: Number of answers to a broad prompt.
        contexts: System prompts by name, under each of which the prompts are asked again.
    """

    samples: Positive
    broad_samples: Positive
    contexts: Annotated[dict[str, str], Elsewhere()] = field(default_factory=dict)
