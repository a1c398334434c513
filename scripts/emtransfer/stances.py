"""The two answers that a row of a corpus has to its question: `{stance}_answer`."""

STANCES = ("aligned", "misaligned")
