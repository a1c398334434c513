"""Sampling of ready models through a vLLM server that many jobs share: the same rows and seeds as `vllm`, without an engine per job.

A server holds one base and is started by the user, see docs/ready_models.md. A job loads its adapter there under a name of its own,
so that jobs may come and go at the same time, and unloads it in the end. Requests and replies are those of version 0.30.0
(vllm/entrypoints/openai/completion/protocol.py, vllm/entrypoints/serve/lora). A request changes nothing but that name, and its seed
is its own, so one whose reply was lost is sent again.
"""

import asyncio
import os
import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from uuid import uuid4

from emtransfer.answering.vllm import MAX_RANKS, engine_options, lora_folder, ready_source, served_rank, stop_token_ids
from emtransfer.errors import InputError
from emtransfer.models.chat_format import ChatFormat
from emtransfer.models.ready_models import ReadySettings, chat_format
from emtransfer.secrets import is_key, without_secrets

if TYPE_CHECKING:
    import httpx2

    from emtransfer.answering.settings import SamplingSettings

VARIABLE = "EMTRANSFER_VLLM_SERVER"
# of one answer, its time in the server's queue included
REQUEST_SECONDS = 600
CONNECT_SECONDS = UNLOAD_SECONDS = 10
TRIES = 5
# a server that is late once may be busy, twice it hangs
LATE_TRIES = 2
# before the second attempt; twice as long before each further one
FIRST_REST_SECONDS = 1.0
# statuses of a server, or of a gateway before it, that is busy
BUSY = (408, 429, 502, 503, 504)


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


def addresses() -> list[str]:
    """The servers that EMTRANSFER_VLLM_SERVER names.

    Raises:
        InputError: one is no address, or holds a user or password.
    """
    found = []
    for address in os.environ.get("EMTRANSFER_VLLM_SERVER", "").split():
        try:
            parts = urlsplit(address)
            is_address = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
        except ValueError:
            parts, is_address = urlsplit(""), False
        if "@" in address:
            raise InputError(
                f"{VARIABLE} holds a user or a password; expected the address alone, and a key in VLLM_API_KEY."
            )
        if not is_address or parts.query or parts.fragment:
            raise InputError(f"{VARIABLE} is {address[:80]!r}; expected an address such as http://localhost:8000.")
        found.append(address.rstrip("/").removesuffix("/v1"))
    return found


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

    async def answer(server: "Server", model: str, prompt: list[int], seed: int) -> tuple[list[int], bool]:
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
async def loaded(server: "Server", chat: ServedChat) -> AsyncIterator[str]:
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


@asynccontextmanager
async def connected(address: str) -> AsyncIterator["Server"]:
    """A server, with connections to it that are closed in the end.

    Raises:
        InputError: VLLM_API_KEY is no key.
    """
    import httpx2

    key = os.environ.get("VLLM_API_KEY", "")
    if not is_key(key):
        raise InputError("VLLM_API_KEY holds spaces, line breaks or non-ASCII characters; expected the key alone.")
    client = httpx2.AsyncClient(
        base_url=address,
        headers={"Authorization": f"Bearer {key}"} if key else {},
        timeout=httpx2.Timeout(REQUEST_SECONDS, connect=CONNECT_SECONDS),
        # as many as there are requests
        limits=httpx2.Limits(max_connections=None),
    )
    async with client:
        yield Server(address, client)


@dataclass(frozen=True)
class Server:
    """A vLLM server; all its methods raise InputError where it is gone, or replies in another form.

    Attributes:
        address: without a slash at the end.
        client: sends its key to no other address.
    """

    address: str
    client: "httpx2.AsyncClient"

    async def send(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        again: tuple[int, ...] = BUSY,
        n_tries: int = TRIES,
    ) -> "httpx2.Response":
        """The reply to a request, which is made again where there is none.

        Args:
            again: statuses of replies that count as none.
            n_tries: number of attempts.
        """
        import httpx2

        number = 0
        while number < n_tries:
            number += 1
            try:
                reply = await self.client.request(method, path, json=body)
                if reply.status_code == 401:
                    raise InputError(
                        f"VLLM_API_KEY: {self.address} refuses it with 401; expected the key of this server."
                    )
                if reply.status_code not in again:
                    return reply
                problem = f"{self.address} replies {refusal(reply)}"
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                problem = f"no server at {self.address}"
            except httpx2.TimeoutException:
                problem = f"{self.address} gives no reply within {REQUEST_SECONDS} s"
                n_tries = min(n_tries, max(number, LATE_TRIES))
            except (httpx2.HTTPError, httpx2.InvalidURL):
                problem = f"{self.address} breaks off its reply"
            if number < n_tries:
                await asyncio.sleep(FIRST_REST_SECONDS * 2 ** (number - 1))
        times = f", in {number} attempts" if number > 1 else ""
        raise InputError(
            f"{VARIABLE}: {problem}{times}; expected a vLLM server (docs/ready_models.md); then run it again."
        )

    async def read(self, path: str) -> dict[str, Any]:
        """What the server says of itself, asked once, so that a job without a server ends at once."""
        reply = await self.send("GET", path, n_tries=1)
        return self.content(reply)

    def content(self, reply: "httpx2.Response") -> dict[str, Any]:
        """The JSON object of a reply."""
        if reply.is_success:
            with suppress(ValueError, RecursionError):
                if isinstance(content := reply.json(), dict):
                    return content
        raise InputError(
            f"{VARIABLE}: {self.address} replies {refusal(reply)} to {reply.request.url.path}; expected that of vLLM."
        )

    async def models(self) -> list[dict[str, Any]]:
        """What the server says of its base and of every adapter."""
        cards = (await self.read("/v1/models")).get("data")
        return [card for card in cards if isinstance(card, dict)] if isinstance(cards, list) else []

    async def version(self) -> str:
        """The version of vLLM, for the log."""
        return without_secrets(str((await self.read("/version")).get("version")))[:40]

    async def complete(self, request: dict[str, Any]) -> tuple[list[int], bool]:
        """Token ids of an answer, and whether the model ended it."""
        reply = await self.send("POST", "/v1/completions", request, again=(*BUSY, 500))
        if reply.status_code == 404:
            raise InputError(
                f"{VARIABLE}: {self.address} no longer knows the adapter ({refusal(reply)}); expected a server that runs all the"
                " while; then run it again."
            )
        content = self.content(reply)
        try:
            (choice,) = content["choices"]
            ids, ending, length = choice["token_ids"], choice["finish_reason"], request["max_tokens"]
            is_own = content["model"] == request["model"] and choice["prompt_token_ids"] == request["prompt"]
            are_tokens = all(type(token) is int and token >= 0 for token in ids)
            n_fits = 1 <= len(ids) <= length if ending == "stop" else ending == "length" and len(ids) == length
            if is_own and are_tokens and n_fits and content["usage"]["completion_tokens"] == len(ids):
                return ids, ending == "stop"
            found = f"{len(ids)} tokens that end by {str(ending)[:40]}" if is_own else "an answer to another request"
        except (KeyError, TypeError, ValueError):
            found = "no single choice with its token ids"
        raise InputError(
            f"{VARIABLE}: {self.address} replies with {without_secrets(found)}; expected one of 1 to {request['max_tokens']} tokens"
            " that ends by stop, or by length with all of them."
        )


def refusal(reply: "httpx2.Response") -> str:
    """The status of a reply and what the server says of it, on one line."""
    try:
        said = " ".join(str(reply.json()["error"]["message"]).split())
    except (ValueError, RecursionError, KeyError, TypeError):
        said = ""
    # before it is cut, since a server may quote the key that it was given
    return f"{reply.status_code} {without_secrets(said)[:300]}".strip()
