"""The commands and manifests of documents about installation do what is written beside them."""

import re
import subprocess
from typing import Any

import yaml

from chart.documented import INSTALL, README, commands, helm_commands
from chart.rendering import Renderer, environment, pods
from cluster.testcluster.appimages import ROOT
from documents.shell import PAGES
from manifests.pod_security import offences


def rendered(helm: Renderer, words: list[str]) -> list[dict[str, Any]]:
    """What a documented ``helm install`` makes."""
    command = [str(helm.binary), "template", *words[1:], "--kube-version=1.34"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [each for each in yaml.safe_load_all(text) if each]


def test_the_images_that_are_pushed_are_those_that_the_release_uses(helm: Renderer) -> None:
    pushed = {words[2] for words in commands("docker push")}
    built = {words[3] for words in commands("docker build")}
    objects = rendered(helm, helm_commands("install")[0])
    settings = environment(objects)
    used = {each["image"] for _, spec in pods(objects) for each in spec["containers"]}
    assert pushed == built == used | {settings["PSLGS_SERVER_IMAGE"], settings["PSLGS_CLIENT_IMAGE"]}


def test_every_documented_installation_is_rendered(helm: Renderer) -> None:
    found = [words for page in PAGES for words in helm_commands("install", document=page)]
    assert len(found) == 6
    for words in found:
        assert rendered(helm, words)


def test_two_documented_releases_share_no_object(helm: Renderer) -> None:
    _, *releases = helm_commands("install")
    keys = [
        {
            (each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"])
            for each in rendered(helm, words)
        }
        for words in releases
    ]
    assert keys[0] & keys[1] == set()


def test_the_table_of_images_is_what_the_chart_uses() -> None:
    text = INSTALL.read_text()
    pushed = {words[2] for words in commands("docker push")}
    assert set(re.findall(r"^\| `[\w.]+` \| .* \| `(\S+)` \|$", text, re.M)) == pushed


def test_the_documented_values_are_accepted(helm: Renderer) -> None:
    (values,) = [each for each in blocks() if "imageRegistry" in each]
    assert helm.render(values)


def test_the_pod_that_reads_the_model_meets_the_restricted_standard() -> None:
    (pod,) = [each for each in blocks() if each.get("kind") == "Pod"]
    assert list(offences(pod["spec"])) == []


def blocks() -> list[dict[str, Any]]:
    """The YAML of the document."""
    return [
        yaml.safe_load(each) for each in re.findall(r"^```yaml\n(.*?)^```", INSTALL.read_text(), re.M | re.S)
    ]


def test_the_example_needs_as_many_nodes_as_are_labelled() -> None:
    job = yaml.safe_load((ROOT / "examples" / "digits.yaml").read_text())["spec"]
    needed = job["data"]["partition"]["clients"] // job["clients"]["perNode"]
    for document in (README, INSTALL):
        nodes = [
            word
            for words in commands("kubectl label node", document)
            for word in words[3:]
            if "/" not in word
        ]
        assert len(nodes) == needed
