"""Stand in for `python SCRIPT …`: have the run's server (server.py) start the job, and end as it ends.

It needs the standard library alone, and hardly any of that. Where there is no server, or the server says no, it becomes `python`
itself; also where the server dies under a job, which dies with it: that starts again, as a job that was killed does in the next run.

Run: python -I -S workflow/lib/warm/client.py SOCKET SCRIPT …
"""

import os
import select
import signal
import socket
import struct
import sys

PASSED_ON = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGTSTP, signal.SIGCONT)  # fmt: skip


def main(path: str, command: list[str]) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        handle = begin(connection, path)
        if handle is not None:
            handlers = {number: signal.getsignal(number) for number in PASSED_ON}
            for number, handler in handlers.items():
                if handler != signal.SIG_IGN:
                    signal.signal(number, lambda number, _: pass_on(connection, number))
            status = receive(connection, 4)
            if status:
                end(*struct.unpack("i", status))
            # the server was killed, and the kernel kills the job
            select.select([handle], [], [])
            for number, handler in handlers.items():
                signal.signal(number, handler)
            print("The process that had started this job is gone; the job starts again.", file=sys.stderr, flush=True)
    os.execv(sys.executable, [sys.executable, *command])


def begin(connection: socket.socket, path: str) -> int | None:
    """Ask the server for the job; returns a descriptor of the job's process, None where there is none to be had."""
    try:
        if None in (sys.stdin, sys.stdout, sys.stderr) or any(map(is_handed_down, os.listdir("/proc/self/fd"))):
            return None
        connection.connect(path)
        socket.send_fds(connection, [b"0"], [0, 1, 2])
        answer, handles, _, _ = socket.recv_fds(connection, 8, 1)
    except OSError:
        return None
    if not answer:
        return None
    # the job must not inherit it if it starts again
    os.set_inheritable(handles[0], False)
    return handles[0]


def is_handed_down(descriptor: str) -> bool:
    """Whether a process that is started here has a descriptor beyond the standard streams, which the server's would not have."""
    try:
        return int(descriptor) > 2 and os.get_inheritable(int(descriptor))
    except OSError:
        # the descriptor of the listing itself
        return False


def receive(connection: socket.socket, length: int) -> bytes:
    """What the server says next; nothing where it is gone."""
    try:
        return connection.recv(length)
    except OSError:
        return b""


def pass_on(connection: socket.socket, number: int) -> None:
    try:
        connection.send(bytes([number]))
    except OSError:
        pass  # the job has just ended
    if number == signal.SIGTSTP:
        os.kill(os.getpid(), signal.SIGSTOP)


def end(status: int) -> None:
    """End as the job did: with its exit code, or by the signal that killed it."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
