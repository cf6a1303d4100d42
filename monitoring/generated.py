"""Everything that is generated, and where it and the rules lie."""

from pathlib import Path
from typing import Final

from monitoring.fleet import FLEET
from monitoring.grafana import as_json
from monitoring.reference import as_markdown
from monitoring.surface import surfaces
from monitoring.training_health import TRAINING_HEALTH

RULES: Final = Path("charts/pslgs/files/rules.yaml")
DASHBOARDS: Final = {
    f"charts/pslgs/files/dashboards/{page.uid.removeprefix('pslgs-')}.json": page
    for page in (TRAINING_HEALTH, FLEET)
}


def generated() -> dict[str, str]:
    """Return the files by their path below the root."""
    pages = {path: as_json(page) for path, page in DASHBOARDS.items()}
    return {**pages, "docs/reference/metrics.md": as_markdown(surfaces())}
