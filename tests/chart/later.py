"""A later version of the chart: it has a new value, a template that uses it, and a new column."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from cluster.testcluster.helm import CHART

COLUMN = "Later"
VALUE = """
# A value that earlier versions do not have.
later:
  # Text of the ConfigMap.
  text: new default
"""
TEMPLATE = """
apiVersion: v1
kind: ConfigMap
metadata: {name: later, namespace: {{ .Release.Namespace }}}
data: {text: {{ (.Values.later).text | default "none" | quote }}}
"""


def later_chart(folder: Path) -> Path:
    """Create it below ``folder``; its schema is generated from its values, as for a release."""
    copy = Path(shutil.copytree(CHART.parent, folder / "later"))
    chart = copy / CHART.name
    about = yaml.safe_load((chart / "Chart.yaml").read_text())
    (chart / "Chart.yaml").write_text(yaml.safe_dump(about | {"version": "9.0.0", "appVersion": "9.0.0"}))
    with (chart / "values.yaml").open("a") as values:
        values.write(VALUE)
    (chart / "templates" / "later.yaml").write_text(TEMPLATE)
    subprocess.run([sys.executable, copy / "generate.py"], check=True)
    _add_column(chart / "files" / "splittrainingjobs.yaml")
    return chart


def _add_column(definition: Path) -> None:
    column = {"name": COLUMN, "type": "string", "jsonPath": ".metadata.uid"}
    added = rf"\g<0>\1  - {json.dumps(column)}\n"
    definition.write_text(re.sub(r"( *)additionalPrinterColumns:\n", added, definition.read_text()))
