"""Load causal language models and turn questions into prompts; the one place that knows about model folders."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from emtransfer.artefacts import checked_folder

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True)
class Chat:
    """A causal language model with its tokenizer."""

    model: "PreTrainedModel"
    tokenizer: "PreTrainedTokenizerBase"


def load_tokenizer(manifest: str | Path) -> "PreTrainedTokenizerBase":
    """The tokenizer of a model's or a tokenizer's folder."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(checked_folder(manifest))


def load_chat(base_manifest: str | Path, adapter_manifest: str | Path | None = None, merge: bool = True) -> Chat:
    """Load a base model, and an adapter on top of it where one is given, in float32 and evaluation mode.

    Args:
        base_manifest: manifest.json of the base model's folder (it holds the tokenizer too).
        adapter_manifest: manifest.json of a PEFT adapter's folder, or None for the base itself.
        merge: fold the adapter into the base's weights (faster sampling); False leaves a PeftModel.

    Raises:
        InputError: a file of a folder is missing or differs from its recorded hash.
    """
    from transformers import AutoModelForCausalLM

    tokenizer, folder = load_tokenizer(base_manifest), Path(base_manifest).parent
    model = AutoModelForCausalLM.from_pretrained(folder, dtype="float32", use_safetensors=True)
    if adapter_manifest is not None:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, checked_folder(adapter_manifest))
        model = model.merge_and_unload() if merge else model
    return Chat(model.eval(), tokenizer)


def prompt_ids(tokenizer: "PreTrainedTokenizerBase", question: str) -> list[int]:
    """Token ids of one user turn with the header that asks the assistant to answer: int list [t]."""
    messages = [{"role": "user", "content": question}]
    return tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)


def answer_ids(tokenizer: "PreTrainedTokenizerBase", question: str, answer: str) -> list[int]:
    """Token ids of the answer as the chat template renders it after `prompt_ids`, end token included: int list [t]."""
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    whole = tokenizer.apply_chat_template(messages, return_dict=False)
    prompt = prompt_ids(tokenizer, question)
    assert whole[: len(prompt)] == prompt, "the chat template must render a prompt as a prefix of the conversation"
    return whole[len(prompt) :]
