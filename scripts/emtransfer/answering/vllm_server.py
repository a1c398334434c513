"""Sampling of ready models through a vLLM server that many jobs share: the same rows and seeds as `vllm`, without an engine per job.

A server holds one base and is started by the user, see docs/ready_models.md. A job loads its adapter there under a name of its own,
so that jobs may come and go at the same time, and unloads it in the end.
"""

import asyncio
import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from emtransfer.answering.vllm import MAX_RANKS, engine_options, lora_folder, ready_source, served_rank, stop_token_ids
from emtransfer.answering.vllm_client import VARIABLE, Server, addresses, connected, refusal
from emtransfer.errors import InputError
from emtransfer.models.chat_format import ChatFormat
from emtransfer.models.ready_models import ReadySettings, chat_format
from emtransfer.secrets import without_secrets

if TYPE_CHECKING:
    from emtransfer.answering.settings import SamplingSettings

UNLOAD_SECONDS = 10


@dataclass(frozen=True)
class ServedChat:
    """A model that a vLLM server holds, and its chat format.

    Attributes:
        address: of the server, such as http://localhost:8000.
        base: the server's name of the base.
        context_tokens: of the longest prompt and its answer.
        format: its tokenizer and chat template.
        adapter: folder of a LoRA; None for the base itself.
        command: how a server that fits is started, for messages.
    """

    address: str
    base: str
    context_tokens: int
    format: ChatFormat
    adapter: Path | None
    command: str

    def answer_ids(
        self, prompts: list[list[int]], row_seeds: list[int], settings: "SamplingSettings"
    ) -> list[tuple[list[int], bool]]:
        """Continue prompts given as token ids, `settings.batch_size` of them at once; see `VllmChat.answer_ids`.

        Raises:
            InputError: a prompt leaves no room for `max_new_tokens` in the server's context, the server refuses the adapter or a
                request, is gone, or replies with what is no answer.
        """
        longest = max(map(len, prompts), default=0)
        if longest + settings.max_new_tokens > self.context_tokens:
            raise InputError(
                f"config: experiments: sampling.max_new_tokens is {settings.max_new_tokens}; expected at most"
                f" {self.context_tokens - longest}, since the longest prompt has {longest} tokens and {self.address} a context of"
                f" {self.context_tokens}."
            )
        return asyncio.run(answers(self, prompts, row_seeds, settings))


def load_vllm_chat(base_manifest: Path, adapter_manifest: Path | None) -> ServedChat:
    """Find the server of a ready model among those that EMTRANSFER_VLLM_SERVER names, and check that it can serve an adapter.

    Args:
        base_manifest: manifest.json of a base folder that describes a ready model.
        adapter_manifest: manifest.json of a PEFT adapter's folder.

    Raises:
        InputError: a file is missing or has changed, the base is not a ready model, vLLM cannot serve the adapter, or no server
            holds the base.
    """
    settings, source = ready_source(base_manifest)
    adapter = None if adapter_manifest is None else lora_folder(adapter_manifest)
    rank = None if adapter is None else served_rank(adapter)
    command = shlex.join(
        ["VLLM_ALLOW_RUNTIME_LORA_UPDATING=True", *serve_command(settings, source, rank or MAX_RANKS[0])]
    )
    address, card, version = asyncio.run(server_of(source.resolve(), command))
    print(f"vLLM {version} at {address} samples.")
    return ServedChat(address, card["id"], card["max_model_len"], chat_format(settings, source), adapter, command)


def serve_command(settings: ReadySettings, source: Path, rank: int) -> list[str]:
    """The command that serves a ready model with adapters of up to a rank."""
    options = [
        word for key, value in engine_options(settings).items() for word in (f"--{key.replace('_', '-')}", value)
    ]
    served = next((served for served in MAX_RANKS if served >= rank), MAX_RANKS[-1])
    return ["vllm", "serve", str(source.resolve()), *options, "--enable-lora", "--max-lora-rank", str(served)]


async def server_of(source: Path, command: str) -> tuple[str, dict[str, Any], str]:
    """The address of the server that holds the model in a folder, what it says of the model, and its version.

    Raises:
        InputError: there is none.
    """
    held = []
    for address in addresses():
        async with connected(address) as server:
            for card in await server.models():
                # an adapter has a parent
                if card.get("parent") is None and isinstance(card.get("max_model_len"), int):
                    if Path(str(card.get("root"))).resolve() == source:
                        return address, card, await server.version()
                    held.append(f"{address} serves {without_secrets(str(card.get('root')))[:200]}")
    raise InputError(
        f"{VARIABLE}: {', '.join(held) or 'no server serves a model'}; expected one started with: {command}."
    )


async def answers(
    chat: ServedChat, prompts: list[list[int]], row_seeds: list[int], settings: "SamplingSettings"
) -> list[tuple[list[int], bool]]:
    """See `ServedChat.answer_ids`; one request that fails for good ends the others."""
    under_way = asyncio.Semaphore(settings.batch_size)

    async def answer(server: Server, model: str, prompt: list[int], seed: int) -> tuple[list[int], bool]:
        async with under_way:
            request = completion_request(model, prompt, seed, stop_token_ids(chat.format), settings)
            return await server.complete(request)

    async with connected(chat.address) as server, loaded(server, chat) as model:
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(answer(server, model, prompt, seed))
                    for prompt, seed in zip(prompts, row_seeds, strict=True)
                ]
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
    return [task.result() for task in tasks]


def completion_request(
    model: str, prompt: list[int], seed: int, ends: list[int], settings: "SamplingSettings"
) -> dict[str, Any]:
    """The body of a request for one answer, which leaves nothing to the defaults of the server or of the model."""
    plain = {"top_p": 1.0, "top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0, "watermarking": False}
    return plain | {
        "model": model,
        "prompt": prompt,
        "seed": seed,
        "temperature": settings.temperature,
        "max_tokens": settings.max_new_tokens,
        "stop_token_ids": ends,
        "return_token_ids": True,
    }


@asynccontextmanager
async def loaded(server: Server, chat: ServedChat) -> AsyncIterator[str]:
    """The server's name of a model, whose adapter it holds meanwhile.

    Raises:
        InputError: the server refuses the adapter.
    """
    if chat.adapter is None:
        yield chat.base
        return
    # no other job unloads it
    name = f"emtransfer-{uuid4().hex}"
    try:
        reply = await server.send("POST", "/v1/load_lora_adapter", {"lora_name": name, "lora_path": str(chat.adapter)})
        # a name that is already there is that of an attempt whose reply was lost
        if not reply.is_success and name not in [card.get("id") for card in await server.models()]:
            raise InputError(
                f"{VARIABLE}: {server.address} refuses adapter {chat.adapter} ({refusal(reply)}); expected a server that sees this"
                f" folder and was started with: {chat.command}."
            )
        yield name
    finally:
        # a server that is gone has unloaded it; one that hangs is not waited for
        with suppress(InputError, TimeoutError):
            async with asyncio.timeout(UNLOAD_SECONDS):
                await server.send("POST", "/v1/unload_lora_adapter", {"lora_name": name}, n_tries=1)
