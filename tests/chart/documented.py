"""The commands of Helm that docs/install.md gives."""

import re
import shlex
from pathlib import Path

from cluster.testcluster.appimages import ROOT
from cluster.testcluster.helm import CHART

INSTALL = ROOT / "docs" / "install.md"


def helm_commands(command: str, chart: Path = CHART) -> list[list[str]]:
    """The arguments of each ``helm COMMAND`` of the document; they name ``chart`` instead of charts/pslgs."""
    blocks = re.findall(r"^```sh\n(.*?)^```", INSTALL.read_text(), re.M | re.S)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    words = [shlex.split(line, comments=True) for line in lines if re.match(rf"helm {command}\b", line)]
    return [[str(chart) if word == "charts/pslgs" else word for word in line[1:]] for line in words]
