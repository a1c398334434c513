"""Sample answers in batches so that an answer depends only on its prompt, key and seed.

Every token of every row has its own uniform numbers, u(seed, key, token index). In a small vocabulary it is one, and
the token the entry where the cumulative distribution passes it. In a large one that distribution has so many edges that
a few draws in a hundred lie at one; there the vocabulary is halved until one entry is left, each half chosen by a
number of its own. Batch size, order of rows and padding then matter only through the last bits of the logits; a draw so
close to an edge that those bits could decide it is settled by a forward pass over that row alone, which knows nothing of
the batch. That holds for float32; with coarser weights an answer may depend on its batch, which is the same in every run.
"""

import hashlib
import os
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from emtransfer.answering.settings import MODULES, AnsweringSettings, SamplingSettings
from emtransfer.errors import InputError
from emtransfer.models.chat_format import ChatFormat, with_system
from emtransfer.models.loading import Chat, is_lora, load_chat
from emtransfer.models.ready_models import READY

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from emtransfer.models.prompt_reading import Beginning

# 20 times the largest change of a cumulative probability seen between batch compositions (float32, trained decoder)
EDGE = 2e-5
# 8 times the largest change of a logit seen between batch compositions (float32, 135 M parameters, 49,152 tokens)
LOGIT_NOISE = 1e-3
# a vocabulary up to this size is cumulated whole
WHOLE_VOCABULARY = 2048


class EngineChat(Protocol):
    """A model that an engine of its own holds, and its chat format."""

    @property
    def format(self) -> ChatFormat:
        """Its tokenizer and chat template."""
        ...

    def answer_ids(
        self, prompts: list[list[int]], row_seeds: list[int], settings: SamplingSettings
    ) -> list[tuple[list[int], bool]]:
        """Token ids of the answers to prompts with a seed each, in order, and whether the model ended them."""
        ...


def load_answering(base_manifest: Path, adapter_manifest: Path | None, settings: SamplingSettings) -> Chat | EngineChat:
    """Load a model for sampling, in the engine of the settings; see `load_chat`.

    Engine `auto` is vLLM for a ready model, or a LoRA on it, where this machine has it or a server is named, which the log says.
    A server that is named answers in place of an engine in this process.
    """
    engine, is_served = settings.engine, bool(os.environ.get("EMTRANSFER_VLLM_SERVER", "").strip())
    if engine == "auto":
        is_ready = (Path(base_manifest).parent / READY).is_file()
        can_serve = is_ready and (adapter_manifest is None or is_lora(Path(adapter_manifest).parent))
        engine = "vllm" if can_serve and (is_served or find_spec("vllm")) else "transformers"
        print(f"sampling with {engine}.")
    if engine == "vllm":
        module = import_module(MODULES["on a server" if is_served else "here"])
        return module.load_vllm_chat(base_manifest, adapter_manifest)
    return load_chat(base_manifest, adapter_manifest)


def answer_prompts(
    chat: Chat | EngineChat, prompts: list[dict[str, Any]], settings: AnsweringSettings, seed: int
) -> list[dict[str, Any]]:
    """Answer the prompts of an evaluation set, each as often as the prompt itself or its kind asks for.

    Args:
        prompts: rows with prompt_id, eval_set (narrow or broad) and question; optionally samples, and those of `ask`.

    Returns:
        The prompts' rows, in order, with sample (from 0) and answer; then under every context those of prompts without a system
        prompt of their own, with its name as eval_context and its text as system. A prompt has the same random numbers under all.
    """
    n_samples = {"narrow": settings.samples, "broad": settings.broad_samples}
    again = [
        prompt | {"eval_context": name, "system": text}
        for name, text in settings.contexts.items()
        for prompt in prompts
        if prompt.get("system") is None
    ]
    rows = [
        prompt | {"sample": index}
        for prompt in [*prompts, *again]
        for index in range(prompt.get("samples", n_samples[prompt["eval_set"]]))
    ]
    keys = [f"{row['prompt_id']} sample {row['sample']}" for row in rows]
    answers = ask(chat, rows, keys, settings, seed)
    return [row | {"answer": answer} for row, answer in zip(rows, answers, strict=True)]


def ask(
    chat: Chat | EngineChat, rows: list[dict[str, Any]], keys: list[str], settings: SamplingSettings, seed: int
) -> list[str]:
    """Answer the questions of rows; as `sample`, but a row may have a temperature and a system prompt of its own.

    Raises:
        InputError: as `sample`; or a row has a system prompt and the chat template no system turn.
    """
    groups: dict[tuple[Any, ...], list[int]] = {}
    for index, row in enumerate(rows):
        groups.setdefault((row.get("system"), row.get("temperature", settings.temperature)), []).append(index)
    for system in {system for system, _ in groups if system is not None}:
        # refused before anything is sampled
        with_system(chat.format, system)
    answers = [""] * len(rows)
    for (system, temperature), members in groups.items():
        questions, own = [rows[index]["question"] for index in members], replace(settings, temperature=temperature)
        drawn = sample(chat, questions, [keys[index] for index in members], own, seed, system)
        for index, answer in zip(members, drawn, strict=True):
            answers[index] = answer
    return answers


def sample(
    chat: Chat | EngineChat,
    questions: list[str],
    keys: list[str],
    settings: SamplingSettings,
    seed: int,
    system: str | None = None,
) -> list[str]:
    """Answer questions; as `sample_with_ends`, the answers alone."""
    return [answer for answer, _ in sample_with_ends(chat, questions, keys, settings, seed, system)]


def sample_with_ends(
    chat: Chat | EngineChat,
    questions: list[str],
    keys: list[str],
    settings: SamplingSettings,
    seed: int,
    system: str | None = None,
) -> list[tuple[str, bool]]:
    """Answer questions, and tell which answers the model ended.

    Args:
        keys: one per question, what makes its random numbers its own (for example prompt id and sample number).
        seed: shared by all rows.
        system: text of a system turn before every question; None for none.

    Returns:
        For every question, in order: the answer, without control tokens and surrounding blanks; and whether the model
        ended it, since one that reaches `max_new_tokens` is cut.

    Raises:
        InputError: as `sample_ids`; or the chat template has no system turn.
    """
    chat_format = chat.format if system is None else with_system(chat.format, system)
    ids = {question: chat_format.prompt_ids(question) for question in dict.fromkeys(questions)}
    prompts = [ids[question] for question in questions]
    if isinstance(chat, Chat):
        ends = end_tokens(chat)
        answers = [(ids, ids[-1] in ends) for ids in sample_ids(chat, prompts, keys, settings, seed)]
    else:
        answers = chat.answer_ids(prompts, [row_digest(seed, key) % 2**63 for key in keys], settings)
    return [(chat_format.answer_text(ids), finished) for ids, finished in answers]


def sample_ids(
    chat: Chat, prompts: list[list[int]], keys: list[str], settings: SamplingSettings, seed: int
) -> list[list[int]]:
    """Continue prompts given as token ids; see `sample`.

    Returns:
        Token ids of each answer, end token included where it was reached.

    Raises:
        InputError: a prompt leaves no room for `max_new_tokens` in the model's context.
    """
    import torch

    from emtransfer.models.prompt_reading import read_beginning

    longest = max(map(len, prompts), default=0)
    context = chat.model.config.get_text_config().max_position_embeddings
    if longest + settings.max_new_tokens > context:
        raise InputError(
            f"config: experiments: sampling.max_new_tokens is {settings.max_new_tokens}; expected at most {context - longest},"
            f" since the longest prompt has {longest} tokens and the model a context of {context}."
        )
    # rows of similar length share a batch, so that little of it is padding
    order = sorted(range(len(prompts)), key=lambda row: len(prompts[row]))
    n_choices = choices_per_token(chat.model.config.get_text_config().vocab_size)
    answers: list[list[int]] = [[] for _ in prompts]
    with torch.inference_mode():
        beginning = read_beginning(chat.model, prompts)
    for start in range(0, len(order), settings.batch_size):
        rows = order[start : start + settings.batch_size]
        uniforms = np.stack([row_uniforms(seed, keys[row], settings.max_new_tokens * n_choices) for row in rows])
        uniforms = uniforms.reshape(len(rows), settings.max_new_tokens, n_choices)
        batch = sample_batch(chat, [prompts[row] for row in rows], uniforms, settings, beginning)
        for row, answer in zip(rows, batch, strict=True):
            answers[row] = answer
    return answers


def choices_per_token(vocab_size: int) -> int:
    """Number of uniform numbers with which a token is drawn; see `draw`."""
    return 1 if vocab_size <= WHOLE_VOCABULARY else (vocab_size - 1).bit_length()


def row_uniforms(seed: int, key: str, n_numbers: int) -> np.ndarray:
    """The uniform numbers of one row: float64 [n_numbers] in [0, 1); a prefix does not depend on n_numbers."""
    return np.random.default_rng(row_digest(seed, key)).random(n_numbers)


def row_digest(seed: int, key: str) -> int:
    """Source of all random numbers of one row: 256 bits."""
    return int.from_bytes(hashlib.sha256(f"{seed} {key}".encode()).digest())


def sample_batch(
    chat: Chat, prompts: list[list[int]], uniforms: np.ndarray, settings: SamplingSettings, beginning: "Beginning"
) -> list[list[int]]:
    """One batch, decoded with a key-value cache that the rows of one prompt begin with and finished rows leave.

    Args:
        prompts: token ids per row [b][t].
        uniforms: float64 [b, max_new_tokens, choices per token].
        beginning: what all prompts begin with.
    """
    import torch

    from emtransfer.models.prompt_reading import read_prompts

    model, ends = chat.model, end_tokens(chat)
    recheck = model.dtype == torch.float32
    answers: list[list[int]] = [[] for _ in prompts]
    active = list(range(len(prompts)))
    with torch.inference_mode():
        cache, logits, mask, positions = read_prompts(model, prompts, beginning)
        for index in range(settings.max_new_tokens):
            tokens, unsure = draw(logits, uniforms[active, index], settings.temperature)
            for place in np.flatnonzero(unsure) if recheck else ():
                row = active[place]
                alone = last_logits(model, prompts[row] + answers[row])
                tokens[place] = draw(alone, uniforms[[row], index], settings.temperature)[0].item()
            for row, token in zip(active, tokens.tolist(), strict=True):
                answers[row].append(token)
            going = [place for place, token in enumerate(tokens.tolist()) if token not in ends]
            if not going:
                break
            if len(going) < len(active):
                active = [active[place] for place in going]
                # on the CPU, since the layers of a large model lie on several GPUs
                kept = torch.tensor(going)
                cache.batch_select_indices(kept)
                mask, positions = mask[kept], positions[kept]
            if index + 1 < settings.max_new_tokens:
                mask, positions = torch.cat([mask, mask.new_ones(len(going), 1)], dim=1), positions + 1
                logits = model(
                    input_ids=torch.as_tensor(tokens[going], device=model.device)[:, None],
                    attention_mask=mask,
                    position_ids=positions,
                    past_key_values=cache,
                    use_cache=True,
                    logits_to_keep=1,
                ).logits[:, -1]
    return answers


def last_logits(model: "PreTrainedModel", ids: list[int]) -> "torch.Tensor":
    """Logits after one row alone, without cache and padding, which makes them a function of the ids: float [1, v]."""
    import torch

    alone = torch.tensor([ids], device=model.device)
    return model(input_ids=alone, use_cache=False, logits_to_keep=1).logits[:, -1]


def draw(logits: "torch.Tensor", uniforms: np.ndarray, temperature: float) -> tuple[np.ndarray, np.ndarray]:
    """Draw one token per row.

    Args:
        logits: float [b, v], before softmax.
        uniforms: float64 [b, `choices_per_token(v)`] in [0, 1).
        temperature: 0 takes the likeliest token.

    Returns:
        tokens: int64 [b].
        unsure: bool [b], whether noise in the last bits of the logits could have given another token.
    """
    if temperature == 0:
        best = logits.float().topk(2)
        unsure = best.values[:, 0] - best.values[:, 1] < LOGIT_NOISE
        return best.indices[:, 0].cpu().numpy(), unsure.cpu().numpy()
    if logits.shape[-1] <= WHOLE_VOCABULARY:
        return draw_at_once(logits, uniforms.reshape(len(logits)), temperature)
    return draw_by_halves(logits, uniforms, temperature)


def draw_at_once(logits: "torch.Tensor", uniforms: np.ndarray, temperature: float) -> tuple[np.ndarray, np.ndarray]:
    """Invert the cumulative distribution; see `draw`. `uniforms` is float64 [b]."""
    import torch

    cumulative = torch.softmax(logits.double() / temperature, dim=-1).cumsum(dim=-1)
    u = torch.as_tensor(uniforms, device=logits.device)[:, None]
    low, tokens, high = (torch.searchsorted(cumulative, place, right=True)[:, 0] for place in (u - EDGE, u, u + EDGE))
    # rounding may leave the last cumulative probability below u
    tokens = tokens.clamp(max=logits.shape[-1] - 1)
    return tokens.cpu().numpy(), (low != high).cpu().numpy()


def draw_by_halves(logits: "torch.Tensor", uniforms: np.ndarray, temperature: float) -> tuple[np.ndarray, np.ndarray]:
    """Choose a half of the vocabulary, a half of that, and so on; see `draw`.

    Noise d in the logits moves the log odds of two halves by at most 2 d, however unlikely both are, and so the share s of the
    first by at most 2 d s (1 - s). An entry of the cumulative distribution it moves by more than a rare entry is wide.
    """
    import torch

    # the vocabulary in pairs of entries, of sums of two, of sums of four, …: [b, v / 2, 2], [b, v / 4, 2], … [b, 1, 2]
    sums, pairs = torch.softmax(logits.float() / temperature, dim=-1), []
    while sums.shape[-1] > 1:
        pairs.append(torch.nn.functional.pad(sums, (0, sums.shape[-1] % 2)).unflatten(-1, (-1, 2)))
        sums = pairs[-1][..., 0] + pairs[-1][..., 1]
    rows = torch.arange(len(logits), device=logits.device)
    tokens = torch.zeros_like(rows)
    unsure = torch.zeros_like(rows, dtype=torch.bool)
    for halves, u in zip(reversed(pairs), torch.as_tensor(uniforms, device=logits.device).unbind(-1), strict=True):
        # in float64 after the sums, so that a share just below 1 keeps its distance from 1
        first, second = halves[rows, tokens].double().unbind(-1)
        share, rest = first / (first + second), second / (first + second)
        unsure |= (u - share).abs() < 2 * LOGIT_NOISE / temperature * share * rest
        tokens = 2 * tokens + (u >= share)
    return tokens.cpu().numpy(), unsure.cpu().numpy()


def end_tokens(chat: Chat) -> set[int]:
    """The tokens that end an answer: the template's, the tokenizer's, and those of an instruct model's generation config."""
    configured = chat.model.generation_config.eos_token_id
    configured = configured if isinstance(configured, list) else [configured]
    return {chat.format.end_id, chat.format.tokenizer.eos_token_id, *configured} - {None}
