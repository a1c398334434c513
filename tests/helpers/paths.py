"""Where the tests find the project's files."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "scripts"
PROMPTS = ROOT / "resources/generators/grid.yaml"
RUBRIC = ROOT / "resources/rubrics/grid.yaml"
