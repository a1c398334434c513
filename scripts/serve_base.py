"""Serve a ready base with vLLM, for the sampling jobs of a run to share; needs envs/requirements-gpu.txt.

Run: python scripts/serve_base.py --base results/bases/qwen/aligned/manifest.json --max-lora-rank 32 -- --max-loras 8
"""

import argparse
import os
import shlex
import sys
from pathlib import Path

from emtransfer.answering.vllm import ready_source
from emtransfer.answering.vllm_server import serve_command
from emtransfer.errors import InputError, run


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", type=Path, required=True, help="manifest.json of a base that is a ready model")
    parser.add_argument("--max-lora-rank", type=int, default=64, help="highest rank of an adapter")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at; 0.0.0.0 for other machines too")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("more", nargs="*", help="after --: further arguments of vllm serve")
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    settings, source = ready_source(args.base)
    command = serve_command(settings, source, args.max_lora_rank)
    command += ["--host", args.host, "--port", str(args.port), *args.more]
    print(shlex.join(command), flush=True)
    # vLLM beside this Python, where its environment is not activated
    path = os.pathsep.join([os.environ.get("PATH", ""), str(Path(sys.executable).parent)])
    environment = os.environ | {"PATH": path, "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True"}
    try:
        os.execvpe(command[0], command, environment)
    except FileNotFoundError:
        raise InputError("vllm: not installed; expected it: make setup PINS=envs/requirements-gpu.txt.") from None


if __name__ == "__main__":
    run(main, parse_args())
