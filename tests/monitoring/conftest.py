import shutil
from pathlib import Path

import pytest
import yaml


@pytest.fixture(scope="session")
def root() -> Path:
    return Path(__file__).parents[2]


@pytest.fixture(scope="session")
def rules_file(root: Path) -> Path:
    return root / "charts" / "pslgs" / "files" / "rules.yaml"


@pytest.fixture(scope="session")
def rules(rules_file: Path) -> dict[str, dict]:
    """All rules by name."""
    groups = yaml.safe_load(rules_file.read_text())["groups"]
    return {rule.get("alert") or rule["record"]: rule for group in groups for rule in group["rules"]}


@pytest.fixture(scope="session")
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is not installed; `apt-get install prometheus` has it")
    return found
