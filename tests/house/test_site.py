"""The documentation: its links, its navigation, and the site that is built from it."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml
from documentation.pages import FENCE, LINK, collect, on_site, targets


class AnyTag(yaml.SafeLoader):
    """Reads tags of Python as nothing."""


AnyTag.add_multi_constructor("tag:yaml.org,2002:python/", lambda *_: None)


def entries(nav: Any) -> Iterator[str]:
    """The pages of a part of the navigation."""
    if isinstance(nav, str):
        yield nav
    else:
        for each in nav.values() if isinstance(nav, dict) else nav:
            yield from entries(each)


@pytest.fixture(scope="module")
def pages(files: list[Path], root: Path) -> dict[PurePosixPath, str]:
    """Every page of the repository by its path."""
    return {PurePosixPath(file.relative_to(root)): file.read_text() for file in files if file.suffix == ".md"}


def sections(text: str) -> set[str]:
    """The names by which links refer to the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", text), re.M)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_link_leads_to_a_file(pages: dict[PurePosixPath, str], root: Path) -> None:
    assert [
        (str(page), str(target))
        for page in pages
        for target in targets(page, root / page)
        if not (root / target).exists()
    ] == []


def test_every_link_to_a_section_leads_to_a_heading(pages: dict[PurePosixPath, str], root: Path) -> None:
    found = [
        (page, link[1], link[2])
        for page, text in pages.items()
        for link in re.findall(r"(\]\()(?!https?:)([^)#\s]*)#([^)\s]+)\)", FENCE.sub("", text))
    ]
    assert found
    assert [
        (str(page), file, section)
        for page, file, section in found
        if section not in sections(((root / page).parent / file if file else root / page).read_text())
    ] == []


def test_every_page_that_the_code_names_exists(files: list[Path], root: Path) -> None:
    sources = [file for file in files if file.suffix not in {".md", ".png", ".html", ".svg"}]
    named = {
        (str(file.relative_to(root)), name)
        for file in sources
        for name in re.findall(
            r"(?<![\w/.-])docs/(?!runbooks/NAME)[\w/-]+\.md\b", file.read_text(errors="replace")
        )
    }
    assert len(named) > 10
    assert {(file, name) for file, name in named if not (root / name).exists()} == set()


def test_the_navigation_has_every_page_of_docs_once(root: Path) -> None:
    nav = list(entries(yaml.load((root / "mkdocs.yml").read_text(), AnyTag)["nav"]))  # noqa: S506  a SafeLoader
    site = {str(path) for path in collect(root)}
    written = {str(on_site(PurePosixPath(page.relative_to(root)))) for page in (root / "docs").rglob("*.md")}
    assert len(nav) == len(set(nav))
    assert set(nav) - site == set()
    assert {page for page in written - set(nav) if not page.startswith("runbooks/")} == set()


def test_lists_and_code_are_read_alike_by_every_markdown(pages: dict[PurePosixPath, str]) -> None:
    """Python-Markdown wants an empty line before a list, and four spaces for what is within an item."""
    item = re.compile(r" *([-*]|\d+\.) ")
    faults = []
    for page, text in pages.items():
        lines = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S).splitlines()
        for before, line in zip(["", *lines], lines, strict=False):
            indent = len(line) - len(line.lstrip())
            begins_list = bool(item.match(line))
            after_text = bool(before.strip()) and not item.match(before) and not before.startswith("  ")
            if (begins_list or line.lstrip().startswith("```")) and (
                indent % 4 or (begins_list and after_text)
            ):
                faults.append(f"{page}: {line}")
    assert faults == []


@pytest.mark.slow
def test_the_site_is_built_without_a_warning_and_fetches_nothing(root: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "documentation.site", str(tmp_path)]
    built = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    built_pages = [page for page in (tmp_path / "site").rglob("*.html") if "reports" not in page.parts]
    assert len(built_pages) > 30
    fetched = re.compile(r"<(?:script|link|img|iframe)\b[^>]*?\b(?:src|href)=\"?(?:https?:)?//[^\s>]+")
    assert {found for page in built_pages for found in fetched.findall(page.read_text())} == set()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("[a](missing.md)", "there is no file", id="file"),
        pytest.param("[a](README.md#missing)", "anchor", id="section"),
    ],
)
def test_a_broken_link_ends_the_build(text: str, said: str, root: Path, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "README.md").write_text(f"# Home\n\n{text}\n")
    (tmp_path / "mkdocs.yml").write_text("site_name: s\ntheme: {font: false}\n")
    environ = {"PYTHONPATH": str(root), "NO_COLOR": "1"}
    command = [sys.executable, "-m", "documentation.site", "built"]
    built = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    assert built.returncode != 0
    assert said in built.stdout + built.stderr


def test_a_page_that_is_moved_keeps_its_links(root: Path) -> None:
    site = collect(root)
    (link,) = [
        m for m in LINK.finditer(str(site[PurePosixPath("how-to/examples.md")])) if "xray.yaml" in m[0]
    ]
    assert link["file"] == "../examples/xray/xray.yaml.md"
    assert PurePosixPath("examples/xray/xray.yaml.md") in site
