"""Random histories of a job, and a model of what must be there in the end."""

import random
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from fake_api.bodies import copied
from fake_api.storage import Key
from pslgs_operator import names
from reconciling.faults import FAILURES, Fault
from reconciling.life import KEY, Operator, World, manifest, training

NODES = ("edge-0", "edge-1", "edge-2", "host.example.com")
LENGTH = 10
MENDED = ("Job", "Service", "ConfigMap", "NetworkPolicy", "PersistentVolumeClaim", "Secret")
"""Kinds of which somebody deletes an object of the job."""
EDITS: dict[str, dict[str, Any]] = {
    "ConfigMap": {"data": {"job.yaml": "by somebody else"}},
    "NetworkPolicy": {"spec": {"podSelector": {"matchLabels": {"app": "by somebody else"}}}},
    "Service": {"spec": {"selector": {"app": "by somebody else"}}},
    "Secret": {"data": {"tls.crt": "YnkgYSBzdHJhbmdlcg=="}},
}
"""What somebody writes over fields of a child, by kind."""
POLICIES = ("Background", "Foreground")
"""Ways to delete the job."""


@dataclass
class Model:
    """What users and nodes want; everything that must be there follows from it.

    Attributes:
        nodes: Those that match the job's selector.
        made: Whether the job exists.
    """

    nodes: set[str] = field(default_factory=set)
    per_node: int = 1
    suspended: bool = False
    mutual_tls: bool = True
    stored: bool = False
    made: bool = False

    def spec(self) -> dict[str, Any]:
        """Return the job's spec beside what never changes."""
        return {
            "clients": {"nodeSelector": {"edge": "true"}, "perNode": self.per_node},
            "suspend": self.suspended,
            "transport": {"tls": "Mutual" if self.mutual_tls else "Disabled"},
            **({"checkpoint": {"storage": {"size": "1Gi"}}} if self.stored else {}),
        }

    def clients(self) -> set[str]:
        """Return the names of the clients' Jobs."""
        ids = {names.client_id(node, number) for node in self.nodes for number in range(self.per_node)}
        return {names.client_name(KEY.name, each) for each in ids}

    def jobs(self) -> set[str]:
        """Return the names of all child Jobs."""
        return set() if self.suspended or not self.made else {names.server_name(KEY.name), *self.clients()}

    def supporting(self) -> set[tuple[str, str]]:
        """Return kind and name of what is there beside Jobs and Secrets, once the job is not suspended."""
        server = names.server_name(KEY.name)
        made = {("ConfigMap", names.manifest_name(KEY.name)), ("Service", server), ("NetworkPolicy", server)}
        claim = {("PersistentVolumeClaim", names.checkpoints_name(KEY.name))} if self.stored else set()
        return {*made, *claim, ("NetworkPolicy", names.clients_name(KEY.name))}

    def identities(self) -> set[str]:
        """Return the names of the Secrets that pods mount."""
        return {f"{name}-tls" for name in self.jobs()} if self.mutual_tls else set()


@dataclass
class History:
    """One run, in which users, nodes, operators and a bad network take turns at random.

    Attributes:
        trace: What happened, for people.
        strangers: Objects of others, which have to stay as they are.
    """

    seed: int
    world: World = field(default_factory=World)
    model: Model = field(default_factory=Model)
    trace: list[str] = field(default_factory=list)
    operators: list[Operator] = field(default_factory=list)
    strangers: dict[Key, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)  # noqa: S311 - a schedule, not a secret
        self.model.mutual_tls = self.rng.random() < 0.3
        self.model.stored = self.rng.random() < 0.5
        self.operators.append(Operator(self.world))

    async def run(self) -> None:
        """Live, and come to rest with at least one node and one operator."""
        self._node_comes("edge-0")
        self._apply()
        steps: list[Callable[[], Awaitable[None]]] = [
            self.a_node_comes_or_goes, self.a_child_is_deleted, self.a_child_is_edited,
            self.somebody_copies_a_child, self.the_job_is_edited,
            self.the_job_is_made_anew, self.the_training_begins, self.an_operator_restarts,
            self.a_second_operator_comes_or_goes, self.a_call_fails, self.watches_begin_anew,
            self.time_passes,
        ]  # fmt: skip
        for _ in range(LENGTH):
            await self.rng.choice(steps)()
            for _ in range(self.rng.randrange(3)):
                await self.somebody_acts()
        if not self.model.nodes:
            self._node_comes("edge-0")
        await self._settle()

    async def somebody_acts(self) -> None:
        """Let controllers act, or watches tell something, or an operator reconcile."""
        operator = self.rng.choice(self.operators)
        which = self.rng.randrange(4)
        if which == 0:
            self.world.run_controllers()
        elif which == 1:
            operator.watches.deliver(only=self.rng.choice([1, None]))
        else:
            well = await operator.look()
            self._note(f"{operator.instance} reconciles{'' if well else ', which fails'}")
            self.world.later(1)

    async def a_node_comes_or_goes(self) -> None:
        """Let a node join, leave, or lose its label."""
        node = self.rng.choice(NODES)
        if node not in self.model.nodes:
            self._node_comes(node)
        elif self.rng.random() < 0.5:
            self._note(f"node {node} goes")
            self.model.nodes.discard(node)
            self.world.remove_node(node)
        else:
            self._note(f"node {node} loses its label")
            self.model.nodes.discard(node)
            self.world.add_node(node, edge="false")

    async def a_child_is_deleted(self) -> None:
        """Delete one as a user with too many rights."""
        if children := self._children(MENDED):
            key = self.rng.choice(children)
            self._note(f"somebody deletes {key.kind} {key.name}")
            self.world.delete(key.kind, key.name)

    async def a_child_is_edited(self) -> None:
        """Write over fields of one as a user with too many rights."""
        if children := self._children(EDITS):
            key = self.rng.choice(children)
            self._note(f"somebody edits {key.kind} {key.name}")
            body = self.world.objects[key]
            edited = {part: {**body[part], **each} for part, each in EDITS[key.kind].items()}
            self.world.put({**copied(body), **edited})

    async def somebody_copies_a_child(self) -> None:
        """Create an object of another name with the labels of a child, but without its owner."""
        if children := self._children(("ConfigMap", "Secret", "NetworkPolicy")):
            key = self.rng.choice(children)
            copy = key._replace(name=f"copy-of-{key.name}")
            if copy not in self.world.objects:
                self._note(f"somebody copies {key.kind} {key.name}")
                body = copied(self.world.objects[key])
                metadata = {
                    "name": copy.name,
                    "namespace": copy.namespace,
                    "labels": body["metadata"]["labels"],
                }
                kept = {part: body[part] for part in ("data", "spec") if part in body}
                self.world.put({"kind": key.kind, "metadata": metadata, **kept})
                self.strangers[copy] = copied(self.world.objects[copy])

    def _children(self, kinds: Collection[str]) -> list[Key]:
        found = (key for key in self.world.objects if key.kind in kinds and key.namespace == KEY.namespace)
        return sorted(key for key in found if key not in self.strangers)

    async def the_job_is_edited(self) -> None:
        """Suspend or resume it, or change what may be changed before the training begins."""
        self.model.suspended = not self.model.suspended if self.rng.random() < 0.6 else False
        job = self.world.get("SplitTrainingJob", KEY.name)
        if job is not None and "trainingStartTime" not in job.get("status", {}):
            self.model.per_node = self.rng.choice([1, 2])
        self._apply()

    async def the_job_is_made_anew(self) -> None:
        """Delete it in one of three ways, and apply another one of its name."""
        if self.rng.random() < 0.5:
            policy = self.rng.choice(POLICIES)
            self._note(f"the job is deleted, {policy}")
            self.world.delete("SplitTrainingJob", KEY.name, policy)
            self.world.report = None
            self._apply()

    async def the_training_begins(self) -> None:
        """Let the server's status page answer."""
        self._note("the server says that it trains")
        self.world.report = training(*(f"{node}-0" for node in sorted(self.model.nodes)))

    async def an_operator_restarts(self) -> None:
        """Let an operator forget everything."""
        operator = self.rng.choice(self.operators)
        self._note(f"{operator.instance} restarts")
        operator.restart()

    async def a_second_operator_comes_or_goes(self) -> None:
        """Let two operators work at once, neither of which knows of the other."""
        if len(self.operators) == 1:
            self._note("operator-1 starts beside operator-0")
            self.operators.append(Operator(self.world, instance="operator-1"))
        else:
            gone = self.operators.pop(self.rng.randrange(2))
            self._note(f"{gone.instance} is gone")

    async def a_call_fails(self) -> None:
        """Let one of the next calls of an operator fail."""
        operator = self.rng.choice(self.operators)
        failure, after = self.rng.choice(sorted(FAILURES)), self.rng.random() < 0.5
        number = self.rng.randrange(12)
        when = "after" if after else "before"
        self._note(f"call {number} of {operator.instance} from now fails with {failure}, {when} its effect")
        Fault(number, FAILURES[failure], after=after).attach(operator)

    async def watches_begin_anew(self) -> None:
        """Let the watches of an operator stop, and list everything."""
        operator = self.rng.choice(self.operators)
        self._note(f"the watches of {operator.instance} list anew")
        operator.watches.relist()

    async def time_passes(self) -> None:
        """Let seconds or months go by."""
        seconds = self.rng.choice([10, 700, 100 * 86400])
        self._note(f"{seconds} s pass")
        self.world.later(seconds)

    async def _settle(self) -> None:
        self._note("everything comes to rest")
        at_rest: list[Operator] = []
        for operator in self.operators * len(self.operators):  # one may have to mend what the other did last
            if await operator.settle():
                at_rest.clear()
            at_rest.append(operator)
            if len(at_rest) == len(self.operators):
                return

    def _node_comes(self, node: str) -> None:
        self._note(f"node {node} comes")
        self.model.nodes.add(node)
        self.world.add_node(node)

    def _apply(self) -> None:
        spec = self.model.spec()
        self._note(f"the job is applied: {spec['clients']['perNode']} per node, suspend={spec['suspend']}")
        self.model.made = True
        self.world.put(manifest(**copied(spec)), "kubectl")

    def _note(self, what: str) -> None:
        self.trace.append(f"{self.world.now:%j %H:%M:%S} {what}")
