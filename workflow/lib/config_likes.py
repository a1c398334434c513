"""Experiments that are like another one: a full copy of it, changed by their own keys; and bases that are checkpoints of another."""

from functools import reduce
from typing import Any

from config_mistakes import choice, mistake, quoted

LIKE = "like"
CHECKPOINT = "checkpoint_of"
# what a checkpoint shares with the base in whose pretraining it stopped
OF_PRETRAINING = ("base_model", "mixture", "seed")


def resolve_likes(config: dict[str, Any], schema: dict[str, Any]) -> None:
    """Put a whole experiment in the place of each that is like another one, and complete bases that are checkpoints.

    Args:
        config: merged from config.yaml and overlays, so that an experiment takes over what overlays change in another.
        schema: of the config, which says where null is a value; elsewhere it removes a key.

    Raises:
        InputError: there is no experiment of that name, or one is like itself; or as of `resolve_checkpoints`.
    """
    resolve_checkpoints(config)
    experiments = config.get("experiments")
    if not isinstance(experiments, dict):
        return
    kind = schema["$defs"]["Experiment"]
    whole = {}
    for name in experiments:
        first, *others = (own_keys(experiments[ancestor]) for ancestor in lineage(name, experiments))
        if others:
            whole[name] = reduce(lambda below, above: laid_over(below, above, kind, schema), others, first)
    experiments.update(whole)


def resolve_checkpoints(config: dict[str, Any]) -> None:
    """Give every base that is a checkpoint of another one the base model, mixture and seed of that.

    Args:
        config: merged from config.yaml and overlays; is changed.

    Raises:
        InputError: there is no base of that name that was pretrained itself, or the checkpoint says otherwise.
    """
    bases = config.get("bases")
    if not isinstance(bases, dict):
        return
    whole = {name: base for name, base in bases.items() if isinstance(base, dict) and CHECKPOINT not in base}
    for name, base in bases.items():
        if not isinstance(base, dict) or CHECKPOINT not in base:
            continue
        if not isinstance(base[CHECKPOINT], str) or base[CHECKPOINT] not in whole:
            raise mistake(("bases", name, CHECKPOINT), quoted(base[CHECKPOINT]), choice(whole, base[CHECKPOINT]))
        shared = {key: whole[base[CHECKPOINT]][key] for key in OF_PRETRAINING if key in whole[base[CHECKPOINT]]}
        for key in OF_PRETRAINING:
            if key in base and base[key] != shared.get(key):
                expected = f"{quoted(shared.get(key))} or nothing, since it is a checkpoint of {base[CHECKPOINT]}"
                raise mistake(("bases", name, key), quoted(base[key]), expected)
        base.update(shared)


def lineage(name: str, experiments: dict[str, Any]) -> list[str]:
    """The experiment that is like no other, the one that is like it, and so on to the one of this name."""
    names = [name]
    while is_like_another(experiments[names[0]]):
        found, others = experiments[names[0]][LIKE], [other for other in experiments if other not in names]
        if found not in others:
            circle = found in names
            expected = f"an experiment that is not like {names[0]} in turn" if circle else choice(others, found)
            raise mistake(("experiments", names[0], LIKE), quoted(found), expected)
        names.insert(0, found)
    return names


def is_like_another(experiment: Any) -> bool:
    """Whether an experiment names another one that it is like."""
    return isinstance(experiment, dict) and LIKE in experiment


def own_keys(experiment: Any) -> Any:
    """What an experiment says besides what it is like."""
    return {key: experiment[key] for key in experiment if key != LIKE} if is_like_another(experiment) else experiment


def laid_over(below: Any, above: Any, kind: dict[str, Any], schema: dict[str, Any]) -> Any:
    """A value over another: mappings are merged key by key, anything else replaces what is below.

    Args:
        kind: what the schema says of the value.
    """
    if not isinstance(above, dict):
        return above
    found = dict(below) if isinstance(below, dict) else {}
    for key, value in above.items():
        part = part_of(kind, key, schema)
        if value is None and not takes_null(part):
            found.pop(key, None)
        else:
            found[key] = laid_over(found.get(key), value, part, schema)
    return found


def part_of(kind: dict[str, Any], key: Any, schema: dict[str, Any]) -> dict[str, Any]:
    """What the schema says of a key of a mapping, or {}."""
    others = kind.get("additionalProperties") or {}
    part: dict[str, Any] = kind.get("properties", {}).get(key, others)
    return schema["$defs"][part["$ref"].removeprefix("#/$defs/")] if "$ref" in part else part


def takes_null(kind: dict[str, Any]) -> bool:
    """Whether null is a value here."""
    return "null" in kind.get("type", ()) or None in kind.get("enum", ())
