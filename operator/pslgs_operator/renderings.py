"""Rendered children of a job, kept between reconciles while what they are made from is the same."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from pslgs_operator.endpoint import Endpoint
from pslgs_operator.identity_key import IdentityKey
from pslgs_operator.manifests import client, server
from pslgs_operator.manifests.metadata import as_supporting
from pslgs_operator.manifests.supporting import supporting_objects
from pslgs_operator.settings import Settings
from pslgs_operator.training_job import REMEMBERED, TrainingJob

# A key keeps its job alive, and is of use only as long as the job's manifest is kept.


@dataclass(frozen=True, slots=True)
class _Source:
    """A job as far as children are made from it: without its status and generation."""

    job: TrainingJob = field(compare=False)
    settings: IdentityKey[Settings]
    manifest: IdentityKey[object]
    unknown_fields: IdentityKey[object]
    name: tuple[str, str, str]
    queue_labels: frozenset[tuple[str, str]]


def _source(job: TrainingJob, settings: Settings) -> _Source:
    return _Source(
        job,
        IdentityKey(settings),
        IdentityKey(job.manifest),
        IdentityKey(job.unknown_fields),
        (job.namespace, job.name, job.uid),
        frozenset(job.queue_labels.items()),
    )


def rendered_supporting(job: TrainingJob, settings: Settings) -> Mapping[tuple[str, str], Mapping[str, Any]]:
    """Return the supporting objects that the job should have, by kind and name, in order."""
    return _supporting(_source(job, settings))


def rendered_server_digest(job: TrainingJob, settings: Settings) -> str:
    """Return `server.server_digest`."""
    return _server_digest(_source(job, settings))


def rendered_client_digest(job: TrainingJob, address: Endpoint, settings: Settings) -> str:
    """Return `client.client_digest`."""
    return _client_digest(_source(job, settings), address)


@lru_cache(REMEMBERED)
def _supporting(source: _Source) -> Mapping[tuple[str, str], Mapping[str, Any]]:
    job, settings = source.job, source.settings.value
    wanted = supporting_objects(job, settings)
    return {which: as_supporting(build(job, settings)) for which, build in wanted.items()}


@lru_cache(REMEMBERED)
def _server_digest(source: _Source) -> str:
    return server.server_digest(source.job, source.settings.value)


@lru_cache(REMEMBERED)
def _client_digest(source: _Source, address: Endpoint) -> str:
    return client.client_digest(source.job, address, source.settings.value)
