"""What an API server does that the operator depends on, the one in memory and the real one alike."""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from kubernetes.aio.client import ApiClient

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"


@dataclass(frozen=True, slots=True)
class Api:
    """Requests to one namespace; ``until`` waits for what a controller does."""

    client: ApiClient
    namespace: str
    until: Callable[[Callable[[], Awaitable[object]]], Awaitable[None]]

    async def send(
        self, method: str, path: str, body: object = None, content: str = "application/json", **query: str
    ) -> tuple[int, list[dict[str, Any]]]:
        serialized = await self.client.param_serialize(
            method,
            path,
            query_params=list(query.items()),
            header_params={"Accept": "application/json", "Content-Type": content},
            body=body,
            auth_settings=["BearerToken"],
        )
        response = await self.client.call_api(*serialized)
        lines = (await response.response.read()).split(b"\n")
        return response.status, [json.loads(line) for line in lines if line]

    async def __call__(self, method: str, name: str, body: object = None, content: str = "", **query: str):
        """Send one request about a resource of the namespace, ``configmaps/a`` say."""
        group = {
            "jobs": "apis/batch/v1",
            "splittrainingjobs": "apis/pslgs.dev/v1alpha1",
            "networkpolicies": "apis/networking.k8s.io/v1",
        }.get(name.partition("/")[0], "api/v1")
        path = f"/{group}/namespaces/{self.namespace}/{name}"
        status, [answer, *_] = await self.send(method, path, body, content or "application/json", **query)
        return status, answer

    async def apply(self, name: str, manager: str, body: Mapping[str, Any], *, force: bool = False):
        query = {"fieldManager": manager} | ({"force": "true"} if force else {})
        kind = {"configmaps": "ConfigMap", "services": "Service"}[name.partition("/")[0]]
        metadata = {"name": name.rpartition("/")[2]} | dict(body.get("metadata", {}))
        manifest = {"apiVersion": "v1", "kind": kind, **body, "metadata": metadata}
        return await self("PATCH", name, manifest, APPLY, **query)

    async def made(self, resource: str, body: Mapping[str, Any]) -> dict[str, Any]:
        status, answer = await self("POST", resource, body)
        assert status == 201, answer
        return answer

    async def is_gone(self, name: str) -> bool:
        return (await self("GET", name))[0] == 404


def config(name: str, owner: Mapping[str, Any] | None = None, **metadata: Any) -> dict[str, Any]:
    owners = {"ownerReferences": [reference(owner)]} if owner else {}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, **owners, **metadata},
        "data": {"a": "1"},
    }


def reference(owner: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    metadata = owner["metadata"]
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
        **more,
    }


def a_job(name: str = "job") -> dict[str, Any]:
    container = {"name": "main", "image": "none"}
    template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {"template": template, "suspend": True},
    }


def a_training_job(name: str = "cifar") -> dict[str, Any]:
    spec = {
        "model": {"architecture": "mlp", "cutLayer": "hidden1"},
        "data": {"train": {"format": "ScikitLearn", "name": "digits"}},
        "epochs": 3,
        "clients": {"nodeSelector": {"site": "a"}},
    }
    metadata = {"name": name}
    return {
        "apiVersion": "pslgs.dev/v1alpha1",
        "kind": "SplitTrainingJob",
        "metadata": metadata,
        "spec": spec,
    }


class CreationContract:
    """Subclasses give the fixture ``api``."""

    async def test_what_is_created_has_an_identity_and_its_name_is_taken(self, api):
        made = await api.made("configmaps", config("a"))
        assert made["metadata"]["uid"]
        assert int(made["metadata"]["resourceVersion"])
        status, refused = await api("POST", "configmaps", config("a"))
        assert (status, refused["reason"]) == (409, "AlreadyExists")

    async def test_names_are_generated(self, api):
        unnamed = {**config(""), "metadata": {"generateName": "a-"}}
        first, second = [(await api.made("configmaps", unnamed))["metadata"]["name"] for _ in range(2)]
        assert first.startswith("a-")
        assert len(first) == len("a-") + 5
        assert first != second

    async def test_a_dry_run_keeps_nothing(self, api):
        assert (await api("POST", "configmaps", config("a"), dryRun="All"))[0] == 201
        assert await api.is_gone("configmaps/a")

    @pytest.mark.parametrize("name", ["A", "a_b", "-a", "a" * 254], ids=["upper", "under", "dash", "long"])
    async def test_a_name_that_is_none_is_invalid(self, api, name):
        status, refused = await api("POST", "configmaps", config(name))
        assert (status, refused["reason"]) == (422, "Invalid")
        assert refused["details"]["causes"][0]["field"] == "metadata.name"

    async def test_an_object_has_at_most_one_controller(self, api):
        owner = await api.made("configmaps", config("owner"))
        two = [reference(owner), reference(owner, uid="another")]
        status, refused = await api("POST", "configmaps", config("a", ownerReferences=two))
        assert (status, refused["reason"]) == (422, "Invalid")

    async def test_a_namespace_that_is_not_there_takes_nothing(self, api):
        status, (refused, *_) = await api.send("POST", "/api/v1/namespaces/nowhere/configmaps", config("a"))
        assert (status, refused["details"]["kind"]) == (404, "namespaces")

    async def test_some_fields_are_immutable(self, api):
        await api.made("jobs", a_job())
        status, refused = await api("PATCH", "jobs/job", {"spec": {"completions": 5}}, MERGE)
        assert (status, refused["reason"]) == (422, "Invalid")
        assert refused["details"]["causes"][0]["field"] == "spec.completions"


class ApplyContract:
    """Server-side apply."""

    async def test_applying_again_changes_nothing(self, api):
        _, first = await api.apply("configmaps/a", "me", {"data": {"a": "1"}})
        status, again = await api.apply("configmaps/a", "me", {"data": {"a": "1"}})
        assert (status, again["metadata"]["resourceVersion"]) == (200, first["metadata"]["resourceVersion"])

    async def test_two_managers_own_different_fields(self, api):
        await api.apply("configmaps/a", "me", {"data": {"a": "1"}})
        _, both = await api.apply("configmaps/a", "you", {"data": {"b": "2"}})
        assert both["data"] == {"a": "1", "b": "2"}
        owned = {each["manager"]: each["fieldsV1"] for each in both["metadata"]["managedFields"]}
        assert set(owned["me"]["f:data"]) - {"."} == {"f:a"}
        assert set(owned["you"]["f:data"]) - {"."} == {"f:b"}

    async def test_a_field_of_another_manager_is_a_conflict_until_it_is_taken_by_force(self, api):
        await api.apply("configmaps/a", "me", {"data": {"a": "1", "b": "1"}})
        status, refused = await api.apply("configmaps/a", "you", {"data": {"a": "2"}})
        assert (status, refused["reason"]) == (409, "Conflict")
        assert [(each["reason"], each["field"]) for each in refused["details"]["causes"]] == [
            ("FieldManagerConflict", ".data.a")
        ]
        status, taken = await api.apply("configmaps/a", "you", {"data": {"a": "2"}}, force=True)
        assert (status, taken["data"]) == (200, {"a": "2", "b": "1"})
        assert (await api.apply("configmaps/a", "me", {"data": {"a": "1", "b": "1"}}))[0] == 409

    async def test_equal_values_are_shared_without_a_conflict(self, api):
        await api.apply("configmaps/a", "me", {"data": {"a": "1"}})
        assert (await api.apply("configmaps/a", "you", {"data": {"a": "1"}}))[0] == 200
        _, left = await api.apply("configmaps/a", "me", {"data": {}})
        assert left["data"] == {"a": "1"}

    async def test_what_is_not_applied_any_more_goes_and_what_others_wrote_stays(self, api):
        await api.apply(
            "configmaps/a", "me", {"data": {"a": "1", "b": "1"}, "metadata": {"labels": {"l": "1"}}}
        )
        await api("PATCH", "configmaps/a", {"data": {"c": "3"}}, MERGE, fieldManager="you")
        _, left = await api.apply("configmaps/a", "me", {"data": {"b": "1"}})
        assert left["data"] == {"b": "1", "c": "3"}
        assert "labels" not in left["metadata"]

    async def test_an_edit_of_an_applied_field_is_a_conflict_for_the_next_apply(self, api):
        await api.apply("configmaps/a", "me", {"data": {"a": "1"}})
        await api("PATCH", "configmaps/a", {"data": {"a": "2"}}, MERGE, fieldManager="kubectl-edit")
        assert (await api.apply("configmaps/a", "me", {"data": {"a": "1"}}))[0] == 409
        _, mended = await api.apply("configmaps/a", "me", {"data": {"a": "1"}}, force=True)
        assert mended["data"] == {"a": "1"}

    async def test_what_was_created_belongs_to_its_creator(self, api):
        await api("POST", "configmaps", config("a"), fieldManager="somebody")
        status, _ = await api.apply("configmaps/a", "me", {"data": {"a": "2"}})
        assert status == 409

    async def test_lists_with_keys_are_merged_by_them(self, api):
        def ports(*numbers: int) -> dict[str, Any]:
            return {"spec": {"ports": [{"name": f"p{n}", "port": n, "protocol": "TCP"} for n in numbers]}}

        await api.apply("services/a", "me", ports(80, 81))
        await api.apply("services/a", "you", ports(82))
        _, left = await api.apply("services/a", "me", ports(80))
        assert [port["port"] for port in left["spec"]["ports"]] == [80, 82]

    async def test_applying_adopts_what_is_there(self, api):
        """Why children are created and not applied: an owner reference is no conflict."""
        made = await api.made("configmaps", config("a"))
        owner = await api.made("configmaps", config("owner"))
        status, adopted = await api.apply(
            "configmaps/a", "me", {"metadata": {"ownerReferences": [reference(owner)]}}
        )
        assert (status, adopted["metadata"]["uid"]) == (200, made["metadata"]["uid"])
        assert adopted["metadata"]["ownerReferences"][0]["uid"] == owner["metadata"]["uid"]

    async def test_a_uid_in_what_is_applied_is_a_precondition(self, api):
        body = {"metadata": {"uid": "another"}, "data": {"a": "2"}}
        assert (await api.apply("configmaps/a", "me", body))[0] == 409
        await api.made("configmaps", config("a"))
        status, refused = await api.apply("configmaps/a", "me", body, force=True)
        assert (status, refused["reason"]) == (422, "Invalid")


class VersionContract:
    """Optimistic locking and preconditions."""

    async def test_an_older_version_cannot_be_written(self, api):
        old = await api.made("configmaps", config("a"))
        _, new = await api("PUT", "configmaps/a", {**old, "data": {"a": "2"}})
        assert int(new["metadata"]["resourceVersion"]) > int(old["metadata"]["resourceVersion"])
        status, refused = await api("PUT", "configmaps/a", {**old, "data": {"a": "3"}})
        assert (status, refused["reason"]) == (409, "Conflict")
        patch = {"metadata": {"resourceVersion": old["metadata"]["resourceVersion"]}, "data": {"a": "3"}}
        assert (await api("PATCH", "configmaps/a", patch, MERGE))[0] == 409

    @pytest.mark.parametrize("what", ["uid", "resourceVersion"])
    async def test_another_object_or_version_is_not_deleted(self, api, what):
        await api.made("configmaps", config("a"))
        status, refused = await api("DELETE", "configmaps/a", {"preconditions": {what: "12345"}})
        assert (status, refused["reason"]) == (409, "Conflict")
        assert not await api.is_gone("configmaps/a")

    async def test_a_test_of_a_json_patch_that_fails_is_invalid_without_causes(self, api):
        await api.made("configmaps", config("a"))
        patch = [{"op": "test", "path": "/metadata/uid", "value": "another"}]
        status, refused = await api("PATCH", "configmaps/a", patch, JSON_PATCH)
        assert (status, refused["reason"]) == (422, "Invalid")
        assert not refused.get("details", {}).get("causes")

    async def test_a_write_that_changes_nothing_leaves_the_version(self, api):
        old = await api.made("configmaps", config("a"))
        _, new = await api("PATCH", "configmaps/a", {"data": {"a": "1"}}, MERGE)
        assert new["metadata"]["resourceVersion"] == old["metadata"]["resourceVersion"]


class StatusContract:
    """The status subresource of the custom resource."""

    async def test_spec_and_status_are_written_by_different_endpoints(self, api):
        made = await api.made("splittrainingjobs", {**a_training_job(), "status": {"phase": "Failed"}})
        assert "status" not in made
        both = {**made, "status": {"phase": "Running"}, "spec": {**made["spec"], "suspend": True}}
        _, written = await api("PUT", "splittrainingjobs/cifar/status", both)
        assert written["status"] == {"phase": "Running"}
        assert not written["spec"].get("suspend")
        changed = {**written, "status": {"phase": "Complete"}, "spec": {**written["spec"], "suspend": True}}
        _, written = await api("PUT", "splittrainingjobs/cifar", changed)
        assert written["status"] == {"phase": "Running"}
        assert written["spec"]["suspend"] is True

    async def test_the_generation_grows_with_the_spec_alone(self, api):
        made = await api.made("splittrainingjobs", a_training_job())
        assert made["metadata"]["generation"] == 1
        _, written = await api(
            "PATCH", "splittrainingjobs/cifar/status", {"status": {"phase": "Running"}}, MERGE
        )
        assert written["metadata"]["generation"] == 1
        labelled = {"metadata": {"labels": {"a": "b"}}}
        _, written = await api("PATCH", "splittrainingjobs/cifar", labelled, MERGE)
        assert written["metadata"]["generation"] == 1
        _, written = await api("PATCH", "splittrainingjobs/cifar", {"spec": {"suspend": True}}, MERGE)
        assert written["metadata"]["generation"] == 2

    async def test_a_status_of_an_older_version_cannot_be_written(self, api):
        made = await api.made("splittrainingjobs", a_training_job())
        await api("PATCH", "splittrainingjobs/cifar", {"spec": {"suspend": True}}, MERGE)
        status, _ = await api(
            "PUT", "splittrainingjobs/cifar/status", {**made, "status": {"phase": "Failed"}}
        )
        assert status == 409


class DeletionContract:
    """Finalizers and the garbage collector."""

    async def test_what_has_a_finalizer_stays_until_that_is_removed(self, api):
        made = await api.made("splittrainingjobs", a_training_job())
        await api("PATCH", "splittrainingjobs/cifar", {"metadata": {"finalizers": ["pslgs.dev/test"]}}, MERGE)
        await api("DELETE", "splittrainingjobs/cifar")
        _, going = await api("GET", "splittrainingjobs/cifar")
        assert going["metadata"]["deletionTimestamp"]
        assert going["metadata"]["generation"] == made["metadata"]["generation"] + 1
        await api("PATCH", "splittrainingjobs/cifar", {"metadata": {"finalizers": None}}, MERGE)
        assert await api.is_gone("splittrainingjobs/cifar")

    async def test_what_is_owned_goes_with_its_owner(self, api):
        owner = await api.made("configmaps", config("owner"))
        await api.made("configmaps", config("a", owner))
        await api("DELETE", "configmaps/owner", {"propagationPolicy": "Background"})
        await api.until(lambda: api.is_gone("configmaps/a"))

    async def test_what_has_an_owner_of_another_uid_goes(self, api):
        owner = await api.made("configmaps", config("owner"))
        strange = reference(owner, uid="11111111-2222-3333-4444-555555555555")
        await api.made("configmaps", config("a", ownerReferences=[strange]))
        await api.until(lambda: api.is_gone("configmaps/a"))

    async def test_orphans_stay_without_an_owner(self, api):
        owner = await api.made("configmaps", config("owner"))
        await api.made("configmaps", config("a", owner))
        await api("DELETE", "configmaps/owner", {"propagationPolicy": "Orphan"})
        await api.until(lambda: api.is_gone("configmaps/owner"))
        _, left = await api("GET", "configmaps/a")
        assert "ownerReferences" not in left["metadata"]

    async def test_a_job_that_is_deleted_without_a_policy_leaves_orphans(self, api):
        owner = await api.made("jobs", a_job())
        await api.made("configmaps", config("a", owner))
        await api("DELETE", "jobs/job")
        await api.until(lambda: api.is_gone("jobs/job"))
        assert not await api.is_gone("configmaps/a")

    async def test_deletion_in_the_foreground_waits_for_what_blocks_it(self, api):
        owner = await api.made("configmaps", config("owner"))
        blocking = reference(owner, blockOwnerDeletion=True)
        kept = config("a", ownerReferences=[blocking], finalizers=["pslgs.dev/test"])
        await api.made("configmaps", kept)
        await api("DELETE", "configmaps/owner", {"propagationPolicy": "Foreground"})

        async def child_is_going() -> bool:
            return "deletionTimestamp" in (await api("GET", "configmaps/a"))[1]["metadata"]

        await api.until(child_is_going)
        assert not await api.is_gone("configmaps/owner")
        await api("PATCH", "configmaps/a", {"metadata": {"finalizers": None}}, MERGE)
        await api.until(lambda: api.is_gone("configmaps/owner"))


class ListContract:
    """Selectors, chunks and watches."""

    @pytest.mark.parametrize(
        ("selector", "found"),
        [
            ("a=1", "a"), ("a!=1", "bc"), ("a", "ab"), ("!a", "c"), ("a in (1,2)", "ab"),
            ("a notin (1)", "bc"), ("a,b=1", "b"),
        ],
    )  # fmt: skip
    async def test_labels_select(self, api, selector, found):
        for name, labels in (("a", {"a": "1"}), ("b", {"a": "2", "b": "1"}), ("c", {"b": "1"})):
            await api.made("configmaps", config(name, labels=labels | {"mine": "yes"}))
        _, listed = await api("GET", "configmaps", labelSelector=f"mine,{selector}")
        assert "".join(each["metadata"]["name"] for each in listed["items"]) == found

    async def test_lists_come_in_chunks(self, api):
        for name in "abc":
            await api.made("configmaps", config(name, labels={"mine": "yes"}))
        _, first = await api("GET", "configmaps", labelSelector="mine", limit="2")
        more = {"continue": first["metadata"]["continue"]}
        _, second = await api("GET", "configmaps", labelSelector="mine", limit="2", **more)
        assert [each["metadata"]["name"] for each in (*first["items"], *second["items"])] == ["a", "b", "c"]
        assert not second["metadata"].get("continue")

    async def test_a_watch_tells_what_comes_and_goes_in_the_eyes_of_its_selector(self, api):
        _, listed = await api("GET", "configmaps", labelSelector="mine")
        await api.made("configmaps", config("other"))
        for labels in ({"mine": "a"}, {"mine": "b"}, {"mine": None}, {"mine": "c"}):
            if labels == {"mine": "a"}:
                await api.made("configmaps", config("a", labels=labels))
            else:
                await api("PATCH", "configmaps/a", {"metadata": {"labels": labels}}, MERGE)
        await api("DELETE", "configmaps/a")
        told = await api.send(
            "GET", f"/api/v1/namespaces/{api.namespace}/configmaps", watch="true", labelSelector="mine",
            timeoutSeconds="1", resourceVersion=listed["metadata"]["resourceVersion"],
        )  # fmt: skip
        assert [each["type"] for each in told[1]] == ["ADDED", "MODIFIED", "DELETED", "ADDED", "DELETED"]
        versions = [int(each["object"]["metadata"]["resourceVersion"]) for each in told[1]]
        assert versions == sorted(versions)


class ApiContract(
    CreationContract, ApplyContract, VersionContract, StatusContract, DeletionContract, ListContract
):
    """All of it."""
