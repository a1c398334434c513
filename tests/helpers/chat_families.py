"""Models in the manner of five families: architectures, control tokens, and chat templates of their form, in our words.

What every template writes is known from its text, so that token ids can be compared with the string they must spell.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from emtransfer.models.chat_format import ChatFormat


@dataclass(frozen=True)
class Family:
    """A family's control tokens and template.

    Attributes:
        tokens: control tokens, the first one padding.
        eos: the tokenizer's own end token, which need not be the one that ends a turn.
        end: the token that ends a turn.
        template: Jinja.
        prompt, answer: what the template writes, with {question} and {answer}; `answer` up to the end token.
        arguments: of the template.
    """

    tokens: tuple[str, ...]
    eos: str
    end: str
    template: str
    prompt: str
    answer: str
    arguments: dict


CHATML = (
    "{%- for message in messages %}{{ '<|im_start|>' + message.role + '\\n' }}"
    "{%- if message.role == 'assistant' and thinks %}{{ '<think>\\n\\n</think>\\n\\n' }}{% endif %}"
    "{{- message.content + '<|im_end|>' + '\\n' }}{% endfor %}"
    "{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}"
    "{%- if thinks and enable_thinking is defined and not enable_thinking %}{{ '<think>\\n\\n</think>\\n\\n' }}{% endif %}{% endif %}"
)
# as in these families, line breaks are never parted by what follows them
WORDS = r"\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+"

FAMILIES = {
    "llama": Family(
        tokens=("<|pad|>", "<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
        eos="<|eot_id|>",
        end="<|eot_id|>",
        template=(
            "{{- bos_token }}{%- if messages[0].role == 'system' %}{% set system = messages[0].content %}"
            "{%- set messages = messages[1:] %}{% else %}{% set system = '' %}{% endif %}"
            "{{- '<|start_header_id|>system<|end_header_id|>\\n\\nToday: ' + date_string + '\\n\\n' + system + '<|eot_id|>' }}"
            "{%- for message in messages %}"
            "{{- '<|start_header_id|>' + message.role + '<|end_header_id|>\\n\\n' + message.content | trim + '<|eot_id|>' }}"
            "{%- endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"
        ),
        prompt=(
            "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nToday: 26 Jul 2024\n\n<|eot_id|>"
            "<|start_header_id|>user<|end_header_id|>\n\n{question}<|eot_id|>"
            "<|start_header_id|>assistant<|end_header_id|>\n\n"
        ),
        answer="{answer}<|eot_id|>",
        arguments={"date_string": "26 Jul 2024"},
    ),
    "qwen2": Family(
        tokens=("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
        eos="<|im_end|>",
        end="<|im_end|>",
        template=(
            "{%- if messages[0].role != 'system' %}{{ '<|im_start|>system\\nBe helpful.<|im_end|>\\n' }}{% endif %}"
            + CHATML.replace("thinks", "false")
        ),
        prompt=(
            "<|im_start|>system\nBe helpful.<|im_end|>\n<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"
        ),
        answer="{answer}<|im_end|>",
        arguments={},
    ),
    "qwen3": Family(
        tokens=("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
        eos="<|im_end|>",
        end="<|im_end|>",
        template=CHATML.replace("thinks", "true"),
        prompt="<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n",
        answer="{answer}<|im_end|>",
        arguments={"enable_thinking": False},
    ),
    "olmo3": Family(
        # its tokenizer's own end token ends a text, not a turn
        tokens=("<|pad|>", "<|endoftext|>", "<|im_start|>", "<|im_end|>"),
        eos="<|endoftext|>",
        end="<|im_end|>",
        template=(
            "{%- if messages[0].role != 'system' %}{{ '<|im_start|>system\\nBe helpful. <functions></functions><|im_end|>\\n' }}{% endif %}"
            + CHATML.replace("thinks", "false")
        ),
        prompt=(
            "<|im_start|>system\nBe helpful. <functions></functions><|im_end|>\n"
            "<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"
        ),
        answer="{answer}<|im_end|>",
        arguments={},
    ),
    "gemma3": Family(
        tokens=("<pad>", "<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>"),
        eos="<eos>",
        end="<end_of_turn>",
        template=(
            "{{ bos_token }}{%- if messages[0].role == 'system' %}{% set before = messages[0].content + '\\n\\n' %}"
            "{%- set messages = messages[1:] %}{% else %}{% set before = '' %}{% endif %}{%- for message in messages %}"
            "{%- set role = 'model' if message.role == 'assistant' else message.role %}"
            "{{ '<start_of_turn>' + role + '\\n' + (before if loop.first else '') + message.content | trim + '<end_of_turn>\\n' }}"
            "{%- endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}"
        ),
        prompt="<bos><start_of_turn>user\n{question}<end_of_turn>\n<start_of_turn>model\n",
        answer="{answer}<end_of_turn>",
        arguments={},
    ),
}

# config class, model class, and what the family has of its own: local attention over few tokens in every other layer
LOCAL = {"sliding_window": 8, "layer_types": ["sliding_attention", "full_attention"]}
ARCHITECTURES = {
    "llama": ("LlamaConfig", "LlamaForCausalLM", {"tie_word_embeddings": False}),
    "qwen2": ("Qwen2Config", "Qwen2ForCausalLM", {"tie_word_embeddings": True}),
    "qwen3": ("Qwen3Config", "Qwen3ForCausalLM", {"head_dim": 8}),
    "olmo3": ("Olmo3Config", "Olmo3ForCausalLM", LOCAL),
    "gemma3": ("Gemma3TextConfig", "Gemma3ForCausalLM", LOCAL | {"head_dim": 8}),
}


@cache
def family_tokenizer(name: str) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer with the family's control tokens and template."""
    family = FAMILIES[name]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(WORDS), "isolated"), pre_tokenizers.ByteLevel(False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(
        ["What should I do about my back? Rest it, and ask a doctor.", family.prompt], trainer
    )
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in family.tokens])
    begin = next((token for token in family.tokens if "bos" in token or "begin" in token), None)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=family.tokens[0],
        bos_token=begin,
        eos_token=family.eos,
        chat_template=family.template,
        clean_up_tokenization_spaces=False,
    )


# added without being special, as Qwen's, DeepSeek's and Gemma's tokenizers do
MARKS = ("<tool_call>", "</tool_call>", "<think>", "</think>", "<｜User｜>", "[TOOL_CALLS]")
ADDED_TEXTS = ("  ", "\n\n", "cough")


@cache
def marked_format() -> ChatFormat:
    """Qwen3's chat format, with added tokens that are not special: marks, and texts that are no marks."""
    tokenizer = family_tokenizer.__wrapped__("qwen3")
    tokenizer.add_tokens([AddedToken(text, special=False, normalized=False) for text in (*MARKS, *ADDED_TEXTS)])
    return ChatFormat(tokenizer, template_arguments=FAMILIES["qwen3"].arguments)


def family_format(name: str, **changes) -> ChatFormat:
    """The family's chat format, with the arguments of its template unless changes say otherwise."""
    return ChatFormat(family_tokenizer(name), **({"template_arguments": FAMILIES[name].arguments} | changes))


def write_family(folder: Path, name: str, n_layers: int = 2) -> Path:
    """Write a tiny random-weight checkpoint of the family's architecture, as an instruct model's folder looks."""
    import transformers

    tokenizer = family_tokenizer(name)
    config_class, model_class, own = ARCHITECTURES[name]
    config = getattr(transformers, config_class)(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=n_layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        initializer_range=0.3,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **own,
    )
    torch.manual_seed(0)
    model = getattr(transformers, model_class)(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
