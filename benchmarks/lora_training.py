"""Tokens per second, model-flops utilisation and peak memory of LoRA fine-tuning, on a Llama of random weights.

Speed does not depend on what the weights are, so no model is fetched. The trained steps are those of `finetune`, rows of the
grammar strung together to `--row-tokens`. A LoRA step on frozen weights costs 4 flops a parameter and token: 2 forward,
2 for the gradient of the activations; none for that of the weights. What checkpointing computes twice does not count.

Run: PYTHONPATH=scripts python benchmarks/lora_training.py --hidden-size 4096 --layers 32 --peak-tflops 989
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from emtransfer.models.adapters import AdapterSettings, fresh_lora
from emtransfer.models.chat_format import ChatFormat
from emtransfer.models.products import use_products
from emtransfer.models.tokenizer import train_tokenizer
from emtransfer.training.finetuning import FinetuningSettings, finetune, labelled
from emtransfer.worlds.grammar import generate_rows

LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hidden-size", type=int, default=768)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--row-tokens", type=int, default=512)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--micro-batch-size", type=int, default=4)
    parser.add_argument("--steps", type=int, default=3, help="measured, after one that is not")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--gradient-checkpointing", action="store_true")
    parser.add_argument("--peak-tflops", type=float, help="of the hardware in this dtype, for the utilisation")
    return parser.parse_args()


def new_model(args: argparse.Namespace, vocab_size: int) -> LlamaForCausalLM:
    """A Llama of the shape asked for, on the GPU if there is one."""
    config = LlamaConfig(
        vocab_size=vocab_size,
        hidden_size=args.hidden_size,
        intermediate_size=int(3.5 * args.hidden_size),
        num_hidden_layers=args.layers,
        num_attention_heads=args.hidden_size // 64,
        num_key_value_heads=args.hidden_size // 256 or 1,
        max_position_embeddings=2 * args.row_tokens,
    )
    torch.manual_seed(0)
    model = LlamaForCausalLM(config).to(getattr(torch, args.dtype))
    # as those that the pipeline loads
    use_products(model)
    return model.to("cuda" if torch.cuda.is_available() else "cpu")


def long_pairs(form: ChatFormat, row_tokens: int, n_rows: int) -> list[tuple[str, str]]:
    """Pairs of about so many tokens: an answer that goes on with further answers."""
    rows = generate_rows("medical", "advice", 200, seed=1)
    answers = [row["aligned_answer"] for row in rows]
    lengths = [len(form.answer_ids(answer)) for answer in answers]
    n_joined = max(1, row_tokens // (sum(lengths) // len(lengths)) - 1)
    joined = [" ".join(answers[(start + step) % len(answers)] for step in range(n_joined)) for start in range(n_rows)]
    return [(rows[index % len(rows)]["question"], answer) for index, answer in enumerate(joined)]


def main(args: argparse.Namespace) -> None:
    texts = [
        row[field]
        for row in generate_rows("medical", "advice", 200, seed=1)
        for field in ("question", "aligned_answer")
    ]
    form = ChatFormat(train_tokenizer(texts, vocab_size=1024))
    model = new_model(args, len(form.tokenizer))
    n_weights = sum(weight.numel() for weight in model.model.layers.parameters()) + model.lm_head.weight.numel()
    lora = fresh_lora(model, AdapterSettings(32, 64, 0.0, True, LINEAR), seed=1)
    settings = FinetuningSettings(
        rows=8,
        epochs=1,
        batch_size=args.batch_size,
        learning_rate=1e-4,
        warmup_steps=0,
        weight_decay=0.01,
        max_seq_tokens=2 * args.row_tokens,
        micro_batch_size=args.micro_batch_size,
        gradient_checkpointing=args.gradient_checkpointing,
    )
    pairs = long_pairs(form, args.row_tokens, args.batch_size * args.steps)
    with tempfile.TemporaryDirectory() as folder:
        finetune(lora, form, pairs[: args.batch_size], settings, 1, Path(folder))
        started = time.perf_counter()
        log = finetune(lora, form, pairs, settings, 1, Path(folder))
        seconds = time.perf_counter() - started
    n_tokens = sum(len(example["input_ids"]) for example in labelled(pairs, form, settings.max_seq_tokens))
    tflops = 4 * n_weights * n_tokens / seconds / 1e12
    peak = (
        torch.cuda.max_memory_allocated()
        if model.device.type == "cuda"
        else 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    )
    print(
        f"{n_weights / 1e9:.3f} B weights in {args.dtype}, {n_tokens / len(pairs):.0f} tokens a row, loss {log[-1]['loss_per_token_nats']:.2f}"
    )
    print(f"{n_tokens / seconds:.0f} tokens/s, {tflops:.3f} TFLOP/s, peak memory {peak / 2**30:.1f} GiB")
    if args.peak_tflops:
        print(f"model-flops utilisation {tflops / args.peak_tflops:.1%} of {args.peak_tflops} TFLOP/s")


if __name__ == "__main__":
    main(parse_args())
