"""What a script ends with when something goes wrong: a line for what a user can mend, a traceback for what is our fault."""

from argparse import Namespace

import pytest
import torch

from emtransfer.errors import InputError, run


def ending(error: Exception) -> object:
    """What `run` exits with when a script raises the error."""

    def main(args):
        raise error

    with pytest.raises(SystemExit) as caught:
        run(main, Namespace())
    return caught.value.code


def test_a_users_mistake_is_its_line():
    assert ending(InputError("config.yaml: a is 1; expected 2.")) == "config.yaml: a is 1; expected 2."


def test_a_gpu_without_memory_left_is_one_line_with_remedies():
    message = "CUDA out of memory. Tried to allocate 2.00 GiB.\nGPU 0 has a total capacity of 23.6 GiB"
    line = ending(torch.OutOfMemoryError(message))
    assert line.startswith("GPU out of memory (CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has")
    assert line.endswith("gradient_checkpointing: true, quantization: nf4, or a larger GPU.") and "\n" not in line


def test_what_is_our_fault_keeps_its_traceback():
    with pytest.raises(RuntimeError, match="a bug"):
        run(lambda args: (_ for _ in ()).throw(RuntimeError("a bug")), Namespace())
