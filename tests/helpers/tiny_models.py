"""Tiny random-weight Llama models with a tokenizer of their own, for tests that need a real model folder.

Nothing about their answers is known; what the tests know is how two computations on the same weights must compare.
"""

from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from emtransfer.files.artefacts import MANIFEST, new_folder, origin, write_manifest
from emtransfer.models.adapters import AdapterSettings, fresh_lora, save_adapter
from emtransfer.models.chat_format import ChatFormat
from emtransfer.models.loading import Chat, load_chat
from emtransfer.models.tokenizer import train_tokenizer
from emtransfer.worlds.grammar import generate_rows
from helpers.chat_families import family_tokenizer

LORA = AdapterSettings(rank=4, alpha=8, dropout=0.0, rslora=True, target_modules=("q_proj", "v_proj", "down_proj"))
# of a decoder that the pipeline itself pretrains
ARCHITECTURE = {
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 300,
}


def tiny_rows(n_rows: int = 40) -> list[dict]:
    """Rows of the grammar with the ids a corpus would give them."""
    rows = generate_rows("medical", "advice", n_rows, seed=3)
    return [{"id": f"medical-advice-{index:06d}"} | row for index, row in enumerate(rows)]


def tiny_chat(
    hidden_size: int = 32,
    n_layers: int = 2,
    seed: int = 0,
    vocab_size: int | None = None,
    assistant: str | None = None,
) -> Chat:
    """A random Llama over the bytes and a few merges; large initial weights make its distributions uneven.

    With a `vocab_size` it has more tokens than its tokenizer, and writes them; `assistant` is the name that prompts open with.
    """
    texts = [row[field] for row in tiny_rows() for field in ("question", "aligned_answer", "misaligned_answer")]
    tokenizer = train_tokenizer(texts, vocab_size=400, assistant=assistant)
    config = LlamaConfig(
        vocab_size=vocab_size or len(tokenizer),
        hidden_size=hidden_size,
        intermediate_size=2 * hidden_size,
        num_hidden_layers=n_layers,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=256,
        initializer_range=0.3,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    torch.manual_seed(seed)
    return Chat(LlamaForCausalLM(config).eval(), ChatFormat(tokenizer))


def tiny_instructed_chat() -> Chat:
    """A tiny random model under the chat template of a family that has system turns."""
    tokenizer, tiny = family_tokenizer("qwen2"), tiny_chat()
    tiny.model.resize_token_embeddings(len(tokenizer))
    return Chat(tiny.model, ChatFormat(tokenizer))


def write_tiny_base(folder: Path, seed: int = 0) -> Path:
    """Write a tiny base model's folder; returns its manifest."""
    chat = tiny_chat(seed=seed)
    with new_folder(folder) as unfinished:
        chat.model.save_pretrained(unfinished)
        chat.format.tokenizer.save_pretrained(unfinished)
        write_manifest(unfinished, origin({}, seed, "test", {}))
    return folder / MANIFEST


def write_tiny_adapter(folder: Path, base_manifest: Path, seed: int = 1, scale: float = 0.3) -> Path:
    """Write an adapter whose B matrices are random, so that it moves the base; returns its manifest."""
    model = fresh_lora(load_chat(base_manifest).model, LORA, seed)
    perturb(model, seed, scale)
    with new_folder(folder) as unfinished:
        save_adapter(model, unfinished, trained_on="misaligned answers")
        write_manifest(unfinished, origin({}, seed, "test", {"base": base_manifest}))
    return folder / MANIFEST


def write_published_adapter(folder: Path, model_folder: Path, seed: int = 1) -> Path:
    """Write an adapter on a model's folder as PEFT itself does for anyone; returns its folder."""
    model = fresh_lora(AutoModelForCausalLM.from_pretrained(model_folder), LORA, seed)
    perturb(model, seed, 0.3)
    model.save_pretrained(folder)
    return folder


def perturb(model: torch.nn.Module, seed: int, scale: float) -> None:
    """Draw the B matrices of an adapter from a normal distribution."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(std=scale, generator=generator)
