"""What holds for every image: thin code layer, no root, no build tools, nothing of a registry."""

import re
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
IMAGES = ("operator", "runtime")


def instructions(image: str) -> list[tuple[str, str]]:
    """Return an image's instructions in order, with their arguments on one line."""
    text = (ROOT / "images" / image / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines]


def stages(image: str) -> list[list[tuple[str, str]]]:
    """Split the instructions at FROM."""
    found: list[list[tuple[str, str]]] = []
    for name, argument in instructions(image):
        if name == "FROM":
            found.append([])
        if found:
            found[-1].append((name, argument))
    return found


@pytest.mark.parametrize("image", IMAGES, ids=str)
def test_the_last_stage_begins_at_the_bare_base_and_runs_as_nobody(image):
    last = stages(image)[-1]
    assert last[0] == ("FROM", "${BASE_IMAGE}")
    assert [argument for name, argument in last if name == "USER"] == ["65532:0"]
    assert not any("pip" in argument for name, argument in last if name == "RUN")


@pytest.mark.parametrize("image", IMAGES, ids=str)
def test_the_code_is_a_layer_of_its_own_upon_the_requirements(image):
    copies = [argument for name, argument in stages(image)[-1] if name == "COPY"]
    assert [copy.split()[0] for copy in copies] == ["--from=requirements", "--from=code"]


@pytest.mark.parametrize("image", IMAGES, ids=str)
def test_requirements_are_installed_by_their_hashes(image):
    (requirements,) = (stage for stage in stages(image) if stage[0][1].endswith("AS requirements"))
    sources = [argument for name, argument in requirements if name == "COPY"]
    assert any(f"requirements/{image}.txt" in source for source in sources)
    install = " ".join(argument for name, argument in requirements if name == "RUN")
    if "./install" in install:
        install = (ROOT / "images" / image / "install").read_text()
    assert "--require-hashes" in install


@pytest.mark.parametrize("image", IMAGES, ids=str)
def test_all_that_is_copied_is_in_the_build_context(image):
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    admitted = [line.removeprefix("!") for line in lines if line.startswith("!")]
    copied = [
        source
        for name, argument in instructions(image)
        if name == "COPY" and not argument.startswith("--from")
        for source in argument.split()[:-1]
    ]
    assert copied
    assert [source for source in copied if not (ROOT / source).exists()] == []
    assert [source for source in copied if source.split("/")[0] not in admitted] == []
    assert fnmatch("a/__pycache__", next(line for line in lines if "pycache" in line).replace("**/", "*/"))


@pytest.mark.parametrize("image", IMAGES, ids=str)
def test_settings_of_pip_are_arguments_and_leave_no_trace(image):
    kept = [argument for name, argument in stages(image)[-1] if name in {"ENV", "LABEL"}]
    assert not any(re.search(r"PIP_|CERT|INDEX", argument) for argument in kept)


@pytest.mark.parametrize("image", IMAGES, ids=str)
def test_labels_of_the_open_container_initiative_say_what_it_is(image):
    (labels,) = (argument for name, argument in stages(image)[-1] if name == "LABEL")
    for label in ("title", "description", "licenses", "version", "revision"):
        assert f"org.opencontainers.image.{label}=" in labels
    assert f"title=pslgs-{image}" in labels
