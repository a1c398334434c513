"""A page in a real browser without a window: Chromium, told over a pipe in its own protocol of debugging.

The browser is Debian's package `chromium`, which is installed where root runs the tests on Debian.
"""

import itertools
import json
import os
import select
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from helpers.workflow_tree import unfit

NAMES = ("chromium", "chromium-browser", "google-chrome")
SECONDS = 120


def installed(session: Path) -> str:
    """The browser's path; `session` is a folder that all who ask at the same time share."""
    with FileLock(session / "chromium.lock"):
        found = next(filter(None, map(shutil.which, NAMES)), None)
        if found:
            return found
        if os.geteuid() or not Path("/etc/debian_version").is_file():
            unfit("chromium is missing, and only root installs it, from the packages of Debian")
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        install = "apt-get update --quiet && apt-get install --quiet --yes --no-install-recommends chromium"
        done = subprocess.run(install, shell=True, env=environment, capture_output=True, text=True)
        if done.returncode:
            unfit("chromium cannot be installed")
    return shutil.which("chromium") or pytest.fail("chromium was installed and is not there")


class Page:
    """A page of the browser, and what it has said since it was opened.

    Attributes:
        complaints: messages of the console, exceptions and entries of the browser's log.
        requests: addresses that were asked for.
    """

    def __init__(self, reading: int, writing: int):
        self.reading, self.writing, self.buffer = reading, writing, b""
        self.numbers, self.session = itertools.count(1), None
        self.complaints, self.requests, self.events = [], [], []
        target = self.tell("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.tell("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.tell(f"{domain}.enable")

    def tell(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol, and return its result."""
        number = next(self.numbers)
        message = {"id": number, "method": method, "params": parameters}
        os.write(
            self.writing, json.dumps(message | ({"sessionId": self.session} if self.session else {})).encode() + b"\0"
        )
        while (answer := self.hear()).get("id") != number:
            pass
        assert "error" not in answer, answer
        return answer["result"]

    def hear(self) -> dict[str, Any]:
        """The next message of the browser; events are noted."""
        while b"\0" not in self.buffer:
            assert select.select([self.reading], [], [], SECONDS)[0], "the browser says nothing"
            self.buffer += os.read(self.reading, 1 << 20)
        text, _, self.buffer = self.buffer.partition(b"\0")
        message = json.loads(text)
        method, said = message.get("method"), message.get("params", {})
        self.events.append(method)
        if method in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"):
            self.complaints.append(said)
        if method == "Network.requestWillBeSent":
            self.requests.append(said["request"]["url"])
        return message

    def open(self, path: Path) -> None:
        """Load a file, to the end."""
        self.visit(path.as_uri())

    def visit(self, address: str) -> None:
        """Load a page, to the end."""
        self.events.clear()
        self.tell("Page.navigate", url=address)
        while "Page.loadEventFired" not in self.events:
            self.hear()

    def ask(self, expression: str) -> Any:
        """The value of an expression of JavaScript on the page, awaited if it is a promise."""
        found = self.tell("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def comes_to_show(self, *texts: str) -> bool:
        """Whether the page shows all the texts, now or once it has fetched and drawn what it loads by itself."""
        return self.ask(f"""
            new Promise(resolve => {{
                const end = Date.now() + {1000 * SECONDS}
                const look = () => {json.dumps(texts)}.every(text => document.body.innerText.includes(text)) ? resolve(true)
                    : Date.now() > end ? resolve(false) : setTimeout(look, 200)
                look()
            }})""")

    def press(self, key: str, code: int) -> None:
        """Press and release a key."""
        named = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        text = {"text": "\r"} if key == "Enter" else {}
        self.tell("Input.dispatchKeyEvent", type="keyDown", **named, **text)
        self.tell("Input.dispatchKeyEvent", type="keyUp", **named)

    def resize(self, width: int, height: int = 900) -> None:
        """Give the window another size, in pixels."""
        self.tell("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def prefer(self, scheme: str) -> None:
        """Prefer a color scheme, light or dark."""
        self.tell("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])


@contextmanager
def browsing(browser: str, folder: Path) -> Iterator[Page]:
    """A page of a browser that is started for it, with a profile in `folder`, and ended after it."""
    (to_browser, writing), (reading, from_browser) = os.pipe(), os.pipe()
    options = f"--headless --no-sandbox --disable-gpu --no-first-run --disable-dev-shm-usage --user-data-dir={folder}"
    command = f'exec "$0" {options} --remote-debugging-pipe about:blank 3<&{to_browser} 4>&{from_browser}'
    process = subprocess.Popen(
        ["bash", "-c", command, browser],
        pass_fds=(to_browser, from_browser),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(to_browser)
    os.close(from_browser)
    try:
        yield Page(reading, writing)
    finally:
        process.terminate()
        process.wait(SECONDS)
        os.close(reading)
        os.close(writing)
