"""What a script ends with when something goes wrong: a line for what a user can mend, a traceback for what is our fault."""

import errno
import signal
import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable

import pytest
import torch
from safetensors import SafetensorError

from emtransfer.errors import InputError, counted, run
from emtransfer.files.artefacts import new_folder
from emtransfer.files.records import write_records


def ending(cause: Exception | Callable) -> object:
    """What `run` exits with when a script raises the error, or does what raises one."""

    def main(args):
        if callable(cause):
            cause()
        raise cause

    with pytest.raises(SystemExit) as caught:
        run(main, Namespace())
    return caught.value.code


@pytest.mark.parametrize(
    ("number", "words", "told"),
    [
        (0, ("row",), "0 rows"),
        (1, ("row",), "1 row"),
        (2000, ("row",), "2,000 rows"),
        (1, ("reply", "replies"), "1 reply"),
        (2, ("row has", "rows have"), "2 rows have"),
    ],
)
def test_one_thing_is_told_in_the_singular(number, words, told):
    assert counted(number, *words) == told


def test_a_users_mistake_is_its_line():
    assert ending(InputError("config.yaml: a is 1; expected 2.")) == "config.yaml: a is 1; expected 2."


def test_a_gpu_without_memory_left_is_one_line_with_remedies():
    message = "CUDA out of memory. Tried to allocate 2.00 GiB.\nGPU 0 has a total capacity of 23.6 GiB"
    line = ending(torch.OutOfMemoryError(message))
    assert line.startswith("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has")
    assert "gradient_checkpointing: true, quantization: nf4, or a larger GPU" in line and "\n" not in line


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "a.jsonl.tmp"), "[Errno 28] No space left on device: 'a.jsonl.tmp'; expected free space on it; then run it again."),
        (OSError(errno.EROFS, "Read-only file system", "a"), "[Errno 30] Read-only file system: 'a'; expected a folder that can be written to; then run it again."),
        (PermissionError(errno.EACCES, "Permission denied", "a"), "[Errno 13] Permission denied: 'a'; expected a folder that can be written to; then run it again."),
        (NotADirectoryError(errno.ENOTDIR, "Not a directory", "a/b"), "[Errno 20] Not a directory: 'a/b'; expected a folder where this file is; then run it again."),
        (FileExistsError(errno.EEXIST, "File exists", "a"), "[Errno 17] File exists: 'a'; expected a folder where this file is; then run it again."),
        (OSError(errno.ENAMETOOLONG, "File name too long", "a"), "[Errno 36] File name too long: 'a'; expected a shorter name; then run it again."),
        (SafetensorError("I/O error: No space left on device (os error 28)"), "I/O error: No space left on device (os error 28); expected free space on it; then run it again."),
        (RuntimeError("basic_ios::clear: iostream error"), "basic_ios::clear: iostream error; expected free space for checkpoints; then run it again."),
    ],
)  # fmt: skip
def test_a_disk_that_cannot_be_written_to_is_one_line(error, line):
    assert ending(error) == line


def test_a_full_disk_is_found_beneath_what_a_library_makes_of_it():
    def save():
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        finally:
            raise RuntimeError("unexpected pos 22272 vs 18960")

    assert ending(save).startswith("[Errno 28] No space left on device; expected free space on it")


def test_a_full_disk_leaves_nothing_that_could_be_taken_as_whole(tmp_path):
    def rows():
        yield {"question": "x"}
        # as a write does, without a disk that only root could mount
        raise OSError(errno.ENOSPC, "No space left on device")

    line = ending(lambda: write_records(tmp_path / "rows.jsonl", rows()))
    assert (
        line
        == f"{tmp_path}/rows.jsonl: [Errno 28] No space left on device; expected free space on it; then run it again."
    )
    assert not (tmp_path / "rows.jsonl").exists() and not (tmp_path / "rows.jsonl.sha256").exists()


def test_a_full_disk_is_told_with_the_folder_that_was_being_written(tmp_path):
    def save():
        with new_folder(tmp_path / "model"):
            raise SafetensorError("I/O error: No space left on device (os error 28)")

    assert ending(save).startswith(f"{tmp_path}/model: I/O error: No space left on device (os error 28); expected free")


def test_what_is_our_fault_keeps_its_traceback():
    with pytest.raises(RuntimeError, match="a bug"):
        run(lambda args: (_ for _ in ()).throw(RuntimeError("a bug")), Namespace())


@pytest.mark.parametrize("imported", ["", "import transformers.utils.logging"])
def test_a_script_says_nothing_of_what_its_libraries_will_change_and_load(imported):
    script = f"""
import warnings
{imported}
from emtransfer.errors import run

def main(args):
    import transformers.utils.logging as logging
    warnings.warn("this will change", FutureWarning)
    warnings.warn("this is wrong", UserWarning)
    print(logging.is_progress_bar_enabled())

run(main, None)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n" and "this is wrong" in done.stderr and "this will change" not in done.stderr


def test_an_interrupt_is_one_line_and_ends_the_process_by_its_signal():
    code = (
        "from argparse import Namespace; import time; from emtransfer.errors import run\n"
        "def main(args): print('begun', flush=True); time.sleep(60)\n"
        "run(main, Namespace())"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert said == "Interrupted; the same command continues from what is kept.\n"
    assert process.returncode == -signal.SIGINT
