"""``python -m documentation.site FOLDER`` builds the site of the repository in the working directory.

It is in FOLDER/site then. Links that lead nowhere are errors.
"""

import shutil
import subprocess
import sys
from pathlib import Path

from documentation.pages import LinkError, collect


def build(root: Path, folder: Path) -> int:
    """Build the site of a repository in ``folder / "site"`` and return the exit code.

    Raises:
        LinkError: a link leads to no file of the repository.
    """
    shutil.rmtree(folder, ignore_errors=True)
    for path, content in collect(root).items():
        file = folder / "docs" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
    shutil.copy(root / "mkdocs.yml", folder)
    zensical = [sys.executable, "-m", "zensical", "build", "--strict"]
    return subprocess.run(zensical, cwd=folder, check=False).returncode  # noqa: S603  no input of anybody


def main() -> None:
    """Build it, and end with the exit code of the builder."""
    try:
        sys.exit(build(Path.cwd(), Path(sys.argv[1])))
    except LinkError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
