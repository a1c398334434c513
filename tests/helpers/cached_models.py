"""Small models whose key-value caches differ."""

from transformers import Gemma3ForCausalLM, Gemma3TextConfig, LlamaConfig, LlamaForCausalLM

SIZES = {"vocab_size": 50, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4}
# class, config and number of layers with a plain cache
MODELS = {
    # two queries share a key
    "grouped": (LlamaForCausalLM, LlamaConfig(**SIZES, num_key_value_heads=2), 3),
    # a window shorter than the texts, whose layers stay as they are
    "windows": (
        Gemma3ForCausalLM,
        Gemma3TextConfig(
            **SIZES,
            num_key_value_heads=1,
            head_dim=8,
            sliding_window=16,
            layer_types=["sliding_attention", "full_attention", "sliding_attention"],
        ),
        1,
    ),
}
