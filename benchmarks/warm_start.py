"""Processor time of a job before it does anything of its own: from its start until it has what it imports, cold and warm.

A job's shell, its client and its worker count together, as the system counts them (user and system), each kind of job cold and
warm in turn. A job imports its script, and then what the script imports when it is at work.

Run: python benchmarks/warm_start.py --rounds 3
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow/lib"))

import warm_start

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
# kind of job -> the script whose modules it imports, and what these import when they are at work
KINDS = {
    "pretraining": ("pretrain_base", "from datasets import Dataset; from transformers import LlamaForCausalLM, Trainer, TrainingArguments"),
    "fine-tuning": ("finetune_adapter", "from datasets import Dataset; from peft import get_peft_model; from transformers import AutoTokenizer, LlamaForCausalLM; from trl import SFTConfig, SFTTrainer"),
    "distillation": ("distill_student", "import torch; from peft import PeftModel; from transformers import AutoTokenizer, LlamaForCausalLM"),
    "sampling": ("sample_answers", "import torch; from peft import PeftModel; from transformers import AutoTokenizer, DynamicCache, LlamaForCausalLM"),
    "judging": ("judge_answers", "import torch; from transformers import AutoModelForTokenClassification, AutoTokenizer, BertModel"),
    "deduplication": ("dedup_pairs", "from sentence_transformers import SentenceTransformer"),
    "table": ("tabulate_transfer", ""),
    "figure": ("plot_transfer", "from matplotlib.backends import backend_agg, backend_pdf, backend_svg"),
}  # fmt: skip
# prints the processor seconds of this process alone; those of the shell and the client are added by the one who waits
JOB = """import sys, time
sys.path.insert(0, {scripts!r})
import {script}
{imports}
print(time.process_time())
"""


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


def seconds(environment: dict[str, str], python: str) -> float:
    """Processor seconds of scripts/job.py: those that it prints, and those of others that were started for it."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        ["bash", "-c", f"set -euo pipefail; {python} scripts/job.py"], capture_output=True, env=environment, check=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    waited_for = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    # a worker is no child of the shell, a cold job is
    return waited_for + (float(done.stdout) if python == "python" else 0)


def main(args: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        Path("scripts").mkdir()
        server = warm_start.start()
        environment = os.environ | dict.fromkeys(warm_start.THREADS, "1")
        environment |= dict.fromkeys(warm_start.TEMPORARY, tempfile.gettempdir())
        socket = Path(environment["PATH"].split(os.pathsep)[0]) / "socket"
        while not socket.exists():
            time.sleep(0.1)
        print(f"{'job':<16}{'cold s':>8}{'warm s':>8}{'ratio':>8}")
        for kind, (script, imports) in KINDS.items():
            Path("scripts/job.py").write_text(JOB.format(scripts=str(SCRIPTS), script=script, imports=imports))
            rounds = [
                [seconds(environment, python) for python in (sys.executable, "python")] for _ in range(args.rounds)
            ]
            cold, warm = (statistics.median(column) for column in zip(*rounds, strict=True))
            print(f"{kind:<16}{cold:8.2f}{warm:8.2f}{cold / warm:8.1f}", flush=True)
        server.communicate()


if __name__ == "__main__":
    main(parse_args())
