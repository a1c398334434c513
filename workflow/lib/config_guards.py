"""Contents that no config may have, at any depth: permission to run a repository's code, and keys, which belong in the environment."""

from collections.abc import Iterator

from config_mistakes import Place, mistake
from emtransfer.secrets import secrets

FOREIGN_CODE = "trust_remote_code"


def check_guards(config: dict) -> None:
    """Raise InputError for a key that lets foreign code run, or a secret; the message does not show the secret."""
    for place, node in nodes(config):
        if isinstance(node, dict) and FOREIGN_CODE in node:
            raise mistake((*place, FOREIGN_CODE), "given", "no such key, since no code of a repository is run")
        for text in node if isinstance(node, dict) else [node]:
            for variable, key in secrets().items():
                if isinstance(text, str) and key in text:
                    raise mistake(place, f"or holds the key in {variable}", "it only in the environment")


def nodes(tree: object, place: Place = ()) -> Iterator[tuple[Place, object]]:
    """Every mapping, list and value of a tree, parents first, with its place."""
    yield place, tree
    children = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for name, child in children:
        yield from nodes(child, (*place, name))
