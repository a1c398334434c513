"""What the documents tell a reader to type: commands, snippets of the config and files, taken out of Markdown.

A fence without a language, or with `sh`, holds commands. Output is fenced as `text`, configs as `yaml`.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from helpers.paths import ROOT

COMMANDS = ("", "sh")
LANGUAGES = (*COMMANDS, "yaml", "json", "python", "text", "mermaid")
PAGES = ("README.md", *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")))
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
# stands for what a page leaves out
LEFT_OUT = "…"
BETWEEN = ("&&", "||", "|", ";", "&")
ASSIGNMENT = re.compile(r"([A-Z][A-Z0-9_]*)=(.*)", re.DOTALL)
BRACES = re.compile(r"(\S*)\{([^{}\s]+,[^{}\s]*)\}(\S*)")


@dataclass(frozen=True)
class Snippet:
    """A fence, or code within a line.

    Attributes:
        place: page and line, as `docs/claims.md:12`.
        language: of the fence; `span` within a line.
        file: name of the file that a comment in the first line says it is, or empty.
    """

    place: str
    language: str
    text: str

    @property
    def file(self) -> str:
        first = re.match(r"# (\S+\.\w+)\n", self.text)
        return first[1] if first else ""


@dataclass(frozen=True)
class Command:
    """One command: its words behind the shell, and the variables that are set in front of it.

    Attributes:
        words: program and arguments; without redirections.
        sets: names of the variables.
        written: files that its output goes to.
    """

    place: str
    words: tuple[str, ...]
    sets: tuple[str, ...] = ()
    written: tuple[str, ...] = ()

    def __str__(self) -> str:
        return shlex.join(self.words)


def snippets(page: str, text: str) -> list[Snippet]:
    """Fences of a page, then the code within its lines."""

    def place(start: int) -> str:
        return f"{page}:{text.count(chr(10), 0, start) + 1}"

    fences = [
        Snippet(place(found.start()), found[2], re.sub(rf"^ {{0,{len(found[1])}}}", "", found[3], flags=re.MULTILINE))
        for found in FENCE.finditer(text)
    ]
    # fences become blank, and lines stay where they are
    rest = FENCE.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)
    return fences + [Snippet(place(found.start()), "span", found[1]) for found in SPAN.finditer(rest)]


def commands(snippet: Snippet) -> Iterator[Command]:
    """The commands of a snippet in their order.

    Raises:
        ValueError: a quote is not closed.
    """
    waiting = ""
    for line in snippet.text.replace("\\\n", " ").splitlines():
        waiting += line
        try:
            words = split(waiting)
        except ValueError:
            # a quote goes on in the next line
            waiting += "\n"
            continue
        waiting = ""
        yield from simple_commands(snippet.place, words)
    if waiting:
        raise ValueError(f"a quote is not closed: {waiting.strip()}")


def split(line: str) -> list[str]:
    """Words and punctuation of a line of shell, without its comment."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="();<>|&")
    lexer.whitespace_split = True
    return list(lexer)


def simple_commands(place: str, words: list[str]) -> Iterator[Command]:
    """Split a line at what stands between two commands."""
    parts: list[list[str]] = [[]]
    for word in words:
        if word in BETWEEN:
            parts.append([])
        else:
            parts[-1].append(word)
    for part in filter(None, parts):
        yield simple_command(place, part)


def simple_command(place: str, words: list[str]) -> Command:
    """One command, its redirections and assignments taken off."""
    written = [after for word, after in zip(words, words[1:], strict=False) if word in (">", ">>")]
    for file in written:
        at = next(index for index, word in enumerate(words) if word in (">", ">>") and words[index + 1] == file)
        del words[at : at + 2]
    sets = []
    while words and (found := ASSIGNMENT.fullmatch(words[0])):
        sets.append(found[1])
        words = words[1:]
    return Command(place, tuple(word for each in words for word in expanded(each)), tuple(sets), tuple(written))


def expanded(word: str) -> list[str]:
    """`a{b,c}` as the words `ab` and `ac`, as a shell does; JSON has blanks in its braces."""
    found = BRACES.fullmatch(word)
    return [f"{found[1]}{middle}{found[3]}" for middle in found[2].split(",")] if found else [word]


def whole(command: Command) -> Command:
    """A command without the words that stand for what was left out."""
    return replace(command, words=tuple(word for word in command.words if LEFT_OUT not in word))


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def files_shown(snippet_lists: list[list[Snippet]], folder: Path) -> list[str]:
    """Write the files that pages show whole into a folder; a line for each that two pages show differently."""
    shown: dict[str, Snippet] = {}
    problems = []
    for snippet in (each for page in snippet_lists for each in page if each.file):
        other = shown.setdefault(snippet.file, snippet)
        if other.text != snippet.text:
            problems.append(f"{snippet.place}: {snippet.file} is another one at {other.place}")
        path = folder / snippet.file
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(snippet.text, encoding="utf-8")
    return problems
