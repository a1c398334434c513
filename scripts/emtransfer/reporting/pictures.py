"""Figures as a page can embed them: the SVG itself, its title and its description."""

import base64
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from emtransfer.errors import InputError

DUBLIN_CORE = "{http://purl.org/dc/elements/1.1/}"


class Picture(NamedTuple):
    """A figure of the report.

    Attributes:
        title, description: what it is of, and what it shows.
        data: address that is the SVG itself.
        path: below the folder of results, without suffix.
    """

    title: str
    description: str
    data: str
    path: str


def read_picture(path: Path, results: Path) -> Picture:
    """An SVG that `drawing.style.save` has written.

    Raises:
        InputError: the file says nothing of what it shows.
    """
    content = path.read_bytes()
    found = {
        tag.tag.removeprefix(DUBLIN_CORE): tag.text or ""
        for tag in ElementTree.fromstring(content).iter()
        if tag.tag.startswith(DUBLIN_CORE)
    }
    if not {"title", "description"} <= found.keys():
        raise InputError(f"{path}: has no title and description; expected a figure of this pipeline.")
    data = f"data:image/svg+xml;base64,{base64.b64encode(content).decode()}"
    return Picture(found["title"], found["description"], data, path.relative_to(results).with_suffix("").as_posix())
