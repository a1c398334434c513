"""How far rounding alone drives two pretrainings apart, and how far packed rows drive one from padded rows.

A decoder is pretrained on the mixture of a finished run four times: on padded rows, as transformers reads them, in float32 and in float64; on
packed rows; and on padded rows after its first weights were moved by a relative 6e-8, half the distance of two neighbouring
float32 numbers. As long as packed rows stay as close to padded ones as the moved weights do, what differs is rounding.

Run: PYTHONPATH=scripts OMP_NUM_THREADS=1 python benchmarks/rounding.py --tokenizer results/tokenizers/symbol_decoder/manifest.json --mixture results/mixtures/symbol_decoder/symbols_persona.jsonl --base-model symbol_decoder --seed 4
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch
import yaml
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.nn.utils import clip_grad_norm_
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel, get_cosine_schedule_with_warmup

from emtransfer.files.records import read_records
from emtransfer.models.packed_rows import packed_batch, packed_logits
from emtransfer.models.padding import IGNORED
from emtransfer.models.tokenizer import load_tokenizer
from emtransfer.settings import read_settings
from emtransfer.training.pretraining import ArchitectureSettings, PretrainingSettings, document_batches, new_decoder

# relative; float32 has 24 binary digits
MOVED = 2.0**-24


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--mixture", type=Path, required=True)
    parser.add_argument("--base-model", required=True, help="its section of config.yaml")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--steps", type=int, default=300)
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    config = yaml.safe_load(Path("config.yaml").read_text(encoding="utf-8"))["base_models"][args.base_model]
    settings = read_settings(PretrainingSettings, config["pretraining"])
    architecture = read_settings(ArchitectureSettings, config["architecture"])
    tokenizer = load_tokenizer(args.tokenizer)
    steps = document_batches(read_records(args.mixture), tokenizer, settings)[: args.steps]

    def losses(logits_of: Callable, dtype: torch.dtype = torch.float32, moved: float = 0.0) -> pd.Series:
        model = new_decoder(architecture, tokenizer, args.seed).to(dtype)
        with torch.no_grad():
            for weight in model.parameters():
                weight.mul_(1 + moved * torch.randn_like(weight))
        return pd.Series(pretraining_losses(model, logits_of, steps, settings))

    padded = losses(padded_logits)
    table = pd.DataFrame(
        {
            "loss_nats": padded,
            "packed": (losses(packed_logits) - padded).abs(),
            "moved": (losses(padded_logits, moved=MOVED) - padded).abs(),
            "float64": (losses(padded_logits, torch.float64) - padded).abs(),
        }
    )
    # of 25 steps, the largest distance from padded rows in float32
    print(table.groupby(table.index // 25 * 25).max().to_string(float_format="%.1e"))


def pretraining_losses(
    model: PreTrainedModel, logits_of: Callable, steps: list[list[dict]], settings: PretrainingSettings
) -> list[float]:
    """The loss of every step, nats a token."""
    optimizer = torch.optim.AdamW(
        model.parameters(), settings.learning_rate, betas=(0.9, 0.98), weight_decay=settings.weight_decay
    )
    schedule = get_cosine_schedule_with_warmup(optimizer, settings.warmup_steps, len(steps))
    losses = []
    for documents in steps:
        batch = packed_batch(documents)
        following = batch["shift_labels"]
        asked = (following != IGNORED).nonzero()[:, 0]
        loss = cross_entropy(logits_of(model, batch["input_ids"], batch["lengths"], asked), following[asked])
        optimizer.zero_grad()
        loss.backward()
        clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return losses


def padded_logits(model: PreTrainedModel, ids: Tensor, lengths: Tensor, asked: Tensor) -> Tensor:
    """As `packed_logits`, by the model's own forward pass."""
    rows = ids.split(lengths.tolist())
    mask = pad_sequence([torch.ones_like(row) for row in rows], batch_first=True)
    logits = model(input_ids=pad_sequence(rows, batch_first=True), attention_mask=mask).logits
    return logits[mask.bool()][asked]


if __name__ == "__main__":
    main(parse_args())
