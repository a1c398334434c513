"""The client of a vLLM server: what is asked again where the server is busy or breaks off, and what counts as a reply.

Requests and replies are those of version 0.30.0 (vllm/entrypoints/openai/completion/protocol.py, vllm/entrypoints/serve/lora). A
request changes nothing but the name of its job's adapter, and its seed is its own, so one whose reply was lost is sent again.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from emtransfer.errors import InputError
from emtransfer.secrets import is_key, without_secrets

if TYPE_CHECKING:
    import httpx2

VARIABLE = "EMTRANSFER_VLLM_SERVER"
# of one answer, its time in the server's queue included
REQUEST_SECONDS = 600
CONNECT_SECONDS = 10
TRIES = 5
# a server that is late once may be busy, twice it hangs
LATE_TRIES = 2
# before the second attempt; twice as long before each further one
FIRST_REST_SECONDS = 1.0
# statuses of a server, or of a gateway before it, that is busy
BUSY = (408, 429, 502, 503, 504)


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
