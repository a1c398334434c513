"""Text files in UTF-8, with or without a byte-order mark; another encoding is named, and invisible text counts as blank."""

import codecs
import gzip
import zlib
from io import BufferedReader
from pathlib import Path
from unicodedata import category

from emtransfer.errors import InputError

# the longer marks first: that of UTF-32 begins like that of UTF-16
MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
# what Unicode counts among controls, formats (zero-width characters), separators and marks that join the letter before
UNSEEN = ("Cc", "Cf", "Zs", "Zl", "Zp", "Mn", "Me")
# and letters and symbols that are drawn as nothing: fillers of Hangul, the empty pattern of Braille
FILLERS = "\u115f\u1160\u3164\uffa0\u2800"


def read_text(path: Path) -> str:
    """All text of a file, unpacked where it is a .gz, without its byte-order mark; line breaks as they are.

    Raises:
        InputError: the file is not a whole gzip file, or of another encoding; names line and encoding.
    """
    try:
        with open_bytes(path) as file:
            return file.read().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{encoding_found(path)}; expected UTF-8.") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{path}: {error}; expected a whole gzip file.") from None


def open_bytes(path: Path) -> gzip.GzipFile | BufferedReader:
    """The file's bytes, unpacked where it is a .gz."""
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")


def encoding_found(path: Path) -> str:
    """The place of the first bytes that are not UTF-8, and what they look like."""
    # not charset-normalizer, which takes Latin-1 for the code page of Central Europe and GB 18030 for a Korean one
    with open_bytes(path) as file:
        for number, line in enumerate(file, start=1):
            mark = next((name for mark, name in MARKS.items() if number == 1 and line.startswith(mark)), None)
            if mark:
                return f"{path}: encoding is {mark}"
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                return f"{path}:{number}: byte 0x{line[error.start]:02x}, as in Latin-1 or Windows-1252"
    return f"{path}: not UTF-8"


def is_blank(text: str) -> bool:
    """Whether nothing of a text can be seen."""
    return not text.strip() or all(category(character) in UNSEEN or character in FILLERS for character in text)
