"""A Llama whose next token depends on the last one alone, by a table that the test writes down.

The embedding is the identity and attention and MLP add nothing, so that the last hidden state is the last token, and the
output layer holds the logarithms of its row of the table. What follows any prompt is then known by hand.
"""

import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerBase

# stands for zero, which has no logarithm
NEVER = 1e-30


def bigram_model(tokenizer: PreTrainedTokenizerBase, table: dict[str, dict[str, float]], max_tokens: int = 4096):
    """The model.

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
