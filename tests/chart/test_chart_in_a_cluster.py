"""A real API server installs, upgrades and uninstalls the chart."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from chart.documented import UPGRADE, helm_commands
from chart.installed import ACCOUNT, CRD, Site
from chart.later import COLUMN, later_chart
from chart.prometheus_operator import definitions
from chart.rendering import VALUE_SETS, environment
from cluster.testcluster.helm import CHART, NAMESPACE, RELEASE
from cluster.testcluster.process import ClusterError
from control_loop.operating import eventually, operator

pytestmark = [pytest.mark.api_server, pytest.mark.slow]
DEPLOYMENT = "deployment/pslgs-operator"


@pytest.mark.parametrize("values", VALUE_SETS.values(), ids=VALUE_SETS)
def test_the_api_server_would_take_it_without_a_warning(values: Mapping[str, Any], site: Site) -> None:
    site.make_namespaces("team-a", "team-b")
    site.server.run.apply(*definitions())
    site.server.wait_for_kinds()
    objects = site.renderer.render(values)
    strict = ("--dry-run=server", "--validate=strict", "--warnings-as-errors")
    said = site.server.run(
        "apply",
        *strict,
        "--filename=-",
        stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}),
    )
    assert len(said.splitlines()) == len(objects)


def columns(site: Site) -> list[str]:
    (version,) = site.found(CRD)["spec"]["versions"]
    return [column["name"] for column in version["additionalPrinterColumns"]]


def image(site: Site) -> str:
    return str(site.found(DEPLOYMENT)["spec"]["template"]["spec"]["containers"][0]["image"])


def test_jobs_outlive_upgrade_rollback_uninstall_and_reinstall(site: Site) -> None:
    notes = site.helm.change("install")
    assert "kubectl --namespace NAMESPACE apply --filename examples/digits.yaml" in notes
    site.make_job("default")
    uid = site.job("default")["metadata"]["uid"]

    site.helm.change("upgrade", chart=later_chart(site.folder))
    assert (columns(site)[0], image(site)) == (COLUMN, "pslgs-operator:9.0.0")

    site.helm("rollback", RELEASE, "1")
    assert (columns(site)[0], image(site)) == ("Phase", "pslgs-operator:0.1.0")

    site.helm("uninstall", RELEASE)
    assert site.found(DEPLOYMENT) == {}
    assert site.job("default")["metadata"]["uid"] == uid

    site.helm.change("install")
    assert image(site) == "pslgs-operator:0.1.0"
    assert site.job("default")["metadata"]["uid"] == uid


@pytest.mark.parametrize(
    ("command", "default"),
    [
        pytest.param(["--reset-then-reuse-values"], "new default", id="new-defaults"),
        pytest.param(["--reuse-values"], "none", id="old-values-only"),
        pytest.param(["--set=jsonLogs=false"], "new default", id="values-given-anew"),
    ],
)
def test_a_release_is_upgraded_to_a_chart_with_a_new_value(
    command: list[str], default: str, site: Site
) -> None:
    site.helm.change("install", jsonLogs=False)
    site.helm("upgrade", RELEASE, later_chart(site.folder), *command)
    assert site.found("configmap/later")["data"] == {"text": default}
    assert site.settings()["PSLGS_JSON_LOGS"] == "false"
    assert image(site) == "pslgs-operator:9.0.0"


def test_the_documented_upgrade_keeps_values_and_takes_new_defaults(site: Site) -> None:
    site.helm.change("install", jsonLogs=False)
    commands = helm_commands("upgrade", later_chart(site.folder), UPGRADE)
    assert commands
    for words in commands:
        site.helm(*words)
        assert site.found("configmap/later")["data"] == {"text": "new default"}
        assert site.settings()["PSLGS_JSON_LOGS"] == "false"
        for back in helm_commands("rollback", document=UPGRADE):
            site.helm(*back)
        assert site.found("configmap/later") == {}
        assert (columns(site)[0], image(site)) == ("Phase", "pslgs-operator:0.1.0")


def test_the_definition_goes_with_the_release_where_it_is_not_kept(site: Site) -> None:
    notes = site.helm.change("install", crds={"keep": False})
    assert "helm uninstall deletes all SplitTrainingJobs of the cluster" in notes
    site.helm("uninstall", RELEASE, "--wait")
    assert site.found(CRD) == {}


def test_a_definition_that_kubectl_made_is_adopted_when_asked(site: Site) -> None:
    site.server.run("apply", "--server-side", "--filename", CHART.parents[1] / "crds")
    with pytest.raises(ClusterError, match="invalid ownership metadata"):
        site.helm.change("install")
    site.helm.change("install", "--take-ownership")
    assert site.found(CRD)["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "Helm"


def test_a_release_watches_some_namespaces_and_knows_nothing_of_others(site: Site) -> None:
    site.make_namespaces("team-a", "team-b", "elsewhere")
    site.helm.change("install", watchNamespaces=["team-a", "team-b"])
    expected = {
        ("list", "splittrainingjobs", "team-a"): True,
        ("patch", "splittrainingjobs/status", "team-b"): True,
        ("create", "jobs", "team-a"): True,
        ("get", "secrets", "team-b"): False,
        ("list", "secrets", "team-a"): True,
        ("create", "splittrainingjobs", "team-a"): False,
        ("list", "splittrainingjobs", "elsewhere"): False,
        ("create", "jobs", "elsewhere"): False,
        ("get", "secrets", "elsewhere"): False,
        ("get", "secrets", NAMESPACE): True,
        ("list", "pods", "kube-system"): False,
    }
    found = {
        (verb, resource, where): site.may(ACCOUNT, verb, resource, f"--namespace={where}")
        for verb, resource, where in expected
    }
    assert found == expected
    assert site.may(ACCOUNT, "list", "nodes")
    assert not site.may(ACCOUNT, "list", "splittrainingjobs", "--all-namespaces")


def lend(site: Site, role: str) -> str:
    """Give a user a role in a namespace, whose rights a controller puts together in a while."""
    site.helm.change("install")
    site.make_namespaces("team-a")
    user = f"{role}-of-team-a"
    site.server.run(
        *("--namespace=team-a", "create", "rolebinding", user), f"--clusterrole={role}", f"--user={user}"
    )
    eventually(lambda: site.may(user, "watch", "stj", "--namespace=team-a"))
    return user


@pytest.mark.parametrize(("role", "verb"), [("edit", "create"), ("admin", "delete")])
def test_who_may_work_in_a_namespace_may_train_there(role: str, verb: str, site: Site) -> None:
    user = lend(site, role)
    eventually(lambda: site.may(user, verb, "stj", "--namespace=team-a"))


def test_who_may_look_into_a_namespace_may_not_train_there(site: Site) -> None:
    assert not site.may(lend(site, "view"), "create", "stj", "--namespace=team-a")


def test_an_operator_with_the_rights_of_the_chart_works_in_its_namespaces_only(
    site: Site, tmp_path: Path
) -> None:
    site.make_namespaces("team-a", "elsewhere")
    watched = {"watchNamespaces": ["team-a"]}
    site.helm.change("install", **watched)
    for namespace in ("elsewhere", "team-a"):
        site.make_job(namespace)
    account = site.server.kubeconfig_of(ACCOUNT, "system:serviceaccounts", "system:authenticated")
    told = environment(site.renderer.render(watched))
    ports = {"PSLGS_LIVENESS_PORT", "PSLGS_METRICS_PORT"}  # of a network of its own
    with operator(account, tmp_path, **{name: told[name] for name in told.keys() - ports}):
        eventually(lambda: site.job("team-a").get("status", {}).get("phase"))
        eventually(lambda: site.found("service/digits-server", "team-a"))
    assert "status" not in site.job("elsewhere")
    assert site.found("service/digits-server", "elsewhere") == {}


def test_a_release_is_upgraded_although_a_watched_namespace_was_deleted(site: Site) -> None:
    site.make_namespaces("team-a", "team-b")
    site.helm.change("install", watchNamespaces=["team-a", "team-b"])
    site.server.run("delete", "namespace", "team-b")
    site.helm.change("upgrade", watchNamespaces=["team-a", "team-b"])
    site.make_namespaces("team-b")
    site.helm.change("upgrade", watchNamespaces=["team-a", "team-b"])
    assert site.server.run("--namespace=team-b", "get", "roles", "--output=name")
