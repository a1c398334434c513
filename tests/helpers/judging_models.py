"""Models for the tests of judges that read probabilities: one that is known by hand, and random ones of several families."""

import torch
from transformers import (
    AutoModelForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Qwen3Config,
)

# stands for zero, which has no logarithm
NEVER = 1e-30


def bigram_model(
    tokenizer: PreTrainedTokenizerBase, table: dict[str, dict[str, float]], max_tokens: int = 4096
) -> PreTrainedModel:
    """A Llama whose next token depends on the last one alone, by a table that the test writes down.

    The embedding is the identity and attention and MLP add nothing, so that the last hidden state is the last token, and the
    output layer holds the logarithms of its row of the table. What follows any prompt is then known by hand.

    Args:
        table: token as its vocabulary writes it -> token -> probability of it after the first; `*` for every token that
            has no row of its own.
    """
    size = len(tokenizer)
    config = LlamaConfig(
        vocab_size=size,
        hidden_size=size,
        intermediate_size=4,
        num_hidden_layers=1,
        num_attention_heads=1,
        num_key_value_heads=1,
        head_dim=2,
        max_position_embeddings=max_tokens,
        rms_norm_eps=1e-12,
        tie_word_embeddings=False,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlamaForCausalLM(config).eval()
    rows = torch.full((size, size), NEVER)
    ids = tokenizer.get_vocab()
    for before in sorted(table, key="*".__ne__):
        places = slice(None) if before == "*" else ids[before]
        rows[places] = NEVER
        assert abs(sum(table[before].values()) - 1) < 1e-9, f"probabilities after {before} must add up to 1"
        for after, probability in table[before].items():
            rows[places, ids[after]] = max(probability, NEVER)
    with torch.no_grad():
        model.model.embed_tokens.weight.copy_(torch.eye(size))
        model.model.layers[0].self_attn.o_proj.weight.zero_()
        model.model.layers[0].mlp.down_proj.weight.zero_()
        # the norm makes the root of `size` of a one among zeros
        model.lm_head.weight.copy_(rows.log().T / size**0.5)
    return model


SMALL = dict(hidden_size=32, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1)
CONFIGS = {
    "llama": (LlamaConfig, {}),
    "qwen3": (Qwen3Config, {"head_dim": 16}),
    # a window much shorter than the prompt, in one of two layers
    "gemma3": (
        Gemma3TextConfig,
        {"head_dim": 16, "sliding_window": 6, "layer_types": ["sliding_attention", "full_attention"]},
    ),
}


def random_model(family: str, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    """A small model of a family; large initial weights make its distributions uneven."""
    config, more = CONFIGS[family]
    torch.manual_seed(0)
    size = len(tokenizer)
    model = AutoModelForCausalLM.from_config(config(vocab_size=size, initializer_range=0.3, **SMALL, **more))
    return model.eval()


def count_passes(model) -> list[int]:
    """A list that gets the number of rows of every forward pass."""
    rows: list[int] = []
    model.register_forward_pre_hook(lambda _, arguments, named: rows.append(len(named["input_ids"])), with_kwargs=True)
    return rows
