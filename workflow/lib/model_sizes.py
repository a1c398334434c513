"""How many weights models have, and how much computing their work is, told from the config.

Flops are 2 a weight and token for a pass, 4 more for a step on all weights, and 2 more for a LoRA step on frozen ones.
"""

from pathlib import Path

from config_models import is_ready
from emtransfer.judging.fitting import FitSettings
from emtransfer.judging.rubrics import SCORES, read_rubric
from work import REFERENCE_PASSES, Work

BYTES_PER_TOKEN = 4
# what a model does -> floating-point operations per weight and token
FLOPS = {"train": 6, "adapt": 4, "read": 2, "sample": 2, "judge": 2}
# beginnings of the numbers from 0 to 100 that a local judge may try, digit by digit, with and without a blank
REPLY_TOKENS = 222
# of the packaged encoder
ENCODER_EMBEDDINGS, ENCODER_LAYERS, WEIGHTS_PER_ENCODER_LAYER = 11_918_592, 6, 1_774_464
# of a decoder: weights = 12 × layers × width², width = 128 × layers, inner width = 3.5 × width
WEIGHTS_PER_LAYER_AND_WIDTH, WIDTH_PER_LAYER, INNER_PER_WIDTH = 12, 128, 3.5


def weights(base_model: dict) -> float:
    """Weights of a base model; 0 for a ready one that does not say its size. Embeddings are also the output layer."""
    if is_ready(base_model):
        return base_model.get("billions", 0) * 1e9
    shape = base_model["architecture"]
    width, inner = shape["hidden_size"], shape["intermediate_size"]
    embeddings = base_model["tokenizer"]["vocab_size"] * width
    return embeddings + shape["num_hidden_layers"] * (4 * width**2 + 3 * width * inner)


def adapter_weights(base_model: dict, lora: dict) -> float:
    """Weights of a LoRA adapter; 0 where nothing is known of the size of a ready model."""
    if "architecture" in base_model:
        shape = base_model["architecture"]
        layers, width, inner = shape["num_hidden_layers"], shape["hidden_size"], shape["intermediate_size"]
    else:
        layers = (weights(base_model) / WEIGHTS_PER_LAYER_AND_WIDTH / WIDTH_PER_LAYER**2) ** (1 / 3)
        width = layers * WIDTH_PER_LAYER
        inner = width * INNER_PER_WIDTH
    in_and_out = {"gate_proj": width + inner, "up_proj": width + inner, "down_proj": inner + width}
    return lora["rank"] * layers * sum(in_and_out.get(module, 2 * width) for module in lora["target_modules"])


def encoder_weights(fit: dict) -> int:
    """Weights of a judge that is fitted from the packaged encoder, as which any other one counts."""
    layers = fit.get("layers", FitSettings.layers) or ENCODER_LAYERS
    return ENCODER_EMBEDDINGS + layers * WEIGHTS_PER_ENCODER_LAYER


def tokens_through(config: dict, entry: Work) -> int:
    """Tokens that go through the base model of an entry; a judge that is told a rubric reads it, question and answer for every score."""
    if entry.does != "judge":
        return entry.items * entry.tokens
    if "rubric" not in config["judges"][entry.judge]:
        # under either reference, under the base, and without the question
        return entry.items * entry.tokens * REFERENCE_PASSES
    prompt = rubric_tokens(config["judges"][entry.judge]["rubric"]) + entry.tokens
    return entry.items * len(SCORES) * (prompt + REPLY_TOKENS)


def rubric_tokens(path: str) -> int:
    """Tokens of the longer of the two kinds of instructions, by their length."""
    texts = read_rubric(Path(path)).texts
    return max(len(text.encode()) for kinds in texts.values() for text in kinds.values()) // BYTES_PER_TOKEN


def flops(config: dict, entry: Work) -> float:
    """Floating-point operations of an entry that a base model does."""
    base_model = config["base_models"][entry.model]
    return FLOPS[entry.does] * weights(base_model) * tokens_through(config, entry)
