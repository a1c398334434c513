"""A tiny model as a GGUF file in an installed package: quantized as llama.cpp does it, so that its weights are known numbers."""

import csv
import json
from pathlib import Path

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Kind
from gguf.quants import dequantize, quantize

from emtransfer.files.records import file_sha256
from emtransfer.models.ready_models import PackagedFile
from helpers.chat_families import FAMILIES, family_tokenizer

NAME, VERSION, FILE = "tiny-weights", "1.0", "tiny_weights/tiny.Q4_1.gguf"
# of llama.cpp -> of transformers
NAMES = {
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    **{f"attn_{part}": f"self_attn.{part}_proj" for part in "qkv"},
    "attn_output": "self_attn.o_proj",
    **{f"ffn_{part}": f"mlp.{part}_proj" for part in ("gate", "up", "down")},
}
HEADS, KEY_HEADS, WIDTH, INNER = 4, 2, 32, 64


def tiny_weights() -> dict[str, np.ndarray]:
    """Weights of a Llama decoder of one layer whose output layer is its embeddings: name in llama.cpp -> float32."""
    rng, n_tokens, keys = np.random.default_rng(0), len(family_tokenizer("llama")), WIDTH * KEY_HEADS // HEADS
    shapes = {"token_embd": (n_tokens, WIDTH), "output_norm": (WIDTH,)}
    layer = {"attn_norm": (WIDTH,), "attn_q": (WIDTH, WIDTH), "attn_k": (keys, WIDTH), "attn_v": (keys, WIDTH)}
    layer |= {"attn_output": (WIDTH, WIDTH), "ffn_norm": (WIDTH,), "ffn_gate": (INNER, WIDTH), "ffn_up": (INNER, WIDTH)}
    shapes |= {f"blk.0.{name}": shape for name, shape in (layer | {"ffn_down": (WIDTH, INNER)}).items()}
    return {f"{name}.weight": rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def known_weights() -> dict[str, torch.Tensor]:
    """What the quantized weights stand for, under the names of transformers."""
    top = {"token_embd": "embed_tokens", "output_norm": "norm"}
    found = {}
    for name, weight in tiny_weights().items():
        part = name.removeprefix("blk.0.").removesuffix(".weight")
        place = top[part] if part in top else f"layers.0.{NAMES[part]}"
        if weight.ndim == 2:
            weight = dequantize(quantize(weight, Kind.Q4_1), Kind.Q4_1)
        found[f"model.{place}.weight"] = torch.from_numpy(weight.copy())
    return found


def interleaved(weight: np.ndarray, n_heads: int) -> np.ndarray:
    """Rows of queries or keys in the order of llama.cpp, which turns neighbours where transformers turns halves."""
    halves = weight.reshape(n_heads, 2, weight.shape[0] // n_heads // 2, weight.shape[1])
    return halves.swapaxes(1, 2).reshape(weight.shape)


def write_gguf(path: Path, without: str | None = None, with_template: bool = True) -> None:
    """Write the tiny model with the tokenizer and template of the Llama family, all matrices in Q4_1.

    Args:
        without: name of a weight that is left out.
    """
    family, tokenizer = FAMILIES["llama"], family_tokenizer("llama")
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(2048)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KEY_HEADS)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(10000.0)
    weights = tiny_weights()
    writer.add_vocab_size(len(weights["token_embd.weight"]))
    tokens = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    kinds = [gguf.TokenType.CONTROL if token in family.tokens else gguf.TokenType.NORMAL for token in tokens]
    merges = tokenizer.backend_tokenizer.to_str()
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges([" ".join(pair) for pair in merge_pairs(merges)])
    writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_pad_token_id(tokenizer.pad_token_id)
    if with_template:
        writer.add_chat_template(family.template)
    for name, weight in weights.items():
        if name == without:
            continue
        if name in ("blk.0.attn_q.weight", "blk.0.attn_k.weight"):
            weight = interleaved(weight, HEADS if "attn_q" in name else KEY_HEADS)
        if weight.ndim == 2:
            writer.add_tensor(name, quantize(weight, Kind.Q4_1), raw_dtype=Kind.Q4_1)
        else:
            writer.add_tensor(name, weight)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def merge_pairs(tokenizer: str) -> list[list[str]]:
    """The merges in a tokenizer's JSON."""
    return json.loads(tokenizer)["model"]["merges"]


def install(site: Path, **changes) -> PackagedFile:
    """Install a package with the tiny model into a folder for packages; returns how a config names its file.

    Args:
        changes: of `write_gguf`.
    """
    file, described = site / FILE, site / f"tiny_weights-{VERSION}.dist-info"
    file.parent.mkdir(parents=True)
    described.mkdir()
    write_gguf(file, **changes)
    (described / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {NAME}\nVersion: {VERSION}\n", encoding="utf-8")
    with (described / "RECORD").open("w", encoding="utf-8", newline="") as record:
        csv.writer(record).writerows([[FILE, "", ""], [f"{described.name}/METADATA", "", ""]])
    return PackagedFile(NAME, VERSION, FILE, file_sha256(file))
