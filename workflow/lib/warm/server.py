"""Start jobs of a run on this machine with their packages imported: a process that has imported them once, and forks.

Importing torch, transformers, peft and trl takes a job seconds of the processor, and a run has hundreds of jobs. The client
(client.py) stands in for `python` among the run's jobs: it sends its standard streams through a socket in a folder that is the
user's alone, and a fork of this process runs the script as `python` would have. Whatever a job inherits beyond its folder is
compared, not sent: a job for which anything is other than here starts by itself. What differs is written to standard output.

Each process ends with the one it belongs to: this one when standard input closes, which the run holds open, and the last job
has ended; a job when this process or its client dies.

Run: python workflow/lib/warm/server.py FOLDER PADDING, where PADDING makes room for the command lines of jobs
"""

import ctypes
import gc
import importlib
import os
import selectors
import shutil
import signal
import socket
import struct
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from inheritance import OF_SHELLS, differences, environment, surroundings
from interpreter import draw_anew, run_script, show_as

# what jobs that compute or draw import; the project's own modules a job imports itself, as they are by then
PACKAGES = {
    "scipy.stats": (),
    "pandas": (),
    # one for each format of a figure
    "matplotlib.backends.backend_svg": (),
    "matplotlib.backends.backend_pdf": (),
    "matplotlib.backends.backend_agg": (),
    "torch": (),
    "transformers": ("AutoModelForCausalLM", "AutoModelForTokenClassification", "LlamaForCausalLM", "BertModel", "Trainer"),
    "datasets": ("Dataset",),
    "peft": ("PeftModel",),
    "trl": ("SFTConfig", "SFTTrainer"),
    "sentence_transformers": ("SentenceTransformer",),
}  # fmt: skip
PR_SET_PDEATHSIG = 1
# modules that no job may find in place of its own
OWN_MODULES = ("inheritance", "interpreter")
# without it pyarrow starts a thread, and a fork has only the thread that forked
ALLOCATOR, SINGLE_THREADED = "JE_ARROW_MALLOC_CONF", "background_thread:false"


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
    # objects that exist now are never freed: a job's garbage collection would write to their pages and so copy them
    gc.collect()
    gc.freeze()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(f"{folder}/socket")
        listener.listen(64)
        Server(listener, inherited).serve()
    shutil.rmtree(folder, ignore_errors=True)


def import_packages() -> None:
    """Import what jobs do; SystemExit where that leaves more than one thread."""
    # unset again below: jobs must not see it
    os.putenv(ALLOCATOR, SINGLE_THREADED)
    for package, names in PACKAGES.items():
        module = importlib.import_module(package)
        for name in names:
            # some packages import a name's module only when the name is used
            getattr(module, name)
    os.unsetenv(ALLOCATOR)
    if len(os.listdir("/proc/self/task")) > 1:
        sys.exit("An imported package started threads, which a fork would lack: jobs start without the server.")


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
                # one event of a round may have ended the job that another belongs to
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
                print("Jobs start without the server, because of:", ", ".join(differs), flush=True)
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
            pass  # the client has died, which its connection shows as well

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
        for name in OWN_MODULES:
            del sys.modules[name]
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


if __name__ == "__main__":
    main(sys.argv[1])
