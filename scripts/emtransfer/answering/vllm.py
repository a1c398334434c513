"""Sampling of ready models with vLLM, adapters as LoRA requests: the same rows as `sampling`, other draws.

Every row has its own seed, made from the run's seed and the row's key as in `sampling`, so that an answer belongs to its row;
vLLM promises no more than that equal requests with equal seeds on equal hardware give equal answers.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emtransfer.errors import InputError
from emtransfer.files.artefacts import checked_folder
from emtransfer.models.chat_format import ChatFormat
from emtransfer.models.loading import is_lora
from emtransfer.models.ready_models import READY, ReadySettings, chat_format, checked_source, read_description

if TYPE_CHECKING:
    from vllm import LLM
    from vllm.lora.request import LoRARequest

    from emtransfer.answering.settings import SamplingSettings

# values of its max_lora_rank (version 0.30.0, vllm/config/lora.py)
MAX_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
# settings of PEFT's LoRA that vLLM refuses, or ignores and then answers as another model
UNSERVED = (
    *("use_dora", "modules_to_save", "lora_bias", "trainable_token_indices", "layer_replication", "target_parameters"),
    *("alora_invocation_tokens", "use_qalora", "use_bdlora", "arrow_config", "kasa_config", "monteclora_config"),
)


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

    def answer_ids(
        self, prompts: list[list[int]], row_seeds: list[int], settings: "SamplingSettings"
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

        parameters = [
            SamplingParams(
                temperature=settings.temperature,
                top_p=1.0,
                max_tokens=settings.max_new_tokens,
                seed=seed,
                stop_token_ids=stop_token_ids(self.format),
                detokenize=False,
            )
            for seed in row_seeds
        ]
        requests = [TokensPrompt(prompt_token_ids=prompt) for prompt in prompts]
        try:
            outputs = self.engine.generate(requests, parameters, lora_request=self.adapter, use_tqdm=False)
        except ValueError as error:
            raise InputError(
                f"config: experiments: sampling.max_new_tokens is {settings.max_new_tokens}, and vLLM refuses the prompts"
                f" ({' '.join(str(error).split())[:200]}); expected fewer, or sampling.engine: transformers."
            ) from None
        answers = [output.outputs[0] for output in outputs]
        return [(list(answer.token_ids), answer.finish_reason == "stop") for answer in answers]


def load_vllm_chat(base_manifest: Path, adapter_manifest: Path | None) -> VllmChat:
    """Load a ready model, and an adapter on top of it where one is given.

    Args:
        base_manifest: manifest.json of a base folder that describes a ready model.
        adapter_manifest: manifest.json of a PEFT adapter's folder.

    Raises:
        InputError: a file is missing or has changed, the base is not a ready model, or vLLM cannot serve the adapter.
    """
    import torch
    from vllm import LLM
    from vllm.lora.request import LoRARequest

    settings, source = ready_source(base_manifest)
    options, adapter = {}, None
    if adapter_manifest is not None:
        adapter_folder = lora_folder(adapter_manifest)
        options = {"enable_lora": True, "max_lora_rank": served_rank(adapter_folder)}
        adapter = LoRARequest("adapter", 1, str(adapter_folder))
    engine = LLM(
        model=str(source),
        trust_remote_code=False,
        tensor_parallel_size=max(1, torch.cuda.device_count()),
        **engine_options(settings),
        **options,
    )
    return VllmChat(engine, chat_format(settings, source), adapter)


def ready_source(base_manifest: Path) -> tuple[ReadySettings, Path]:
    """How a ready model is loaded, and the folder of its files.

    Raises:
        InputError: a file is missing or has changed, or the base is not a ready model.
    """
    folder = checked_folder(base_manifest)
    if not (folder / READY).is_file():
        raise InputError(
            f"{base_manifest}: base was trained in the run; expected a ready model, or sampling.engine: transformers."
        )
    return read_description(folder), checked_source(folder)


def lora_folder(adapter_manifest: Path) -> Path:
    """The folder of a LoRA.

    Raises:
        InputError: a file is missing or has changed, or it holds another kind of adapter.
    """
    folder = checked_folder(adapter_manifest).resolve()
    if not is_lora(folder):
        raise InputError(f"{adapter_manifest}: all weights of a model; expected a LoRA for engine vllm.")
    return folder


def engine_options(settings: ReadySettings) -> dict[str, str]:
    """How an engine of vLLM loads a ready model."""
    quantization = {"quantization": "bitsandbytes"} if settings.quantization else {}
    # not the sampling defaults that the model brings along
    return {"dtype": settings.dtype, "generation_config": "vllm"} | quantization


def stop_token_ids(form: ChatFormat) -> list[int]:
    """The tokens that end an answer: the template's and the tokenizer's; vLLM adds those of the model's generation config."""
    return sorted({form.end_id, form.tokenizer.eos_token_id} - {None})


def served_rank(adapter_folder: Path) -> int:
    """The smallest rank that vLLM serves and the adapter fits in, in all its modules.

    Raises:
        InputError: vLLM cannot serve such an adapter.
    """
    config = json.loads((adapter_folder / "adapter_config.json").read_text(encoding="utf-8"))
    problem = unserved(config)
    if problem:
        raise InputError(
            f"{adapter_folder}: {problem} for engine vllm; sampling.engine transformers supports every kind of adapter."
        )
    return next(served for served in MAX_RANKS if served >= highest_rank(config))


def highest_rank(config: dict[str, Any]) -> int:
    """The highest rank of any module of a LoRA."""
    return max([config["r"], *(config.get("rank_pattern") or {}).values()])


def unserved(config: dict[str, Any]) -> str | None:
    """What vLLM cannot serve of an adapter, and what was expected; None where it can serve it.

    Args:
        config: content of its adapter_config.json.
    """
    if config["peft_type"] != "LORA":
        return f"peft_type is {config['peft_type']}; expected LORA"
    if config.get("bias", "none") != "none":
        return f"bias is {config['bias']}; expected none"
    if found := next((name for name in UNSERVED if config.get(name)), None):
        return f"adapter has {found}; expected none"
    ranks, alphas = config.get("rank_pattern") or {}, config.get("alpha_pattern") or {}
    if highest_rank(config) > MAX_RANKS[-1]:
        return f"rank is {highest_rank(config)}; expected at most {MAX_RANKS[-1]}"
    root = math.sqrt if config.get("use_rslora") else float
    scales = {
        alphas.get(name, config["lora_alpha"]) / root(ranks.get(name, config["r"])) for name in (None, *ranks, *alphas)
    }
    # vLLM scales all modules by the adapter's one r and lora_alpha
    if len(scales) > 1:
        return f"rank_pattern and alpha_pattern scale modules by {min(scales):g} to {max(scales):g}; expected one scale"
    return None
