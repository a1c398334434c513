"""Start jobs of a run on this machine with their packages imported: a process that has imported them once, and forks.

Importing torch, transformers, peft and trl takes a job seconds of the processor, and a run has hundreds of jobs. The client
(client.py) stands in for `python` among the run's jobs: it sends its standard streams through a socket in a folder that is the
user's alone, and a fork of this process runs the script as `python` would have. Whatever a job inherits beyond its folder is
compared, not sent: a job for which anything is other than here starts by itself. What differs is written to standard output.

Each process ends with the one it belongs to: this one when standard input closes, which the run holds open, and the last job
has ended; a job when this process or its client dies.

Run: python workflow/lib/warm/server.py FOLDER PADDING, where PADDING makes room for the command lines of jobs
"""

import atexit
import ctypes
import gc
import importlib
import os
import random
import selectors
import shutil
import signal
import socket
import struct
import sys
from collections.abc import Callable
from functools import partial
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

# what jobs that compute import; the project's own modules a job imports itself, as they are by then
PACKAGES = {
    "scipy.stats": (),
    "pandas": (),
    "torch": (),
    "transformers": ("AutoModelForCausalLM", "AutoModelForTokenClassification", "LlamaForCausalLM", "BertModel", "Trainer"),
    "datasets": ("Dataset",),
    "peft": ("PeftModel",),
    "trl": ("SFTConfig", "SFTTrainer"),
    "sentence_transformers": ("SentenceTransformer",),
}  # fmt: skip
# shells set these by themselves, and nothing that is imported reads them
OF_SHELLS = ("PWD", "OLDPWD", "SHLVL", "_")
# of /proc/PID/status: who a process is, and what it may do
STATUS = ("Umask", "Uid", "Gid", "Groups", "SigBlk", "SigIgn", "CapEff", "NoNewPrivs", "Seccomp", "Cpus_allowed", "Mems_allowed")  # fmt: skip
PR_SET_PDEATHSIG = 1
# without it pyarrow starts a thread, and a fork has only the thread that forked
ALLOCATOR = {"JE_ARROW_MALLOC_CONF": "background_thread:false"}


class Request(NamedTuple):
    """A client's: its process, its folder, a script with its arguments, and its descriptors 0, 1 and 2."""

    client: int
    folder: bytes
    arguments: list[bytes]
    descriptors: list[int]


def main(folder: str) -> None:
    inherited = surroundings(os.getpid())
    show_as([b"python", *map(os.fsencode, sys.argv[:2])])
    try:
        import_packages()
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    # what is there now is never freed: no job's garbage collection writes to its pages, which would copy them
    gc.collect()
    gc.freeze()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(f"{folder}/socket")
        listener.listen(64)
        Server(listener, inherited).serve()
    shutil.rmtree(folder, ignore_errors=True)


def import_packages() -> None:
    """Import what jobs do; SystemExit where that leaves more than one thread."""
    before = dict(os.environ)
    os.environ.update(ALLOCATOR)
    for package, names in PACKAGES.items():
        module = importlib.import_module(package)
        for name in names:
            # some packages import what a name stands for when it is asked for
            getattr(module, name)
    for name in ALLOCATOR:
        os.environ.pop(name)
        os.environ.update({name: before[name]} if name in before else {})
    if len(os.listdir("/proc/self/task")) > 1:
        sys.exit("What was imported has started threads, which a fork would lack: jobs start by themselves.")


class Server:
    """Starts a job for every client while the run goes on, and tells the client how the job ended."""

    def __init__(self, listener: socket.socket, inherited: dict[str, object]):
        self.listener, self.inherited = listener, inherited
        self.pid, self.n_jobs = os.getpid(), 0
        self.told: list[list[str]] = []
        self.selector = selectors.DefaultSelector()
        self.watch(listener, self.accept)
        self.watch(sys.stdin.fileno(), self.close)

    def watch(self, source: socket.socket | int, act: Callable[[], None]) -> None:
        self.selector.register(source, selectors.EVENT_READ, act)

    def serve(self) -> None:
        while self.n_jobs or self.is_open:
            for key, _ in self.selector.select():
                # one event of a round may have ended what another is of
                if self.selector.get_map().get(key.fd) is key:
                    key.data()

    @property
    def is_open(self) -> bool:
        return self.listener.fileno() >= 0

    def close(self) -> None:
        """The run has ended: jobs under way go on, and no more are started."""
        self.selector.unregister(sys.stdin.fileno())
        self.selector.unregister(self.listener)
        self.listener.close()

    def accept(self) -> None:
        connection, _ = self.listener.accept()
        self.watch(connection, partial(self.begin, connection))

    def begin(self, connection: socket.socket) -> None:
        """Start the job of a client that has sent its descriptors; a connection that is closed instead tells it to start by itself."""
        self.selector.unregister(connection)
        descriptors: list[int] = []
        try:
            _, descriptors, _, _ = socket.recv_fds(connection, 1, 3)
            request = requested(connection, descriptors)
            differs = sorted(differences(self.inherited, surroundings(request.client)))
            worker = None if differs else os.fork()
        except (OSError, ValueError) as error:
            differs, worker = [str(error)], None
        if worker == 0:
            self.become(request, connection)
        for descriptor in descriptors:
            os.close(descriptor)
        if worker is None:
            if differs not in self.told:
                self.told.append(differs)
                print("Jobs start by themselves, as they have other than the server:", ", ".join(differs), flush=True)
            connection.close()
        else:
            self.attend(worker, connection)

    def attend(self, worker: int, connection: socket.socket) -> None:
        """Watch a job and its client, which gets a descriptor of the job's process."""
        self.n_jobs += 1
        handle = os.pidfd_open(worker)
        self.watch(handle, partial(self.end, worker, handle, connection))
        self.watch(connection, partial(self.pass_on, worker, connection))
        try:
            socket.send_fds(connection, [b"begun"], [handle])
        except OSError:
            pass  # the client has died, which its connection tells as well

    def pass_on(self, worker: int, connection: socket.socket) -> None:
        """Send a job the signal that its client has got; a client that is gone was killed, and so is its job."""
        try:
            number = connection.recv(1)
        except OSError:
            number = b""
        os.kill(worker, number[0] if number else signal.SIGKILL)
        if not number:
            self.selector.unregister(connection)

    def end(self, worker: int, handle: int, connection: socket.socket) -> None:
        """Tell the client of a job that has ended how it did."""
        _, status = os.waitpid(worker, 0)
        self.selector.unregister(handle)
        os.close(handle)
        if connection.fileno() in self.selector.get_map():
            self.selector.unregister(connection)
        try:
            connection.send(struct.pack("i", status))
        except OSError:
            pass  # the client was killed
        connection.close()
        self.n_jobs -= 1

    def become(self, request: Request, connection: socket.socket) -> None:
        """Run the script in this process, a fork of the server; it ends with SystemExit or what the script raises."""
        # signals reach it through its client alone, once
        os.setpgid(0, 0)
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != self.pid:
            os._exit(1)
        connection.close()
        for key in list(self.selector.get_map().values()):
            if not isinstance(key.fileobj, int):
                key.fileobj.close()
            elif key.fileobj != sys.stdin.fileno():
                os.close(key.fileobj)
        self.selector.close()
        for target, descriptor in enumerate(request.descriptors):
            os.dup2(descriptor, target)
            os.close(descriptor)
        os.chdir(request.folder)
        theirs = environment(request.client)
        for name in map(os.fsencode, OF_SHELLS):
            os.environb.pop(name, None)
            os.environb.update({name: theirs[name]} if name in theirs else {})
        show_as([b"python", *request.arguments])
        draw_anew()
        run_script([os.fsdecode(argument) for argument in request.arguments])


def requested(connection: socket.socket, descriptors: list[int]) -> Request:
    """What the process at the other end of a connection asks for, by its own command line.

    Raises:
        OSError, ValueError: it is gone, or has sent something else.
    """
    client, _, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    words = Path(f"/proc/{client}/cmdline").read_bytes().split(b"\0")[:-1]
    at = words.index(os.fsencode(connection.getsockname())) + 1
    if len(descriptors) != 3 or os.isatty(descriptors[1]):
        raise ValueError("standard streams")
    return Request(client, os.fsencode(os.readlink(f"/proc/{client}/cwd")), words[at:], descriptors)


def environment(pid: int) -> dict[bytes, bytes]:
    """The environment that a process was started with."""
    entries = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return dict(entry.split(b"=", 1) for entry in entries if b"=" in entry)


def surroundings(pid: int) -> dict[str, object]:
    """Name -> what a process has inherited and hands on, beyond its folder and its standard streams."""
    place, status = Path("/proc", str(pid)), {}
    for line in (place / "status").read_text().splitlines():
        name, _, value = line.partition(":")
        status |= {name: value} if name in STATUS else {}
    spaces = {f"namespace {path.name}": os.readlink(path) for path in (place / "ns").iterdir()}
    files = {name: (place / name).read_text() for name in ("limits", "cgroup", "oom_score_adj")}
    scheduling = {"niceness": os.getpriority(os.PRIO_PROCESS, pid), "scheduler": os.sched_getscheduler(pid)}
    variables = {os.fsdecode(name): value for name, value in environment(pid).items()}
    return {
        **{f"variable {name}": value for name, value in variables.items() if name not in OF_SHELLS},
        **(status | spaces | files | scheduling | {"root": os.readlink(place / "root")}),
    }


def differences(one: dict[str, object], other: dict[str, object]) -> set[str]:
    """Names under which two processes have something else."""
    return {name for name in one.keys() | other.keys() if one.get(name) != other.get(name)}


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
        SystemExit: the script has ended.
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
        sys.exit()
    except SystemExit:
        raise
    except BaseException as error:
        shown = error.with_traceback(error.__traceback__ and error.__traceback__.tb_next)
        sys.excepthook(type(shown), shown, shown.__traceback__)
        if isinstance(error, KeyboardInterrupt):
            interrupt()
        # the interpreter takes it from here
        sys.excepthook = lambda *_: None
        raise


def interrupt() -> None:
    """End by SIGINT, as Python does; with some packages, though, it forgets at its exit why it ends."""
    atexit._run_exitfuncs()
    sys.stdout.flush()
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGINT)


if __name__ == "__main__":
    main(sys.argv[1])
