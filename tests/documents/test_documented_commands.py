"""The commands and manifests of all documents name programs, options, files and fields that exist."""

import json
import re
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from cluster.testcluster.access import UnavailableError, any_kubectl
from cluster.testcluster.helm import any_helm
from documents.shell import PAGES, ROOT, Command, blocks, commands
from pslgs.cli.main import app
from pslgs_operator.crd.definition import custom_resource_definition
from pslgs_operator.status.types import ConditionType

COMMANDS = [command for page in PAGES for command in commands(page)]
SCHEMA = custom_resource_definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
VALUES = json.loads((ROOT / "charts" / "pslgs" / "values.schema.json").read_text())
JOB_FIELDS = set(SCHEMA["properties"]["spec"]["properties"])


def of(*programs: str) -> pytest.MarkDecorator:
    """The documented commands of these programs."""
    found = [each for each in COMMANDS if each.words and each.words[0].removeprefix(".venv/bin/") in programs]
    assert found
    return pytest.mark.parametrize("command", list({each.text: each for each in found}.values()), ids=str)


def unknown(value: Any, schema: Mapping[str, Any], path: str = "") -> list[str]:
    """The fields of a value that its schema does not have."""
    if isinstance(value, list):
        return [each for item in value for each in unknown(item, schema.get("items", {}), path)]
    is_open = "properties" not in schema or schema.get("x-kubernetes-preserve-unknown-fields")
    if not isinstance(value, dict) or is_open:
        return []
    known = schema["properties"]
    return [
        lost
        for name, item in value.items()
        for lost in (unknown(item, known[name], f"{path}.{name}") if name in known else [f"{path}.{name}"])
    ]


@of("pslgs")
def test_a_command_of_ours_has_the_documented_options(command: Command) -> None:
    program = typer.main.get_command(app)
    name = next(word for word in command.words[1:] if not word.startswith("-"))
    assert name in program.commands
    options = {
        option for each in program.commands[name].params for option in (*each.opts, *each.secondary_opts)
    }
    given = {word.partition("=")[0] for word in command.words if word.startswith("-")}
    assert given - options - {"--help", "--debug"} == set()


@of("pslgs", "kubectl", "helm", "docker", "kind")
def test_a_command_names_files_that_exist(command: Command) -> None:
    files = re.findall(r"(?:^|[ =])((?:examples|charts|images|docs|crds|tests)/[\w./-]+)", command.text)
    assert [file for file in files if not (ROOT / file).exists()] == []
    made = command.page.read_text()
    options = {"--filename", "--values", "--config", *(["-f"] if "logs" not in command.words else [])}
    named = [
        word for option, word in zip(command.words, command.words[1:], strict=False) if option in options
    ]
    assert [file for file in named if not (ROOT / file).exists() and f"`{file}`" not in made] == []


@pytest.mark.slow
@of("kubectl")
def test_a_command_of_kubectl_has_the_documented_options(command: Command) -> None:
    assert_options_exist(kubectl(), command.words[1:])


@pytest.mark.slow
@of("helm")
def test_a_command_of_helm_has_the_documented_options(command: Command) -> None:
    assert_options_exist(helm(), command.words[1:])


@of("helm")
def test_a_command_of_helm_sets_values_that_exist(command: Command) -> None:
    pairs = [
        word for option, word in zip(command.words, command.words[1:], strict=False) if option == "--set"
    ]
    names = [part.partition("=")[0] for pair in pairs for part in re.split(r",(?=[\w.]+=)", pair)]
    for name in names:
        fields = re.sub(r"\[\d+\]", "", name).split(".")
        nested: Any = 0
        for field in reversed(fields):
            nested = {field: nested}
        assert unknown(nested, VALUES) == []


@of("kubectl")
def test_a_command_of_kubectl_names_fields_and_conditions_of_a_job(command: Command) -> None:
    if not {"stj", "splittrainingjobs"} & {word.partition("/")[0] for word in command.words}:
        return
    for path in re.findall(r"\{\.([\w.]+)\}", command.text):
        value: Any = 0
        for field in reversed(path.split(".")):
            value = {field: value}
        assert unknown(value, SCHEMA) == []
    for condition in re.findall(r"--for=condition=(\w+)", command.text):
        assert condition in set(ConditionType)
    if "--patch" in command.words:
        patch = json.loads(command.words[command.words.index("--patch") + 1])
        assert unknown(patch, SCHEMA) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_manifests_and_values_have_fields_that_exist(page: Path) -> None:
    heredocs = [
        command.text.split("\n", 1)[1].rsplit("\n", 1)[0]
        for command in commands(page)
        if ".yaml <<" in command.text
    ]
    for text in [*blocks(page, "yaml"), *heredocs]:
        for document in yaml.safe_load_all(text):
            assert lacking(document) == []


def lacking(document: Any) -> Sequence[str]:
    """The fields that neither a job nor the chart's values have; other objects are not looked into."""
    if not isinstance(document, dict):
        return []
    if document.get("kind") == "SplitTrainingJob" or ("kind" not in document and "spec" in document):
        return unknown(document.get("spec"), SCHEMA["properties"]["spec"])
    if "kind" in document or document.keys() & {"integrations", "metadata"}:
        return []
    schema = SCHEMA["properties"]["spec"] if JOB_FIELDS & document.keys() else VALUES
    return unknown(document, schema)


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        pytest.param("spec: {epoch: 3}", [".epoch"], id="job"),
        pytest.param("checkpoint: {storage: {claim: a}}", [".checkpoint.storage.claim"], id="part-of-a-job"),
        pytest.param("monitoring: {podMonitor: {}}", [".monitoring.podMonitor"], id="values"),
    ],
)
def test_a_field_that_does_not_exist_is_found(text: str, fields: list[str]) -> None:
    assert lacking(yaml.safe_load(text)) == fields


def assert_options_exist(program: Path, words: list[str]) -> None:
    """Check the options of a command against its own help."""
    given = {word.partition("=")[0] for word in words if word.startswith("-") and word.strip("-")}
    assert given - options_of(program, verb_of(program, words)) == set()


def verb_of(program: Path, words: list[str]) -> tuple[str, ...]:
    """The command with its subcommands, without options and arguments."""
    verb: tuple[str, ...] = ()
    for word in words:
        if word in re.findall(r"^ {2}([a-z-]+) {2,}", help_of(program, verb, "--help"), re.M):
            verb = (*verb, word)
    return verb


def options_of(program: Path, verb: tuple[str, ...]) -> set[str]:
    common = help_of(program, ("options",)) if program.name == "kubectl" else ""
    return set(re.findall(r"(?<![\w-])(--?[a-zA-Z][\w-]*)", help_of(program, verb, "--help") + common))


@cache
def help_of(program: Path, verb: tuple[str, ...], *option: str) -> str:
    return subprocess.run([program, *verb, *option], capture_output=True, text=True, check=True).stdout


def kubectl() -> Path:
    try:
        return any_kubectl()
    except UnavailableError as reason:
        pytest.skip(str(reason))


def helm() -> Path:
    try:
        return any_helm()
    except UnavailableError as reason:
        pytest.skip(str(reason))
