"""``python -m documentation.generated FOLDER`` writes the pages that are generated from the code.

They are written below FOLDER as they lie in the repository.
"""

import sys
from pathlib import Path

from documentation import commands, exit_codes, figures, messages, python_api
from pslgs.cli.main import app


def generated() -> dict[str, str]:
    """Return the text of each page and figure by its path below the root."""
    return {
        **figures.figures(),
        "docs/reference/commands.md": commands.as_markdown(app),
        "docs/reference/exit-codes.md": exit_codes.as_markdown(),
        "docs/reference/messages.md": messages.as_markdown(),
        "docs/reference/python.md": python_api.as_markdown(),
    }


def write(folder: Path) -> None:
    """Write the pages below a folder."""
    for path, text in generated().items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
