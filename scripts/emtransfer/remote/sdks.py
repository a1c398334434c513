"""What the official SDKs, which are built alike, have in common: a client that sends a key to one origin only and tries once,
and their errors in a provider's words.

The SDKs' own retries are off, since every attempt may be paid for and is claimed before it is sent (see `asking`).
"""

import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC
from email.utils import parsedate_to_datetime
from types import ModuleType
from typing import Any

import httpx2

from emtransfer.errors import InputError
from emtransfer.remote.bodies import LONGEST_BYTES, UnreadableReply
from emtransfer.remote.providers import CallFailed
from emtransfer.secrets import is_key, keep_out_of_logs, without_secrets

# the server's own faults, reported before it has made a reply; after others, such as a gateway's, a reply may have been paid for
SURELY_UNPAID = (500, 503, 529)
# never sent, since no connection was made
NOT_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
# limit of all results of a batch, which are read line by line
LONGEST_RESULTS_BYTES = 2**30
# limit of an error's body, of which the SDKs make several copies
LONGEST_ERROR_BYTES = 2**20


def client_settings(sdk: ModuleType, timeout_seconds: float) -> dict[str, Any]:
    """What every client of an SDK is made with."""
    keep_out_of_logs()
    # a redirect would take the key, which is in a header of the SDK's own, to whatever host the server names
    return {
        "max_retries": 0,
        "timeout": timeout_seconds,
        "http_client": sdk.DefaultHttpxClient(follow_redirects=False, event_hooks={"response": [keep_short]}),
    }


def keep_short(response: httpx2.Response) -> None:
    """Let no more be read of a response than the longest has, unpacked, whatever a few bytes unpack to.

    Of a longer one that is an error, the status says enough; any other cannot be decoded.
    """
    whole = response.iter_bytes
    longest = LONGEST_RESULTS_BYTES if response.request.url.path.endswith("/results") else LONGEST_BYTES
    if not response.is_success:
        longest = LONGEST_ERROR_BYTES

    def iter_bytes(chunk_size: int | None = None) -> Iterator[bytes]:
        n_bytes = 0
        for piece in whole(chunk_size):
            n_bytes += len(piece)
            if n_bytes > longest:
                response.close()
                if response.is_success:
                    raise httpx2.DecodingError(f"more than {longest} bytes")
                return
            yield piece

    # what `read` and all other ways to a body go through
    response.iter_bytes = iter_bytes  # type: ignore[method-assign]


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
        raise InputError(f"{variable} holds spaces, line breaks or non-ASCII characters; expected the key alone.")
    return key


@contextmanager
def sdk_errors(sdk: ModuleType, base: type[Exception], provider: str, model: str) -> Iterator[None]:
    """Turn an SDK's errors into CallFailed, for what is not the user's doing, and InputError, for what a user must change.

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
            f"config: model is {model}, which the provider does not know; expected another, or another {address}."
        ) from None
    except sdk.APIStatusError as error:
        if error.status_code == 402:
            raise InputError(f"{key}: its account has no credit; expected credit; run again afterwards.") from None
        if error.status_code < 400:
            raise InputError(
                f"{address}: its server redirects requests to {target(error.response)} ({error.status_code}); expected "
                "the address of the server itself, since a key goes to no other."
            ) from None
        raise refused_attempt(error) from None
    except sdk.APIConnectionError as error:
        if isinstance(error.__cause__, (httpx2.UnsupportedProtocol, httpx2.InvalidURL)):
            raise InputError(no_address(address)) from None
        if isinstance(error.__cause__, httpx2.DecodingError):
            raise UnreadableReply from None
        sent = not isinstance(error.__cause__, NOT_SENT)
        late = sent and isinstance(error, sdk.APITimeoutError)
        reason = "timeout" if late else "connection lost" if sent else "no connection"
        raise CallFailed(reason, perhaps_paid=sent, again=True) from None
    except httpx2.InvalidURL:
        raise InputError(no_address(address)) from None
    except (base, httpx2.HTTPError, ValueError):
        raise UnreadableReply from None


def refused_attempt(error: Any) -> CallFailed:
    """An attempt that was answered with an error; a server that says whether to try again is followed."""
    status, headers = error.status_code, error.response.headers
    kind = without_secrets(str(error.type or ""))
    said = {"true": True, "false": False}.get(headers.get("x-should-retry", ""))
    again = said if said is not None else status in (408, 409, 429) or status >= 500
    reason = " ".join(filter(None, [str(status), " ".join(kind.split())[:60], refusal(error)]))
    perhaps_paid = status == 408 or (status >= 500 and status not in SURELY_UNPAID)
    return CallFailed(reason, perhaps_paid, again, asked_seconds(headers))


def asked_seconds(headers: Mapping[str, str]) -> float | None:
    """How long a server asks to wait before the next attempt; a date is held against the server's own clock."""
    try:
        if "retry-after-ms" in headers:
            seconds = float(headers["retry-after-ms"]) / 1000
        elif headers.get("retry-after", "")[:1].isalpha():
            until, now = (parsedate_to_datetime(headers[name]) for name in ("retry-after", "date"))
            # one of HTTP's date formats does not name its zone, which is the same for all
            seconds = (until.replace(tzinfo=UTC) - now.replace(tzinfo=UTC)).total_seconds()
        else:
            seconds = float(headers["retry-after"])
    except (KeyError, ValueError, TypeError, OverflowError):
        return None
    return seconds if seconds > 0 and not math.isnan(seconds) else None


def refusal(error: Any) -> str:
    """What the provider says of a request that it will always refuse, on one line; nothing for what may pass."""
    if error.status_code not in (400, 413, 422):
        return ""
    said = error.body.get("error", error.body) if isinstance(error.body, dict) else {}
    # before it is cut, since a server may quote the key that it was given
    text = without_secrets(" ".join(str(said.get("message") or "").split())) if isinstance(said, dict) else ""
    return text and f"({text[:200]})"


def target(response: httpx2.Response) -> str:
    """The host that a redirect names, in words."""
    try:
        return without_secrets(httpx2.URL(response.headers.get("location", "")).host) or "another path"
    except httpx2.InvalidURL:
        return "no address"


def no_address(variable: str) -> str:
    """The message about an address that is none."""
    return f"{variable} is not an address; expected one such as https://host:port/path."
