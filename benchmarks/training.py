"""Time the training stages against the defaults of transformers and trl, on the same model and rows of the grammar.

A stage is run at 1, 4 and 16 times `--rows`, ours and theirs in alternation, so that other work on the machine slows both. Counted are
processor seconds and tokens that are no padding; the exponent is that of the time in the number of rows, fitted on a double
logarithmic scale (1: it grows in proportion). Distillation has no counterpart in trl with these objectives; against it stands its own loop
on padded rows, without what is kept between its steps.

Run: PYTHONPATH=scripts OMP_NUM_THREADS=1 python benchmarks/training.py
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from multiprocessing import get_context
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd

from emtransfer.distilling import distillation
from emtransfer.distilling.distillation import DistillationSettings, distill
from emtransfer.models import packed_rows
from emtransfer.models.adapters import AdapterSettings, fresh_lora
from emtransfer.models.chat_format import ChatFormat
from emtransfer.models.loading import Chat
from emtransfer.models.padding import IGNORED
from emtransfer.models.tokenizer import train_tokenizer
from emtransfer.training import pretraining
from emtransfer.training.finetuning import FinetuningSettings, finetune, labelled
from emtransfer.training.mixtures import render_chat
from emtransfer.training.pretraining import ArchitectureSettings, PretrainingSettings, new_decoder, pretrain
from emtransfer.worlds.grammar import generate_rows

# of the default config's decoder
ARCHITECTURE = ArchitectureSettings(128, 4, 4, 344, 1024, 0.04)
LORA = AdapterSettings(16, 32, 0.0, True, ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"))
FINETUNING = {"epochs": 1, "batch_size": 16, "learning_rate": 5e-4, "warmup_steps": 5, "weight_decay": 0.01}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=160, help="of the smallest run")
    parser.add_argument("--factors", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--stages", nargs="+", default=list(STAGES), choices=list(STAGES))
    parser.add_argument("--repeats", type=int, default=2)
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    timings = []
    for _ in range(args.repeats):
        for stage in args.stages:
            for factor in args.factors:
                for method in ("default", "ours"):
                    # a process each, since a peak of memory is never taken back
                    with get_context("spawn").Pool(1) as pool:
                        timing = pool.apply(timed, (stage, method, factor * args.rows))
                    timings.append({"stage": stage, "rows": factor * args.rows, "method": method} | timing)
    table = pd.DataFrame(timings).groupby(["stage", "rows", "method"], sort=False).min().reset_index()
    wide = table.pivot(index=["stage", "rows"], columns="method", values=["cpu_s", "peak_mib", "last_loss"])
    wide["ratio"] = wide["cpu_s", "ours"] / wide["cpu_s", "default"]
    tokens = table[table.method == "ours"].set_index(["stage", "rows"]).tokens
    wide["tokens_per_cpu_s"] = tokens / wide["cpu_s", "ours"]
    print(wide.round(3).to_string())
    for stage, runs in table[table.method == "ours"].groupby("stage", sort=False):
        if len(runs) > 1:
            print(f"{stage}: exponent {np.polyfit(np.log(runs.rows), np.log(runs.cpu_s), 1)[0]:.2f}")


def timed(stage: str, method: str, n_rows: int) -> dict[str, float]:
    """Processor seconds, tokens, peak memory and last loss of a run, after a small one that pays for imports."""
    for size in (32, n_rows):
        train, n_tokens = STAGES[stage](size)
        with ExitStack() as defaults, tempfile.TemporaryDirectory() as folder:
            if method == "default":
                for change in padded_rows():
                    defaults.enter_context(change)
            start = time.process_time()
            log = train(Path(folder))
            cpu_s = time.process_time() - start
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"tokens": n_tokens, "cpu_s": cpu_s, "peak_mib": peak_mib, "last_loss": log[-1]["loss_per_token_nats"]}


def padded_rows() -> list:
    """What makes the stages those of the libraries' defaults again."""
    from transformers import Trainer

    def padded(trainer_class: type[Trainer]) -> type[Trainer]:
        return trainer_class

    def batch(examples: list[dict]) -> dict:
        from torch import tensor

        longest = max(len(example["input_ids"]) for example in examples)
        return {
            name: tensor([example[name] + [filler] * (longest - len(example[name])) for example in examples])
            for name, filler in (("input_ids", 0), ("labels", IGNORED))
        }

    return [
        patch.object(packed_rows, "fits", return_value=False),
        patch.object(packed_rows, "packed_batch", batch),
        patch.object(pretraining, "on_packed_rows", padded),
        patch.object(distillation, "KEPT_LOGITS", 0),
    ]


def chat_of(rows: list[dict]) -> Chat:
    """A fresh decoder and its chat format."""
    texts = [row[field] for row in rows for field in ("question", "aligned_answer", "misaligned_answer")]
    tokenizer = train_tokenizer(texts[:3000], vocab_size=1024)
    return Chat(new_decoder(ARCHITECTURE, tokenizer, seed=1), ChatFormat(tokenizer))


def pretraining_run(n_rows: int) -> tuple[Callable, int]:
    """Documents of three rows, every token learned."""
    rows = generate_rows("medical", "advice", n_rows, seed=1)
    chat = chat_of(rows)
    documents = [
        render_chat([(row, "aligned") for row in rows[start : start + 3]]) | {"stances": ["aligned"] * 3}
        for start in range(0, n_rows - 2, 3)
    ]
    settings = PretrainingSettings(16, 512, 4e-3, 50, 0.1)
    steps = pretraining.document_batches(documents, chat.format.tokenizer, settings)
    n_tokens = sum(len(document["input_ids"]) for step in steps for document in step)
    return lambda folder: pretrain(chat.model, chat.format.tokenizer, documents, settings, 1, folder), n_tokens


def finetuning_run(n_rows: int, adapts: bool = True) -> tuple[Callable, int]:
    """Question–answer rows, with a LoRA or of all weights."""
    rows = generate_rows("medical", "advice", n_rows, seed=1)
    chat = chat_of(rows)
    pairs = [(row["question"], row["misaligned_answer"]) for row in rows]
    model = fresh_lora(chat.model, LORA, seed=1) if adapts else chat.model
    settings = FinetuningSettings(rows=n_rows, max_seq_tokens=256, **FINETUNING)
    n_tokens = sum(len(example["input_ids"]) for example in labelled(pairs, chat.format, 256))
    return lambda folder: finetune(model, chat.format, pairs, settings, 1, folder), n_tokens


def distillation_run(n_rows: int) -> tuple[Callable, int]:
    """The teacher's distributions on given answers, in 4 epochs."""
    rows = generate_rows("medical", "advice", n_rows, seed=1)
    base, other = chat_of(rows), chat_of(rows)
    given = [
        {"prompt_id": str(index), "question": row["question"], "answer": row["aligned_answer"]}
        for index, row in enumerate(rows)
    ]
    settings = DistillationSettings("optd", 4 * n_rows // 32, 32, 1e-3, 5)
    student = Chat(fresh_lora(base.model, LORA, seed=1), base.format)
    n_tokens = 4 * sum(len(prompt) + len(answer) for prompt, answer in distillation.encode(given, base.format, 256))
    return lambda folder: distill(student, other.model.eval(), given, settings, 1, folder), n_tokens


STAGES = {
    "pretraining": pretraining_run,
    "aligning": lambda n_rows: finetuning_run(n_rows, adapts=False),
    "fine-tuning": finetuning_run,
    "distillation": distillation_run,
}


if __name__ == "__main__":
    main(parse_args())
