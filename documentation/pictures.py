"""``python -m documentation.pictures`` makes the pictures of README.md from a run of examples/digits.yaml.

It needs tmux and Chromium.  The dashboard is the upper part of what ``python -m monitoring.pictures`` draws.
"""

import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from PIL import Image
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

FOLDER: Final = Path("docs/pictures")
DASHBOARD: Final = Path("docs/dashboards/training-health.png")
COMMAND: Final = "pslgs run examples/digits.yaml"
_COLUMNS: Final = 96
_LINES: Final = 30
_REPORT_PIXELS: Final = (1200, 1000)
_FONTS: Final = re.compile(r"@font-face \{.*?\}\s*", re.S)
"""Of the web, which nobody shall have to fetch."""


class PictureError(Exception):
    """A program is missing, or the run did not end well."""


@contextmanager
def _terminal(folder: Path) -> Iterator[str]:
    """Start the command in a terminal of tmux, and yield the name of tmux's socket."""
    socket = str(folder / "tmux")
    output = folder / "digits"
    program = f"{sys.executable} -m pslgs.cli run examples/digits.yaml --output {output}"
    size = ("-x", str(_COLUMNS), "-y", str(_LINES))
    script = f"{program}; echo $? >{folder}/code; sleep 600"
    _call("tmux", "-S", socket, "new-session", "-d", *size, script)
    try:
        yield socket
    finally:
        subprocess.run(["tmux", "-S", socket, "kill-server"], check=False, capture_output=True)  # noqa: S603, S607


def _screens(folder: Path) -> tuple[str, str]:
    """Return the screen in the midst of the run, and at its end.

    Raises:
        PictureError: the run failed.
    """
    midst = ""
    with _terminal(folder) as socket:
        while not (folder / "code").exists():
            screen = _call("tmux", "-S", socket, "capture-pane", "-e", "-p")
            if re.search(r"epoch (?:1[5-9]|2\d)/30", screen):
                midst = midst or screen
            time.sleep(0.1)
        end = _call("tmux", "-S", socket, "capture-pane", "-e", "-p")
    if (folder / "code").read_text().strip() != "0" or not midst:
        raise PictureError(f"the run failed, or was too fast to be seen:\n{end}")
    return midst, end


def _as_svg(screen: str, folder: Path) -> str:
    """Draw a screen; the scratch folder is called as the command calls it by default."""
    text = re.sub(r"\n{2,}$", "\n", screen.replace(str(folder), "runs")).rstrip()
    console = Console(record=True, width=_COLUMNS, file=Path("/dev/null").open("w", encoding="utf-8"))  # noqa: SIM115
    console.print(Text(f"$ {COMMAND}", style="bold"))
    console.print(Text.from_ansi(text))
    return _FONTS.sub("", console.export_svg(title="", theme=MONOKAI, unique_id="terminal"))


def _photograph(page: Path, picture: Path) -> None:
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        raise PictureError("Chromium is missing: install it, e.g. apt-get install chromium")
    size = ",".join(map(str, _REPORT_PIXELS))
    options = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--window-size={size}")
    _call(chromium, *options, f"--screenshot={picture.absolute()}", page.as_uri())


def _crop(picture: Path, part: Path) -> None:
    """Keep the upper part of a picture, with the proportions of the report's."""
    with Image.open(picture) as whole:
        width, height = _REPORT_PIXELS
        upper = whole.crop((0, 0, whole.width, whole.width * height // width))
        upper.resize(_REPORT_PIXELS).convert("P", palette=Image.Palette.ADAPTIVE).save(part, optimize=True)


def _call(*words: str) -> str:
    if shutil.which(words[0]) is None:
        raise PictureError(f"{words[0]} is missing: install it")
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout  # noqa: S603  our own words


def main() -> None:
    """Run the job, and write the pictures."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        midst, end = _screens(folder)
        (FOLDER / "terminal.svg").write_text(_as_svg(midst, folder), encoding="utf-8")
        (FOLDER / "terminal-end.svg").write_text(_as_svg(end, folder), encoding="utf-8")
        _photograph(folder / "digits" / "report.html", FOLDER / "report.png")
    _crop(DASHBOARD, FOLDER / "dashboard.png")


if __name__ == "__main__":
    try:
        main()
    except PictureError as error:
        sys.exit(str(error))
