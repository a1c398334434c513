"""Serve the report and the browser of answers to this machine alone; needs envs/requirements-inspect.txt.

The browser reads parts of its logs, which works neither from a page opened as a file nor with Python's http.server.

Run: python scripts/serve_results.py --results results
"""

import argparse
from pathlib import Path

from emtransfer.errors import InputError, run


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, required=True, help="folder of all results")
    parser.add_argument("--port", type=int, default=7575, help="port on 127.0.0.1")
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    if not (args.results / "report.html").is_file():
        raise InputError(f"{args.results}: no report.html; expected the one that make table writes.")
    import uvicorn
    from starlette.applications import Starlette
    from starlette.routing import Mount
    from starlette.staticfiles import StaticFiles

    print(f"Open http://127.0.0.1:{args.port}/report.html; Ctrl-C stops the server.", flush=True)
    app = Starlette(routes=[Mount("/", StaticFiles(directory=args.results, html=True))])
    uvicorn.run(app, host="127.0.0.1", port=args.port, log_level="warning")


if __name__ == "__main__":
    run(main, parse_args())
