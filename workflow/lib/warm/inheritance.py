"""What a process inherits from the one that starts it, as the kernel tells of any process of the same user."""

import os
from pathlib import Path

# shells set these by themselves, and nothing that is imported reads them
OF_SHELLS = ("PWD", "OLDPWD", "SHLVL", "_")
# of /proc/PID/status: who a process is, and what it may do
STATUS = ("Umask", "Uid", "Gid", "Groups", "SigBlk", "SigIgn", "CapEff", "NoNewPrivs", "Seccomp", "Cpus_allowed", "Mems_allowed")  # fmt: skip


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
