"""Write judged answers as logs of Inspect with its static browser, which `inspect view` opens too; needs envs/requirements-inspect.txt.

Run: python scripts/write_inspect_logs.py --results results --output results/inspect
"""

import argparse
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from emtransfer.errors import InputError, counted, run
from emtransfer.files.artefacts import new_folder
from emtransfer.files.records import read_records
from emtransfer.reporting.answer_links import log_path
from emtransfer.reporting.inspect_logs import as_log

REQUIRED = ("experiment", "condition", "base", "prompt_id", "seed", "status")


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--results", type=Path, required=True, help="folder that holds {experiment}/judged/{model}.jsonl"
    )
    parser.add_argument("--output", type=Path, required=True, help="folder of the browser; its logs are in logs/")
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    from inspect_ai.log import bundle_log_dir, write_eval_log

    models = files_by_model(args.results)
    n_answers = 0
    with tempfile.TemporaryDirectory() as logs, new_folder(args.output) as browser:
        for name, paths in models.items():
            rows = [row for path in paths for row in read_records(path, REQUIRED)]
            base = args.results / rows[0]["experiment"] / f"judged/bases/{rows[0]['base']}.jsonl"
            base_rows = [] if rows[0]["condition"] == "base" else read_records(base, REQUIRED)
            written = max(path.stat().st_mtime for path in paths)
            log = as_log(rows, base_rows, datetime.fromtimestamp(int(written), UTC).isoformat())
            location = Path(logs) / name
            location.parent.mkdir(parents=True, exist_ok=True)
            write_eval_log(log, location)
            n_answers += len(log.samples or [])
        bundle_log_dir(logs, str(browser), overwrite=True)
    print(f"{counted(n_answers, 'answer')} in {counted(len(models), 'log')}.")


def files_by_model(results: Path) -> dict[str, list[Path]]:
    """Path of a log, below the folder of logs -> the judged files of the model's seeds.

    Raises:
        InputError: there are none.
    """
    models: dict[str, list[Path]] = {}
    for path in sorted(results.glob("*/judged/**/*.jsonl")):
        experiment, _, *model = path.relative_to(results).with_suffix("").parts
        models.setdefault(log_path(experiment, "/".join(model)), []).append(path)
    if not models:
        raise InputError(
            f"{results}: no judged answers; expected {{experiment}}/judged/{{model}}.jsonl, which make table writes."
        )
    return models


if __name__ == "__main__":
    run(main, parse_args())
