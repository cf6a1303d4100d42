"""The code blocks of documents, and the commands in them."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
_BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^\1```", re.M | re.S)
_HERE = re.compile(r"<<'(\w+)'")


@dataclass(frozen=True)
class Command:
    """A command of a shell, and the page that gives it."""

    page: Path
    text: str

    @property
    def words(self) -> list[str]:
        """The command's words without comments, redirections, and what it is piped into."""
        words = shlex.split(self.text.replace("\\\n", " ").splitlines()[0], comments=True)
        ends = [n for n, word in enumerate(words) if word in {"|", "&&", ";"} or word.startswith(">")]
        return words[: ends[0]] if ends else words

    def __str__(self) -> str:
        return f"{self.page.stem}: {' '.join(self.words)[:60]}"


def blocks(page: Path, language: str) -> list[str]:
    """The blocks in a language, without the indentation of what is in a list."""
    found = _BLOCK.findall(page.read_text())
    return [re.sub(rf"^{indent}", "", text, flags=re.M) for indent, kind, text in found if kind == language]


def commands(page: Path) -> list[Command]:
    """The commands of a page in their order, each with its here-document."""
    return [Command(page, text) for block in blocks(page, "sh") for text in _split(block)]


def _split(block: str) -> Iterator[str]:
    lines = iter(block.splitlines())
    for line in lines:
        if not line.strip() or line.startswith("#"):
            continue
        parts = [line]
        while parts[-1].endswith("\\"):
            parts.append(next(lines))
        if here := _HERE.search(line):
            while parts[-1] != here[1]:
                parts.append(next(lines))
        yield "\n".join(parts)
