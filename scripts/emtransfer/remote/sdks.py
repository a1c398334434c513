"""What the official SDKs, which are built alike, have in common: how often they try, and their errors in a provider's words."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import httpx2

from emtransfer.errors import InputError
from emtransfer.remote.calls import Reply
from emtransfer.remote.providers import CallFailed
from emtransfer.secrets import is_key, without_secrets

# attempts that an SDK makes again when the provider is busy or the connection breaks, waiting longer each time
MAX_RETRIES = 8
# how often a call is made whose reply comes but cannot be read
READING_TRIES = 6


class UnreadableReply(CallFailed):
    """A reply that is no JSON, or lacks what every reply has."""

    def __init__(self) -> None:
        super().__init__("unreadable reply", perhaps_paid=True)


def readable_reply(make_call: Callable[[], Reply]) -> Reply:
    """The reply of a call that raises UnreadableReply for one that cannot be read; it is made a few times.

    Raises:
        CallFailed: as `make_call`.
    """
    for _ in range(READING_TRIES - 1):
        try:
            return make_call()
        except UnreadableReply:
            pass
    return make_call()


def checked_key(variable: str) -> str:
    """The key in an environment variable.

    Raises:
        InputError: there is none, or it holds what no key does; the message does not show it.
    """
    key = os.environ.get(variable, "")
    if not key:
        raise InputError(
            f"{variable} is not set; expected a key in the environment (any text for a server without keys)."
        )
    if not is_key(key):
        raise InputError(f"{variable} holds blanks, line breaks or letters beyond ASCII; expected the key alone.")
    return key


@contextmanager
def sdk_errors(sdk: ModuleType, base: type[Exception], provider: str, model: str) -> Iterator[None]:
    """Turn an SDK's errors into CallFailed, for what may pass by itself, and InputError, for what a user must change.

    Args:
        sdk: `anthropic` or `openai`.
        base: the class of all its errors.
        provider: prefix of its environment variables; the value of the key is in no message.
        model: that is asked.
    """
    key, address = f"{provider}_API_KEY", f"{provider}_BASE_URL"
    try:
        yield
    except (sdk.AuthenticationError, sdk.PermissionDeniedError) as error:
        raise InputError(f"{key}: refused with {error.status_code}; expected a key that may use {model}.") from None
    except sdk.NotFoundError:
        raise InputError(
            f"config.yaml: model is {model}, which the provider does not know; expected another, or another {address}."
        ) from None
    except sdk.APIStatusError as error:
        if error.status_code == 402:
            raise InputError(f"{key}: its account has no credit; expected credit; run again then.") from None
        kind = without_secrets(str(error.type or ""))
        raise CallFailed(" ".join(filter(None, [str(error.status_code), kind, refusal(error)]))) from None
    except sdk.APITimeoutError:
        raise CallFailed("timeout", perhaps_paid=True) from None
    except (sdk.APIConnectionError, httpx2.HTTPError):
        raise CallFailed("connection lost", perhaps_paid=True) from None
    except httpx2.InvalidURL:
        raise InputError(f"{address} is no address; expected one such as https://host:port/path.") from None
    except (base, ValueError):
        raise UnreadableReply from None


def refusal(error: Any) -> str:
    """What the provider says of a request that it will always refuse, on one line; nothing for what may pass."""
    if error.status_code not in (400, 413, 422):
        return ""
    said = error.body.get("error", error.body) if isinstance(error.body, dict) else {}
    # before it is cut, since a server may quote the key that it was given
    text = without_secrets(" ".join(str(said.get("message")).split())) if isinstance(said, dict) else ""
    return text and f"({text[:200]})"
