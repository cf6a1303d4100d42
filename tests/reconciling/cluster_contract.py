"""What every `KubeClient` does, the one in memory and the real one alike."""

from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from pslgs_operator import names
from pslgs_operator.assessment.transitions import EventSpec
from pslgs_operator.event_recorder import JobReference, event
from pslgs_operator.kube_client import ConflictError, KubeClient, NamespaceTerminatingError, RejectedError
from pslgs_operator.ownership import NAME_TAKEN

OWNER = "11111111-2222-3333-4444-555555555555"
OPERATOR = "pslgs-system"
"""The operator's own namespace, the only one in which it reads Secrets."""


def an_authority(name: str, key: str, version: str | None = None) -> dict[str, Any]:
    """Make the Secret of a certificate authority, to replace the one of this version."""
    replaced = {"resourceVersion": version} if version else {}
    data = {"tls.crt": "", "tls.key": b64encode(key.encode()).decode()}
    metadata = {"name": name, "namespace": OPERATOR, "labels": {"pslgs.dev/certificate-authority-of": OWNER}}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata | replaced, "data": data}


EARLIER = "66666666-7777-8888-9999-000000000000"


@dataclass(frozen=True, slots=True)
class Bench:
    """A cluster to try out, and a namespace in it.

    Attributes:
        make_job: Applies a job of this name, as a user does.
        place: Applies any object, as a user does.
        read: Returns the object of a kind and name, as a user sees it.
        uid: Of the job "digits" in the namespace, whose children the objects are.
    """

    cluster: KubeClient
    namespace: str
    make_job: Callable[[str], None]
    place: Callable[[dict[str, Any]], Any]
    read: Callable[[str, str], dict[str, Any]]
    uid: str

    @classmethod
    async def open(
        cls,
        cluster: KubeClient,
        namespace: str,
        make_job: Callable[[str], None],
        place: Callable[[dict[str, Any]], Any],
        read: Callable[[str, str], dict[str, Any]],
    ) -> "Bench":
        make_job("digits")
        job = await cluster.job(namespace, "digits")
        assert job is not None
        return cls(cluster, namespace, make_job, place, read, job["metadata"]["uid"])

    def an_object(
        self, name: str = "thing", namespace: str | None = None, kind: str = "ConfigMap", **data: str
    ) -> dict[str, Any]:
        """Return a child of the job "digits"."""
        encoded = {key: b64encode(value.encode()).decode() for key, value in data.items()}
        return {
            "apiVersion": "v1",
            "kind": kind,
            "metadata": {
                "name": name,
                "namespace": namespace or self.namespace,
                "labels": {**names.labels("digits"), names.JOB_UID_LABEL: self.uid},
                "annotations": {"kept": "yes"},
                "ownerReferences": self.owners(self.uid),
            },
            "data": encoded if kind == "Secret" else data,
        }

    def owners(self, uid: str, name: str = "digits") -> list[dict[str, Any]]:
        kind = {"apiVersion": "pslgs.dev/v1alpha1", "kind": "SplitTrainingJob", "name": name}
        return [{**kind, "uid": uid, "controller": True, "blockOwnerDeletion": False}]

    def orphan(self, lineage: str, **data: str) -> dict[str, Any]:
        """Return an object as ``kubectl delete --cascade=orphan`` leaves it; ``lineage`` is its job's uid."""
        left = self.an_object(**data)
        left["metadata"]["ownerReferences"] = []
        left["metadata"]["labels"][names.JOB_UID_LABEL] = lineage
        return left

    def a_secret(self, **data: str) -> dict[str, Any]:
        """Return a Secret of the job "digits"."""
        return self.an_object(kind="Secret", **data)


class ClusterContract:
    """Subclasses give the fixture ``bench``."""

    async def test_what_is_not_there_is_none(self, bench):
        assert await bench.cluster.job(bench.namespace, "nothing") is None
        assert await bench.cluster.authority(OPERATOR, "nothing") is None
        await bench.cluster.delete("Secret", bench.namespace, "nothing", uid=OWNER)
        await bench.cluster.delete_child("ConfigMap", bench.namespace, "nothing", owner=OWNER)
        gone = {"metadata": {"namespace": bench.namespace, "name": "a", "uid": OWNER, "resourceVersion": "1"}}
        assert await bench.cluster.write_status(gone, {"phase": "Pending"}) is None

    async def test_creating_again_returns_the_object_as_it_is(self, bench):
        first = await bench.cluster.create(bench.an_object(a="1"))
        again = await bench.cluster.create(bench.an_object(a="2"))
        assert first["metadata"]["uid"] == again["metadata"]["uid"]
        assert again["data"] == {"a": "1"}

    @pytest.mark.parametrize("verb", ["create", "apply"])
    @pytest.mark.parametrize("owned", [False, True], ids=["no owner", "another owner"])
    async def test_an_object_of_somebody_else_is_reported_and_not_touched(self, bench, verb, owned):
        bench.make_job("other")
        other = await bench.cluster.job(bench.namespace, "other")
        there = bench.an_object(a="1")
        there["metadata"]["labels"] = {}
        there["metadata"]["ownerReferences"] = (
            bench.owners(other["metadata"]["uid"], "other") if owned else []
        )
        bench.place(there)
        with pytest.raises(RejectedError, match="ConfigMap thing exists already") as rejected:
            await getattr(bench.cluster, verb)(bench.an_object(a="2"))
        assert rejected.value.reason == NAME_TAKEN
        assert ("SplitTrainingJob other" in rejected.value.message) == owned
        assert bench.read("ConfigMap", "thing")["data"] == {"a": "1"}

    @pytest.mark.parametrize("verb", ["create", "apply"])
    async def test_an_orphan_of_an_earlier_job_is_replaced(self, bench, verb):
        bench.place(bench.orphan(EARLIER, a="1"))
        made = await getattr(bench.cluster, verb)(bench.an_object(b="2"))
        assert made["data"] == {"b": "2"}
        assert made["metadata"]["ownerReferences"] == bench.owners(bench.uid)

    async def test_a_claim_of_an_earlier_job_is_never_replaced(self, bench):
        claim = {"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}
        orphan, wanted = (
            {**each, "kind": "PersistentVolumeClaim", **claim}
            for each in (bench.orphan(EARLIER), bench.an_object())
        )
        del orphan["data"], wanted["data"]
        bench.place(orphan)
        with pytest.raises(RejectedError, match=r"claimName to thing") as rejected:
            await bench.cluster.create(wanted)
        assert rejected.value.reason == NAME_TAKEN

    async def test_an_own_object_without_owner_is_taken_back(self, bench):
        bench.place(bench.orphan(bench.uid, a="1"))
        made = await bench.cluster.apply(bench.an_object(a="1"))
        assert made["metadata"]["ownerReferences"] == bench.owners(bench.uid)

    async def test_applying_creates_an_object_and_applying_again_changes_nothing(self, bench):
        first = await bench.cluster.apply(bench.an_object(a="1"))
        again = await bench.cluster.apply(bench.an_object(a="1"))
        assert first["metadata"]["uid"]
        assert first["metadata"]["resourceVersion"] == again["metadata"]["resourceVersion"]

    async def test_applying_brings_an_object_to_another_form(self, bench):
        first = await bench.cluster.apply(bench.an_object(a="1", b="2"))
        other = await bench.cluster.apply(bench.an_object(b="3"))
        assert other["data"] == {"b": "3"}
        assert other["metadata"]["uid"] == first["metadata"]["uid"]
        assert int(other["metadata"]["resourceVersion"]) > int(first["metadata"]["resourceVersion"])

    async def test_what_others_added_stays(self, bench):
        there = bench.an_object(a="1")
        there["metadata"]["labels"]["team"] = "vision"
        bench.place(there)
        changed = await bench.cluster.apply(bench.an_object(a="2"))
        assert changed["metadata"]["labels"]["team"] == "vision"
        assert changed["data"] == {"a": "2"}

    async def test_nothing_is_made_in_a_namespace_that_is_not_there(self, bench):
        with pytest.raises(NamespaceTerminatingError):
            await bench.cluster.apply(bench.an_object(namespace="nowhere"))

    async def test_an_authority_is_stored_once_and_replaced_only_as_it_was_read(self, bench):
        name = f"pslgs-ca-{bench.namespace}"
        first = await bench.cluster.store_authority(an_authority(name, "1"))
        assert first is not None
        assert await bench.cluster.store_authority(an_authority(name, "2")) is None
        version = first["metadata"]["resourceVersion"]
        second = await bench.cluster.store_authority(an_authority(name, "2", version))
        assert second is not None
        assert await bench.cluster.store_authority(an_authority(name, "3", version)) is None
        read = await bench.cluster.authority(OPERATOR, name)
        assert read is not None
        assert read["data"]["tls.key"] == b64encode(b"2").decode()
        await bench.cluster.delete("Secret", OPERATOR, name, uid=first["metadata"]["uid"])
        assert await bench.cluster.store_authority(an_authority(name, "4", version)) is None

    async def test_deleting_spares_an_object_of_another_uid(self, bench):
        made = await bench.cluster.apply(bench.a_secret(a="1"))
        await bench.cluster.delete("Secret", bench.namespace, "thing", uid=OWNER)
        kept = await bench.cluster.apply(bench.a_secret(a="1"))
        assert kept["metadata"]["uid"] == made["metadata"]["uid"]
        await bench.cluster.delete("Secret", bench.namespace, "thing", uid=made["metadata"]["uid"])
        anew = await bench.cluster.apply(bench.a_secret(a="1"))
        assert anew["metadata"]["uid"] != made["metadata"]["uid"]

    async def test_a_child_is_deleted_for_its_owner_only(self, bench):
        first = await bench.cluster.create(bench.an_object(a="1"))
        await bench.cluster.delete_child("ConfigMap", bench.namespace, "thing", owner=OWNER)
        kept = await bench.cluster.create(bench.an_object(a="1"))
        assert kept["metadata"]["uid"] == first["metadata"]["uid"]
        await bench.cluster.delete_child("ConfigMap", bench.namespace, "thing", owner=bench.uid)
        anew = await bench.cluster.create(bench.an_object(a="1"))
        assert anew["metadata"]["uid"] != first["metadata"]["uid"]

    async def test_a_secret_of_somebody_else_is_reported_and_not_touched(self, bench):
        there = bench.a_secret(a="1")
        there["metadata"] |= {"labels": {}, "ownerReferences": []}
        bench.place(there)
        with pytest.raises(RejectedError, match="Secret thing exists already"):
            await bench.cluster.apply(bench.a_secret(a="2"))
        assert bench.read("Secret", "thing")["data"] == {"a": "MQ=="}

    async def test_a_secret_is_brought_to_its_form_whoever_wrote_it_last(self, bench):
        await bench.cluster.apply(bench.a_secret(a="1", b="2"))
        bench.place({**bench.a_secret(a="1"), "data": {"a": "Mw=="}})
        again = await bench.cluster.apply(bench.a_secret(a="1", b="2"))
        assert bench.read("Secret", "thing")["data"] == {"a": "MQ==", "b": "Mg=="}
        assert "data" not in again

    async def test_a_secret_that_was_written_is_known_by_its_metadata_and_who_wrote_its_keys(self, bench):
        written = await bench.cluster.apply(bench.a_secret(a="1", b="2"))
        assert written["kind"] == "Secret"
        assert written["metadata"]["annotations"] == {"kept": "yes"}
        owners = {
            field: each["manager"]
            for each in written["metadata"]["managedFields"]
            for field in each["fieldsV1"].get("f:data", {})
            if field != "."
        }
        assert owners == {"f:a": "pslgs-operator", "f:b": "pslgs-operator"}

    async def test_a_status_is_replaced_as_a_whole(self, bench):
        bench.make_job("cifar")
        job = await bench.cluster.job(bench.namespace, "cifar")
        assert job is not None
        generation = job["metadata"]["generation"]
        for status in ({"phase": "Running", "training": {"step": 5}}, {"phase": "Complete"}):
            job = await bench.cluster.write_status(job, status)
            assert job == await bench.cluster.job(bench.namespace, "cifar")
            assert job["status"] == status
            assert job["metadata"]["generation"] == generation

    @pytest.mark.parametrize("field", ["uid", "resourceVersion"])
    async def test_the_status_of_a_job_that_was_changed_or_replaced_stays(self, bench, field):
        bench.make_job("cifar")
        job = await bench.cluster.job(bench.namespace, "cifar")
        assert job is not None
        as_read = {**job, "metadata": {**job["metadata"], field: OWNER}}
        with pytest.raises(ConflictError):
            await bench.cluster.write_status(as_read, {"phase": "Failed"})
        assert await bench.cluster.job(bench.namespace, "cifar") == job

    async def test_an_event_is_posted_once_and_in_a_namespace_that_is_gone_not_at_all(self, bench):
        for namespace in (bench.namespace, "nowhere"):
            made = event(
                JobReference(namespace, "cifar", OWNER),
                EventSpec("Warning", "ClientLost", "It starts."),
                instance="i",
                first=datetime.now(UTC),
            )
            for _ in range(2):  # the answer to the first may have been lost
                await bench.cluster.post_event(made)
        assert len(await bench.cluster.warnings(bench.namespace)) == 1

    async def test_a_repeated_event_is_counted(self, bench):
        spec = EventSpec("Warning", "ClientLost", "lost edge-1")
        job = JobReference(bench.namespace, "cifar", OWNER)
        made = event(job, spec, instance="i", first=datetime.now(UTC))
        name, patch = made["metadata"]["name"], {"count": 2, "lastTimestamp": "2036-01-01T00:00:00Z"}
        assert not await bench.cluster.patch_event(bench.namespace, name, patch)
        await bench.cluster.post_event(made)
        assert await bench.cluster.patch_event(bench.namespace, name, patch)
        (shown,) = await bench.cluster.warnings(bench.namespace)
        assert (shown["count"], shown["message"]) == (2, "lost edge-1")
        assert shown["lastTimestamp"] == "2036-01-01T00:00:00Z"

    async def test_warnings_are_listed_by_namespace_and_other_events_are_not(self, bench):
        job = JobReference(bench.namespace, "cifar", OWNER)
        for kind, reason in (("Normal", "Started"), ("Warning", "FailedMount")):
            spec = EventSpec(kind, reason, "It is so.")
            await bench.cluster.post_event(event(job, spec, instance="i", first=datetime.now(UTC)))
        told = [each["reason"] for each in await bench.cluster.warnings(bench.namespace)]
        assert told == ["FailedMount"]
        assert list(await bench.cluster.warnings("nowhere")) == []

    async def test_a_server_that_does_not_answer_has_no_report(self, bench):
        assert await bench.cluster.server_report("127.0.0.99") is None
