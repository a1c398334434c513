"""Folders in the form of a dataset on the hub."""

from pathlib import Path

from helpers.row_files import write_jsonl


def write_dataset(folder: Path, configs: dict[str, list[dict]]) -> None:
    """Write a dataset's configs, one file each, and the card that names them."""
    lines = ["---", "configs:"]
    for name, rows in configs.items():
        write_jsonl(folder / f"{name}.jsonl", rows)
        lines += [f"- config_name: {name}", f"  data_files: {name}.jsonl"]
    (folder / "README.md").write_text("\n".join([*lines, "---", ""]))
