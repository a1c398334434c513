"""Instructions that a provider's cache accepts: those of the length that its documentation names for each model."""

# tokens, on 2026-11-26. Source: platform.claude.com/docs/en/build-with-claude/prompt-caching, "Cache limitations", as
# quoted by anthropics/anthropic-sdk-python issue 1194, which measured 2,048 for Sonnet 4.6 where the page had 1,024
CACHE_MINIMUM = {
    "claude-sonnet-4-5": 1024,
    "claude-sonnet-4-6": 2048,
    "claude-haiku-4-5": 4096,
    "claude-opus-4-5": 4096,
    "claude-opus-4-6": 4096,
}
# for a model that the table lacks: the largest documented minimum
LARGEST_MINIMUM = 4096
# in English prose; the tokenizer itself is behind the API
BYTES_PER_TOKEN = 4


def cache_minimum(model: str) -> int:
    """Tokens that instructions must have for the provider's cache; a model may carry its date after its name."""
    return next((tokens for name, tokens in CACHE_MINIMUM.items() if model.startswith(name)), LARGEST_MINIMUM)


def is_cached(model: str, system: str) -> bool:
    """Whether instructions are, by their length in bytes, long enough to be marked for the cache."""
    return len(system.encode(errors="replace")) >= cache_minimum(model) * BYTES_PER_TOKEN
