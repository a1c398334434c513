"""Errors that a user can fix – a wrong input, a full disk, a GPU that is too small – end in one line and exit code 1, never a traceback."""

import errno
import json
import os
import signal
import sys
import warnings
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping

from emtransfer.secrets import without_secrets

# errors of a file system, with their remedies
DISK = {
    errno.ENOSPC: "free space on it",
    errno.EDQUOT: "free space in your quota",
    errno.EROFS: "a folder that can be written to",
    errno.EACCES: "a folder that can be written to",
    errno.EPERM: "a folder that can be written to",
    errno.ENOTDIR: "a folder where this file is",
    errno.EEXIST: "a folder where this file is",
    errno.ENAMETOOLONG: "a shorter name",
}


# kinds of values, as a user calls them
KINDS = {
    "NoneType": "nothing",
    "bool": "true or false",
    "int": "a number",
    "float": "a number",
    "str": "text",
    "list": "a list",
    "dict": "a mapping",
    "date": "a date",
    "datetime": "a date",
    "timedelta": "a duration",
    "bytes": "binary data",
}


class InputError(Exception):
    """A wrong config value, row, file or model.

    The message is one line that names the place (config key, or file and line), the value found
    and what was expected.
    """


def kind_of(value: object) -> str:
    """What kind of value was found, in words, such as `a list`; null is `nothing`."""
    name = type(value).__name__
    return KINDS.get(name, name)


def lacking(error: Exception) -> str:
    """What a nested mapping lacks, from the error that reading it by its keys gave."""
    return f"no {error}" if isinstance(error, KeyError) else "a section is not a mapping"


def told(value: object) -> str:
    """A value as a message tells it, cut to 60 characters; null is `missing`."""
    return "missing" if value is None else repr(str(value)[:60])


def told_field(row: Mapping[str, object], field: str) -> str:
    """A field of a row as JSON; `missing` where the row has no such field."""
    return json.dumps(row[field]) if field in row else "missing"


def counted(number: int, noun: str, plural: str = "") -> str:
    """A number of things in words: 1 row, 2,000 rows; `plural` where it is not the noun with an s."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def run(main: Callable[[Namespace], None], args: Namespace) -> None:
    """Run a script's `main`, turning an InputError, and what a disk or a GPU has too little of, into one line and exit code 1.

    An interrupt is one line too, and ends the process by its signal. What libraries print beside is kept out of the log.
    """
    quieten_libraries()
    try:
        main(args)
    except InputError as error:
        sys.exit(without_secrets(str(error)))
    except KeyboardInterrupt:
        sys.stdout.flush()
        print("Interrupted; the same command continues from what is kept.", file=sys.stderr, flush=True)
        # the process ends as if SIGINT had killed it, which shells and Snakemake look for, and at once: after large libraries, Python
        # takes seconds to end
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.raise_signal(signal.SIGINT)
    except Exception as error:
        for cause in causes(error):
            remedy = remedy_of(cause)
            if remedy:
                place = "".join(f"{note}: " for note in getattr(error, "__notes__", ()))
                sys.exit(f"{place}{' '.join(str(cause).split())[:160]}; expected {remedy}; then run it again.")
        raise


def quieten_libraries() -> None:
    """Leave out bars of loaded weights, and what libraries say of their own later versions, which the pins choose."""
    warnings.filterwarnings("ignore", category=FutureWarning)
    # of transformers where it is not imported yet, and where it is
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    if "transformers.utils.logging" in sys.modules:
        sys.modules["transformers.utils.logging"].disable_progress_bar()


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and those in whose handling it came up: torch covers a full disk with one of its own."""
    while error:
        yield error
        error = error.__cause__ or error.__context__


def remedy_of(error: BaseException) -> str | None:
    """The remedy for an error that is not a bug in the program; None for any other."""
    if isinstance(error, OSError):
        return DISK.get(error.errno or 0)
    # libraries written in other languages keep only the message
    if "No space left on device" in str(error):
        return DISK[errno.ENOSPC]
    # all that torch.save says about a file that could not be written
    if "iostream error" in str(error):
        return "free space for checkpoints"
    # torch.OutOfMemoryError, recognized by name, since most scripts do without torch
    if type(error).__name__ == "OutOfMemoryError":
        return (
            "a smaller micro_batch_size or batch_size, gradient_checkpointing: true, quantization: nf4, or a larger GPU"
        )
    return None
