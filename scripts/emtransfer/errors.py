"""A user's mistake, and a GPU that is too small, are one line on standard error and exit code 1, never a traceback."""

import sys
from argparse import Namespace
from collections.abc import Callable

from emtransfer.secrets import without_secrets


class InputError(Exception):
    """A wrong config value, row, file or model.

    The message is one line that names the place (config key, or file and line), the value found
    and what was expected.
    """


def run(main: Callable[[Namespace], None], args: Namespace) -> None:
    """Run a script's `main`, turning an InputError, or a GPU without memory left, into one line and exit code 1."""
    try:
        main(args)
    except InputError as error:
        sys.exit(without_secrets(str(error)))
    except RuntimeError as error:
        # torch.OutOfMemoryError, known by its name, since most scripts do without torch
        if type(error).__name__ != "OutOfMemoryError":
            raise
        sys.exit(
            f"GPU out of memory ({' '.join(str(error).split())[:100]}); expected a smaller micro_batch_size or batch_size,"
            " gradient_checkpointing: true, quantization: nf4, or a larger GPU."
        )
