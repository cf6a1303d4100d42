"""Commands and manifests that documents give."""

import re
import shlex
from pathlib import Path

from cluster.testcluster.appimages import ROOT
from cluster.testcluster.helm import CHART

INSTALL = ROOT / "docs" / "how-to" / "install.md"
UPGRADE = ROOT / "docs" / "how-to" / "upgrade.md"
README = ROOT / "README.md"


def commands(start: str, document: Path = INSTALL) -> list[list[str]]:
    """The words of each command of a document that begins like this."""
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```", document.read_text(), re.M | re.S)
    lines = [line.strip() for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [shlex.split(line, comments=True) for line in lines if re.match(rf"{start}\b", line)]


def helm_commands(command: str, chart: Path = CHART, document: Path = INSTALL) -> list[list[str]]:
    """The arguments of each ``helm COMMAND`` of a document; they name ``chart`` instead of charts/pslgs.

    They do not wait for pods, which no test of the chart has.
    """
    found = commands(f"helm {command}", document)
    return [
        [str(chart) if word == "charts/pslgs" else word for word in words[1:] if word != "--wait"]
        for words in found
    ]
