"""A picture of a page, once it shows a text that it loads by itself.

Run: python tests/helpers/photograph.py http://127.0.0.1:7575/inspect/index.html misaligned answers.png
"""

import base64
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from helpers.chromium import NAMES, browsing


def main(address: str, text: str, picture: str) -> None:
    browser = next(filter(None, map(shutil.which, NAMES)), None) or sys.exit(
        "chromium is missing; expected it installed."
    )
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile, browsing(browser, Path(profile)) as page:
        page.resize(1400, 560)
        page.visit(address)
        if not page.comes_to_show(text):
            sys.exit(f"{address}: no {text}; expected it on the page.")
        Path(picture).write_bytes(base64.b64decode(page.tell("Page.captureScreenshot")["data"]))


if __name__ == "__main__":
    main(*sys.argv[1:])
