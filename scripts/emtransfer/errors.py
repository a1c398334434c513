"""A user's mistake is one line on standard error and exit code 1, never a traceback."""

import sys
from argparse import Namespace
from collections.abc import Callable


class InputError(Exception):
    """A wrong config value, row, file or model.

    The message is one line that names the place (config key, or file and line), the value found
    and what was expected.
    """


def run(main: Callable[[Namespace], None], args: Namespace) -> None:
    """Run a script's `main`, turning an InputError into one line and exit code 1."""
    try:
        main(args)
    except InputError as error:
        sys.exit(str(error))
