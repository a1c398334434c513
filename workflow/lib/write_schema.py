"""Write the files generated from the dataclasses of the config: its JSON Schema, the keys that each of them reads, and the reference page.

Run: python workflow/lib/write_schema.py
"""

import json
import re
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import docstring_parser
import yaml
from annotated_types import Ge, Gt, Le, Lt, MinLen

from config_tree import ABSENT, PRESENT, Config
from emtransfer.settings import Absent, Distinct, Elsewhere, Pattern

ROOT = Path(__file__).resolve().parents[2]
WRITTEN = "Written by `make schema` from the dataclasses that read the config; do not edit."
TYPES = {bool: "boolean", int: "integer", float: "number", str: "string"}
LIMITS = {
    Ge: lambda limit: {"minimum": limit.ge},
    Gt: lambda limit: {"exclusiveMinimum": limit.gt},
    Le: lambda limit: {"maximum": limit.le},
    Lt: lambda limit: {"exclusiveMaximum": limit.lt},
    Pattern: lambda limit: {"pattern": limit.regex},
}


def main() -> None:
    for path, text in files().items():
        (ROOT / path).write_text(text, encoding="utf-8")


def files() -> dict[str, str]:
    """Path from the root -> content of every file that is written."""
    keys = {kind.__name__: [field.name for field, _ in keys_of(kind)] for kind in readers()}
    return {
        "workflow/schemas/config.schema.yaml": f"# {WRITTEN}\n{yaml.safe_dump(schema(), sort_keys=False, allow_unicode=True, width=130)}",
        "workflow/schemas/settings_keys.json": f"{json.dumps(keys, indent=1)}\n",
        "docs/configuration.md": page(),
    }


def schema() -> dict:
    """The JSON Schema of the config, draft 2020-12."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Config of emtransfer",
        **object_schema(Config),
        "$defs": {kind.__name__: object_schema(kind) for kind in sections() if kind is not Config},
    }


def sections() -> list[type]:
    """The dataclasses of the tree, each after the one that holds it first."""
    found, waiting = [], [Config]
    while waiting:
        kind = waiting.pop(0)
        if kind not in found:
            found.append(kind)
            waiting = [part for _, hint in keys_of(kind) for part in dataclasses_in(hint)] + waiting
    return found


def readers() -> list[type]:
    """Those, and the dataclasses that read a part of their keys."""
    parts = [part for kind in sections() for part in (*kind.__mro__, *getattr(kind, "ALSO", ())) if is_dataclass(part)]
    return list(dict.fromkeys(parts))


def dataclasses_in(hint: Any) -> Iterator[type]:
    """The dataclasses that a type holds."""
    if isinstance(hint, type) and is_dataclass(hint):
        yield hint
    for part in get_args(hint):
        yield from dataclasses_in(part)


@cache
def keys_of(kind: type) -> list[tuple[Field, Any]]:
    """The fields of a dataclass that are keys of its section, with their types."""
    hints = get_type_hints(kind, include_extras=True)
    own = [(field, hints[field.name]) for field in fields(kind)]
    taken = {field.name for field in fields(kind)}
    others = [key for part in getattr(kind, "ALSO", ()) for key in keys_of(part) if key[0].name not in taken]
    unique = {field.name: (field, hint) for field, hint in [*own, *others]}
    return [(field, hint) for field, hint in unique.values() if not marked(hint, Elsewhere)]


def is_required(kind: type, field: Field) -> bool:
    """Whether a section has to have a key: one without a default that is not of a part of its kinds only."""
    return field in fields(kind) and field.default is MISSING and field.default_factory is MISSING


def marked(hint: Any, mark: type) -> bool:
    """Whether a type is annotated with a mark."""
    return any(isinstance(note, mark) for note in getattr(hint, "__metadata__", ()))


@cache
def descriptions(kind: type) -> dict[str, str]:
    """Key -> its line in the docstring of the class or of one that it is made of."""
    known: dict[str, str] = {}
    for part in (*getattr(kind, "ALSO", ()), *reversed(kind.__mro__)):
        if is_dataclass(part):
            known |= {entry.arg_name: entry.description for entry in docstring_parser.parse(part.__doc__).params}
    return known


def object_schema(kind: type) -> dict:
    """The schema of a section."""
    keys = keys_of(kind)
    found = {
        "description": docstring_parser.parse(kind.__doc__).short_description,
        "type": "object",
        "additionalProperties": False,
        "required": [field.name for field, _ in keys if is_required(kind, field)],
        "properties": {field.name: key_schema(kind, field, hint) for field, hint in keys},
    }
    if getattr(kind, "AT_LEAST_ONE", False):
        found["minProperties"] = 1
    conditions = [
        {
            "if": condition(when),
            "then": {
                "required": list(names),
                "properties": {field.name: bare(value_schema(hint)) for field, hint in keys if field.name in names},
            },
        }
        for when, names in getattr(kind, "REQUIRED", ())
    ]
    return found | ({"allOf": conditions} if conditions else {})


def condition(when: dict[str, tuple]) -> dict:
    """A condition on keys, all of which must hold; without any, that the section has some key."""
    if not when:
        return {"minProperties": 1}
    if len(when) > 1:
        return {"allOf": [condition({key: values}) for key, values in when.items()]}
    ((key, values),) = when.items()
    if values == (PRESENT,):
        return {"required": [key]}
    if values == (None,):
        # left out or null
        return {"properties": {key: {"type": "null"}}}
    if values == (ABSENT,):
        return {"not": {"required": [key]}}
    allowed = {"properties": {key: {"enum": [value for value in values if value is not ABSENT]}}}
    return allowed if ABSENT in values else allowed | {"required": [key]}


def bare(value: dict) -> dict:
    """What a value is, without what it is made of, which the section's own properties say."""
    if "$ref" in value:
        return {"type": "object"}
    return {name: value[name] for name in ("type", "enum", "minimum") if name in value}


def key_schema(kind: type, field: Field, hint: Any) -> dict:
    """The schema of a key: its value, what it is and its default."""
    found = value_schema(hint) | {"description": descriptions(kind)[field.name]}
    if marked(hint, Absent) or field.default is MISSING or is_dataclass(field.default):
        return found
    return found | {"default": list(field.default) if isinstance(field.default, tuple) else field.default}


def value_schema(hint: Any) -> dict:
    """The schema of a value."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return annotated_schema(inner[0], inner[1:])
    if is_dataclass(hint):
        return {"$ref": f"#/$defs/{hint.__name__}"}
    if origin is Literal:
        return {"const": inner[0]} if len(inner) == 1 else {"enum": list(inner)}
    if origin in (Union, UnionType):
        return union_schema(inner)
    if origin is tuple:
        return {"type": "array", "items": value_schema(inner[0])}
    if origin is dict:
        found = {
            "type": "object",
            "propertyNames": value_schema(inner[0]),
            "additionalProperties": value_schema(inner[1]),
        }
        return {key: part for key, part in found.items() if part not in ({}, {"type": "string"})}
    return {} if hint is Any else {"type": TYPES[hint]}


def annotated_schema(hint: Any, notes: tuple) -> dict:
    """The schema of an annotated type."""
    if any(isinstance(note, Absent) for note in notes) and NoneType in get_args(hint):
        (rest,) = (part for part in get_args(hint) if part is not NoneType)
        found = value_schema(rest)
    else:
        found = value_schema(hint)
    for note in notes:
        if isinstance(note, MinLen):
            found |= {"minProperties" if found["type"] == "object" else "minItems": note.min_length}
        elif isinstance(note, Distinct):
            found |= {"uniqueItems": True}
        elif type(note) in LIMITS:
            found |= LIMITS[type(note)](note)
    return found


def union_schema(options: tuple) -> dict:
    """The schema of one type or another."""
    parts = [value_schema(option) for option in options if option is not NoneType]
    if NoneType not in options:
        sections = [part for part in parts if "$ref" in part]
        if sections:
            (section,), (other,) = sections, [part for part in parts if part not in sections]
            # an error in either is then told at its own place
            return {"type": [other["type"], "object"], "if": {"type": "object"}, "then": section, "else": other}
        return {"oneOf": parts}
    (part,) = parts
    if "$ref" in part:
        # an error in the section is then reported at its own place
        return {"type": ["object", "null"], "if": {"type": "object"}, "then": part}
    if "type" in part:
        return part | {"type": [part["type"], "null"]}
    return {"enum": [None, *part.get("enum", [part.get("const")])]}


def page() -> str:
    """The reference page: a table for every section, in the order in which the config is read."""
    lines = [
        "# Configuration",
        "",
        f"<!-- {WRITTEN} -->",
        "",
        "This page lists every key of `config.yaml` and of overlays by section. In a heading, `*` stands for any name or position in a list.",
        "A key without a default is required, unless a line below its table says when it is; *left out* means that it may be absent.",
        "The [glossary](glossary.md) defines the terms, and [change and compare](sweeps.md) says how to write an overlay.",
    ]
    for kind, path in places().items():
        lines += ["", f"## {path}", "", docstring_parser.parse(kind.__doc__).short_description, ""]
        lines += ["| key | value | default | meaning |", "|---|---|---|---|"]
        for field, hint in keys_of(kind):
            text = " | ".join((f"`{field.name}`", in_words(hint), default_of(kind, field, hint)))
            lines.append(f"| {text} | {cell_text(descriptions(kind)[field.name])} |")
        conditions = [sentence(when, names) for when, names in getattr(kind, "REQUIRED", ())]
        lines += ["", *conditions] if conditions else []
    return "\n".join([*lines, ""])


@cache
def places() -> dict[type, str]:
    """Section -> where in the config it stands first, as a heading."""
    found = {Config: "The whole"}
    for kind in sections():
        for field, hint in keys_of(kind):
            above = "" if kind is Config else f"{found[kind].strip('`')}."
            for part in dataclasses_in(hint):
                many = "" if is_alone(hint, part) else ".*"
                found.setdefault(part, f"`{above}{field.name}{many}`")
    return {kind: found[kind] for kind in sections()}


def is_alone(hint: Any, kind: type) -> bool:
    """Whether a key's value is a section itself, and no list or mapping of such."""
    return hint is kind or (
        get_origin(hint) in (Annotated, Union, UnionType) and any(is_alone(part, kind) for part in get_args(hint))
    )


def in_words(hint: Any) -> str:
    """What a value is, for a table."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        text = next((note.noun for note in inner[1:] if isinstance(note, Pattern)), in_words(inner[0]))
        if any(isinstance(note, Absent) for note in inner[1:]):
            text = text.removesuffix(" or null")
        found = [limit for note in inner[1:] for limit in limits_in_words(note)]
        return f"{text} {' and '.join(found)}" if found else text
    if is_dataclass(hint):
        # as Markdown hosts name a heading
        return f"[section](#{re.sub(r'[^a-z0-9_ -]', '', places()[hint]).replace(' ', '-')})"
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in inner)
    if origin in (Union, UnionType):
        return " or ".join(["null" if part is NoneType else in_words(part) for part in inner])
    if origin is tuple:
        return f"list of {in_words(inner[0])}"
    if origin is dict:
        return f"name → {in_words(inner[1])}"
    return {bool: "true or false", int: "whole number", float: "number", str: "text"}.get(hint, "anything")


def limits_in_words(note: Any) -> list[str]:
    """The limits that an annotation sets, for a table."""
    symbols = {Ge: "≥ {0.ge}", Gt: "> {0.gt}", Le: "≤ {0.le}", Lt: "< {0.lt}", MinLen: "(at least {0.min_length})"}
    return [symbols[type(note)].format(note)] if type(note) in symbols else []


def default_of(kind: type, field: Field, hint: Any) -> str:
    """A key's default, for a table."""
    if is_required(kind, field):
        return ""
    if marked(hint, Absent) or field.default is MISSING or is_dataclass(field.default):
        return "*left out*"
    return f"`{json.dumps(field.default)}`"


def sentence(when: dict[str, tuple], names: tuple[str, ...]) -> str:
    """A condition in words."""
    required = f"{', '.join(f'`{name}`' for name in names)} {'is' if len(names) == 1 else 'are'} required."
    if not when:
        return f"Where there is a key, {required}"
    if all(values == (ABSENT,) for values in when.values()):
        return f"Without {' and '.join(f'`{key}`' for key in when)}, {required}"
    ((key, values),) = when.items()
    if values == (PRESENT,):
        return f"With `{key}`, {required}"
    if ABSENT in values or values == (None,):
        return f"Without `{key}`, {required}"
    return f"With `{key}` {' or '.join(f'`{value}`' for value in values)}, {required}"


def cell_text(text: str) -> str:
    """A text that a table can hold."""
    return text.replace("|", "\\|").replace("{", "\\{").replace("}", "\\}")


if __name__ == "__main__":
    main()
