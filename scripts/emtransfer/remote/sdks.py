"""What the official SDKs, which are built alike, have in common: how often they try, and their errors in a provider's words."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType

from emtransfer.errors import InputError
from emtransfer.remote.calls import Reply
from emtransfer.remote.providers import CallFailed

# attempts that an SDK makes again when the provider is busy or the connection breaks, waiting longer each time
MAX_RETRIES = 8
# how often a call is made whose reply comes but cannot be read
READING_TRIES = 6


class UnreadableReply(CallFailed):
    """A reply that is no JSON, or lacks what every reply has."""

    def __init__(self):
        super().__init__("unreadable reply")


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


@contextmanager
def sdk_errors(sdk: ModuleType, key: str, model: str) -> Iterator[None]:
    """Turn an SDK's errors into CallFailed, for what may pass by itself, and InputError, for what a user must change.

    Args:
        sdk: `anthropic` or `openai`.
        key: environment variable that holds the key; its value is in no message.
        model: that is asked.
    """
    try:
        yield
    except (sdk.AuthenticationError, sdk.PermissionDeniedError) as error:
        raise InputError(f"{key}: refused with {error.status_code}; expected a key that may use {model}.") from None
    except sdk.NotFoundError:
        raise InputError(
            f"config.yaml: model is {model}, which the provider does not know; expected another."
        ) from None
    except sdk.APIStatusError as error:
        if error.status_code == 402:
            raise InputError(f"{key}: its account has no credit; expected credit; run again then.") from None
        raise CallFailed(" ".join(filter(None, [str(error.status_code), error.type, refusal(error)]))) from None
    except sdk.APITimeoutError:
        raise CallFailed("timeout") from None
    except sdk.APIConnectionError:
        raise CallFailed("connection lost") from None
    except (sdk.APIError, ValueError):
        raise UnreadableReply from None


def refusal(error: Exception) -> str:
    """What the provider says of a request that it will always refuse, on one line; nothing for what may pass."""
    if error.status_code not in (400, 413, 422):
        return ""
    said = error.body.get("error", error.body) if isinstance(error.body, dict) else {}
    return f"({' '.join(str(said.get('message')).split())[:200]})" if isinstance(said, dict) else ""
