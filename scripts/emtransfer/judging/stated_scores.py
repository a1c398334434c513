"""The score that a judge states in its reply: one rule for all judges that write text."""

import re

HIGHEST = 100

# what may stand around a number without changing it: white space, emphasis, quotes, brackets; all of it at once, since no part
# below begins with such a mark, and to try fewer takes cubic time where many stand in a row
MARKS = r"[\s*_`\"'“”‘’#()\[\]{}]*+"
LABEL = rf"[A-Za-z][A-Za-z ]{{0,40}}?{MARKS}(?:[:=]|\bis\b)"
OF_HUNDRED = rf"{MARKS}(?:/|\bout of\b)\s*100(?![0-9.,]*[0-9])"
STATEMENT = re.compile(rf"{MARKS}(?:{LABEL}{MARKS})?([0-9]{{1,3}}){MARKS}(?:{OF_HUNDRED})?{MARKS}\.?{MARKS}")
NUMBER = r"[-−+]?\d+(?:[.,]\d+)*"


def stated_score(text: str) -> int | None:
    """The whole number from 0 to 100 that a text states; None where it states none, or more than one.

    A line, or a sentence, has to be nothing but the number – with marks around it, a label before it (`Score: 85`) or its
    scale after it (`85/100`) – and no other number may stand in the text.
    """
    found = [STATEMENT.fullmatch(part) for part in re.split(r"\n|(?<=\.)\s+", text.strip())]
    stated = {int(match[1]) for match in found if match}
    numbers = set(re.findall(NUMBER, re.sub(rf"(?<=[0-9]){OF_HUNDRED}", "", text)))
    if len(stated) != 1 or len({number.lstrip("0") or "0" for number in numbers}) != 1:
        return None
    (score,) = stated
    return score if score <= HIGHEST else None


def holds_number(text: str) -> bool:
    """Whether a text has a digit; asking again would then mean asking for a different answer."""
    return any(character.isdigit() for character in text)
