"""The next version of the chart."""

import json
import re
import shutil
from pathlib import Path

import yaml

from cluster.testcluster.helm import CHART

COLUMN = "Later"


def later_chart(folder: Path) -> Path:
    """Make it below ``folder``; its definition has one more column."""
    chart = Path(shutil.copytree(CHART, folder / "later"))
    about = yaml.safe_load((chart / "Chart.yaml").read_text())
    (chart / "Chart.yaml").write_text(yaml.safe_dump(about | {"version": "9.0.0", "appVersion": "9.0.0"}))
    definition = chart / "files" / "splittrainingjobs.yaml"
    column = {"name": COLUMN, "type": "string", "jsonPath": ".metadata.uid"}
    text = re.sub(
        r"( *)additionalPrinterColumns:\n", rf"\g<0>\1  - {json.dumps(column)}\n", definition.read_text()
    )
    definition.write_text(text)
    return chart
