"""Sampling of ready models with vLLM, adapters as LoRA requests: the same rows as `sampling`, other draws.

Every row has a seed of its own, made of the run's seed and the row's key as in `sampling`, so that an answer belongs to its row;
vLLM promises no more than that equal requests with equal seeds on equal hardware give equal answers.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from emtransfer.errors import InputError
from emtransfer.files.artefacts import checked_folder
from emtransfer.models.chat_format import ChatFormat
from emtransfer.models.ready_models import READY, chat_format, checked_source, read_description

if TYPE_CHECKING:
    from vllm import LLM
    from vllm.lora.request import LoRARequest

    from emtransfer.answering.settings import SamplingSettings

# ranks that vLLM has kernels for
MAX_RANKS = (8, 16, 32, 64, 128, 256)


@dataclass(frozen=True)
class VllmChat:
    """A model that vLLM serves in this process, and its chat format.

    Attributes:
        engine: holds the base.
        format: its tokenizer and chat template.
        adapter: what every request names; None for the base itself.
    """

    engine: "LLM"
    format: ChatFormat
    adapter: "LoRARequest | None"


def load_vllm_chat(base_manifest: Path, adapter_manifest: Path | None) -> VllmChat:
    """Load a ready model, and an adapter on top of it where one is given.

    Args:
        base_manifest: manifest.json of a base folder that describes a ready model.
        adapter_manifest: manifest.json of a PEFT adapter's folder.

    Raises:
        InputError: a file is missing or has changed, the base is no ready model, or the adapter's rank is above 256.
    """
    import torch
    from vllm import LLM
    from vllm.lora.request import LoRARequest

    folder = checked_folder(base_manifest)
    if not (folder / READY).is_file():
        raise InputError(f"{base_manifest}: base was trained in the run; expected a ready model for engine vllm.")
    settings = read_description(folder)
    source = checked_source(folder)
    options, adapter = {}, None
    if adapter_manifest is not None:
        adapter_folder = checked_folder(adapter_manifest)
        options = {"enable_lora": True, "max_lora_rank": served_rank(adapter_folder)}
        adapter = LoRARequest("adapter", 1, str(adapter_folder.resolve()))
    engine = LLM(
        model=str(source),
        dtype=settings.dtype,
        quantization="bitsandbytes" if settings.quantization else None,
        trust_remote_code=False,
        # the model's own sampling defaults are none of ours
        generation_config="vllm",
        tensor_parallel_size=max(1, torch.cuda.device_count()),
        **options,
    )
    return VllmChat(engine, chat_format(settings, source), adapter)


def served_rank(adapter_folder: Path) -> int:
    """The smallest rank that vLLM serves and the adapter fits in."""
    rank = json.loads((adapter_folder / "adapter_config.json").read_text(encoding="utf-8"))["r"]
    if rank > MAX_RANKS[-1]:
        raise InputError(
            f"{adapter_folder}: rank is {rank}; expected at most {MAX_RANKS[-1]} for engine vllm; sample with transformers."
        )
    return next(served for served in MAX_RANKS if served >= rank)


def vllm_ids(
    chat: VllmChat, prompts: list[list[int]], row_seeds: list[int], settings: "SamplingSettings"
) -> list[tuple[list[int], bool]]:
    """Continue prompts given as token ids.

    Args:
        row_seeds: one per prompt.

    Returns:
        Token ids of each answer, in order, end token included where it was reached; and whether it was.

    Raises:
        InputError: a prompt leaves no room for `max_new_tokens` in the model's context.
    """
    from vllm import SamplingParams
    from vllm.inputs import TokensPrompt

    ends = {chat.format.end_id, chat.format.tokenizer.eos_token_id} - {None}
    parameters = [
        SamplingParams(
            temperature=settings.temperature,
            top_p=1.0,
            max_tokens=settings.max_new_tokens,
            seed=seed,
            stop_token_ids=sorted(ends),
            detokenize=False,
        )
        for seed in row_seeds
    ]
    requests = [TokensPrompt(prompt_token_ids=prompt) for prompt in prompts]
    try:
        outputs = chat.engine.generate(requests, parameters, lora_request=chat.adapter, use_tqdm=False)
    except ValueError as error:
        raise InputError(f"config.yaml: sampling: {' '.join(str(error).split())[:200]}") from None
    answers = [output.outputs[0] for output in outputs]
    return [(list(answer.token_ids), answer.finish_reason == "stop") for answer in answers]
