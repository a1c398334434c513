"""Make a fork of a Python process what `python SCRIPT …` would be."""

import atexit
import ctypes
import importlib
import os
import random
import signal
import sys
import threading
from contextlib import suppress
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType


def show_as(command: list[bytes]) -> None:
    """Let ps, top and the like show a command line for this process, as far as there is room."""
    fields = Path("/proc/self/stat").read_bytes().rpartition(b") ")[2].split()
    start, end = int(fields[45]), int(fields[46])
    # the kernel shows what is before the first zero where the last byte is none, as for setproctitle(3)
    shown = b" ".join(command)[: end - start - 2]
    ctypes.memmove(start, shown.ljust(end - start - 1, b"\0") + b" ", end - start)


def draw_anew() -> None:
    """Seed the generators that packages seed at random when they are imported; Python does so for its own."""
    import numpy
    import torch

    numpy.random.seed()
    torch.default_generator.manual_seed(random.SystemRandom().getrandbits(63))


def run_script(arguments: list[str]) -> None:
    """Run a script as `python` does, whose traceback names no frame but the script's.

    Raises:
        SystemExit: the script has ended with another exit code than 0.
        BaseException: what the script does not catch, after it was shown.
    """
    path = os.path.abspath(arguments[0])
    sys.argv, sys.orig_argv = arguments, [sys.executable, *arguments]
    sys.path[0] = os.path.dirname(os.path.realpath(path))
    importlib.invalidate_caches()
    main = ModuleType("__main__")
    main.__dict__.update(__file__=path, __cached__=None, __annotations__={}, __builtins__=sys.modules["builtins"])
    main.__loader__ = SourceFileLoader("__main__", path)
    sys.modules["__main__"] = main
    try:
        exec(compile(Path(path).read_bytes(), path, "exec", dont_inherit=True), main.__dict__)
    except SystemExit as end:
        if end.code not in (None, 0):
            raise
    except BaseException as error:
        shown = error.with_traceback(error.__traceback__ and error.__traceback__.tb_next)
        sys.excepthook(type(shown), shown, shown.__traceback__)
        if isinstance(error, KeyboardInterrupt):
            interrupt()
        # the interpreter takes it from here
        sys.excepthook = lambda *_: None
        raise
    succeed(main)


def succeed(main: ModuleType) -> None:
    """End with exit code 0 as Python does, but that only what the script's own names hold is freed, so that its files are written.

    To free all that was imported copies the memory that this process shares with the one it was forked from.

    Raises:
        SystemExit: what was printed cannot be written, of which Python tells.
    """
    threading._shutdown()
    atexit._run_exitfuncs()
    main.__dict__.clear()
    with suppress(OSError, ValueError):
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        # what libraries in C have printed
        ctypes.CDLL(None).fflush(None)
        os._exit(0)
    sys.exit()


def interrupt() -> None:
    """End by SIGINT, as Python does; with some packages, though, it forgets at its exit why it ends."""
    atexit._run_exitfuncs()
    sys.stdout.flush()
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGINT)
