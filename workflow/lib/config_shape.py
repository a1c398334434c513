"""The shape of the config against the schema, the first violation in words."""

import math
import re
from datetime import date

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import extend

from config_mistakes import choice, mistake, quoted
from emtransfer.errors import InputError
from emtransfer.models.ready_models import Distribution, PackagePath, Sha256, Version
from emtransfer.settings import Cell, Commit, Date, File, Name, Text, TrainSet, Word

NOUNS = {
    "number": "a number",
    "integer": "a whole number",
    "string": "text",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "null",
}

LIMITS = {
    "minimum": "of at least {}",
    "exclusiveMinimum": "above {}",
    "maximum": "of at most {}",
    "exclusiveMaximum": "below {}",
    "minItems": "of length {} or more",
    "minProperties": "with {} or more names",
}

# regular expression of the schema -> a description of matching texts
PATTERNS = {
    note.regex: note.words
    for hint in (Name, Cell, TrainSet, File, Commit, Date, Word, Text, Distribution, Version, PackagePath, Sha256)
    for note in hint.__metadata__
}

# JSON Schema takes 3.0 for an integer and has no word for NaN; neither is a number of epochs
Validator = extend(
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine_many(
        {
            "integer": lambda _, value: type(value) is int,
            "number": lambda _, value: type(value) is int or (type(value) is float and math.isfinite(value)),
        }
    ),
)


def check_schema(config: dict, schema: dict) -> None:
    """Raise InputError for a violation of the schema."""
    errors = Validator(schema).iter_errors(config)
    # a misspelt key is a missing key too, and the misspelling says more
    error = min(errors, key=lambda error: error.validator != "additionalProperties", default=None)
    if error is not None:
        raise schema_mistake(error, schema)


def schema_mistake(error: ValidationError, schema: dict) -> InputError:
    """A violation of the schema in words."""
    place, value = tuple(error.absolute_path), error.instance
    if "propertyNames" in error.absolute_schema_path:
        return mistake((*place, value), "not a valid name", "a name of a-z, 0-9 and _")
    if error.validator == "additionalProperties":
        known = error.schema["properties"]
        unknown = next(key for key in value if key not in known)
        return mistake((*place, unknown), "not a known key", choice(known, unknown))
    if error.validator == "required":
        missing = next(key for key in error.validator_value if key not in value)
        return mistake((*place, missing), "missing", expectation(error.schema["properties"][missing], schema))
    if error.validator == "uniqueItems":
        return mistake(place, quoted(value), "no value twice")
    return mistake(place, quoted(value), expectation(error.schema, schema) + yaml_hint(value, error.schema))


def expectation(part: dict, schema: dict) -> str:
    """What a part of the schema asks for, in words."""
    if "$ref" in part:
        part = schema["$defs"][part["$ref"].removeprefix("#/$defs/")]
    if "oneOf" in part:
        return " or ".join(expectation(option, schema) for option in part["oneOf"])
    if "const" in part:
        return quoted(part["const"])
    if "enum" in part:
        return f"one of {', '.join(map(str, part['enum']))}"
    if "pattern" in part:
        nullable = " or null" if "null" in part["type"] else ""
        return PATTERNS[part["pattern"]] + nullable
    first, *others = part["type"] if isinstance(part["type"], list) else [part["type"]]
    return " or ".join([NOUNS[first] + limits(part), *map(NOUNS.get, others)])


def limits(part: dict) -> str:
    """The limits a part of the schema sets, in words."""
    if {"minimum", "maximum"} <= part.keys():
        return f" in {part['minimum']}..{part['maximum']}"
    words = [text.format(part[key]) for key, text in LIMITS.items() if key in part]
    return f" {' and '.join(words)}" if words else ""


def yaml_hint(value: object, part: dict) -> str:
    """How to write what YAML took for something else: a number without a point, a date without quotes."""
    if isinstance(value, date) and part.get("type") == "string":
        return " (YAML needs quotes around a date)"
    is_text = isinstance(value, str) and "number" in part.get("type", ())
    return " (YAML needs a point, as in 1.0e-3)" if is_text and re.fullmatch(r"\d+e[-+]?\d+", value) else ""
