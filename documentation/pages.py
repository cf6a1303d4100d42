"""The pages of the site: those of docs/, and the files of the repository to which they link.

Links lead to files of the repository, so that they work wherever it is browsed. On the site, the pages of
docs/ lie one folder higher, and a linked source file is a page that shows it.
"""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Final

DOCS: Final = PurePosixPath("docs")
LINK: Final = re.compile(r"\]\((?P<file>(?![a-z]+:|#)[^)#\s]+)(?P<section>#[^)\s]*)?\)")
FENCE: Final = re.compile(r"^( *)```.*?^\1```", re.M | re.S)
_LANGUAGES: Final[Mapping[str, str]] = {
    ".yaml": "yaml",
    ".py": "python",
    ".lua": "lua",
    "Dockerfile": "dockerfile",
    "LICENSE": "text",
}
"""Of source files that are shown on a page, by suffix or name."""


class LinkError(Exception):
    """Links lead to nothing, or to a folder."""


def collect(root: Path) -> dict[PurePosixPath, str | bytes]:
    """Return the files from which the site is built, by their path below its folder.

    Raises:
        LinkError: the message names each page and where its link leads.
    """
    waiting = [PurePosixPath(file.relative_to(root)) for file in (root / DOCS).rglob("*") if file.is_file()]
    known = {*waiting}
    files: dict[PurePosixPath, str | bytes] = {}
    broken: list[str] = []
    while waiting:
        path = waiting.pop()
        files[on_site(path)] = _content(path, root / path)
        for target in targets(path, root / path):
            if not (root / target).is_file():
                broken.append(f"{path}: there is no file {target}")
            elif target not in known:
                known.add(target)
                waiting.append(target)
    if broken:
        raise LinkError("\n".join(sorted(broken)))
    return files


def targets(path: PurePosixPath, file: Path) -> Iterator[PurePosixPath]:
    """Yield the files of the repository to which a page links; other files have no links."""
    if path.suffix == ".md":
        for link in LINK.finditer(FENCE.sub("", file.read_text(encoding="utf-8"))):
            yield _target(path, link["file"])


def on_site(path: PurePosixPath) -> PurePosixPath:
    """Return the path of a file among those from which the site is built."""
    moved = path.relative_to(DOCS) if path.is_relative_to(DOCS) else path
    return moved.with_name(f"{moved.name}.md") if _language(path) else moved


def _target(page: PurePosixPath, link: str) -> PurePosixPath:
    return PurePosixPath(os.path.normpath(page.parent / link))


def _language(path: PurePosixPath) -> str | None:
    return _LANGUAGES.get(path.suffix or path.name)


def _content(path: PurePosixPath, file: Path) -> str | bytes:
    if path.suffix == ".md":
        return _relinked(path, file.read_text(encoding="utf-8"))
    if language := _language(path):
        return f"# {path.name}\n\n`{path}`\n\n````{language}\n{file.read_text(encoding='utf-8')}````\n"
    return file.read_bytes()


def _relinked(path: PurePosixPath, text: str) -> str:
    def on_the_site(link: re.Match[str]) -> str:
        target = os.path.relpath(on_site(_target(path, link["file"])), on_site(path).parent)
        return f"]({target}{link['section'] or ''})"

    return LINK.sub(on_the_site, text)
