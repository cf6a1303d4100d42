"""The reference of the exit codes: meaning, what follows in a cluster, and what to do."""

import ast
import inspect
import itertools
from collections.abc import Iterator, Mapping
from typing import Final

from pslgs.spec.exit_codes import ExitCode
from pslgs_operator.assessment.completion import VERDICTS
from pslgs_operator.manifests import client, server

_HEADER: Final = """# Exit codes

<!-- Generated from the code by `make generate`; change it there. -->

Every command, and the containers, end with one of these.

| code | name | meaning | what to do |
| --- | --- | --- | --- |
"""
_REMEDIES: Final[Mapping[ExitCode, str]] = {
    ExitCode.FINISHED: "Use the model.",
    ExitCode.INTERNAL_ERROR: "Read the log; `pslgs --debug COMMAND …` prints the traceback of a command. "
    "Why a job has failed is said by its condition Failed ([Status](status.md#complete-and-failed)).",
    ExitCode.BAD_INPUT: "Correct the field or the data that the message names; `pslgs validate` and "
    "`pslgs check` list all errors at once.",
    ExitCode.QUORUM_LOST: "Bring clients back, or lower `faultTolerance.minAvailableClients`; a run is "
    "resumed from its checkpoint by `--resume`.",
    ExitCode.CLIENT_LOST: "Bring the client back and resume the run, or set `faultTolerance.onLostClient` to "
    "Wait or Continue.",
    ExitCode.DEADLINE_EXCEEDED: "Raise `activeDeadlineSeconds`.",
    ExitCode.SERVER_UNREACHABLE: "Check that the server runs, its address and port, and firewalls and "
    "network policies between the two.",
    ExitCode.REFUSED: "Read the reason in the log of the client: another certificate, another manifest, "
    "another minor version, or a violation of the protocol.",
    ExitCode.DIVERGED: "Lower the learning rate, set `optimizer.clipNorm`, or check the scale of the data; "
    "the last finite checkpoint is kept.",
    ExitCode.NON_FINITE: "Check the data and the machine of the clients that the message names.",
    ExitCode.DROPPED: "Check the data and the machine of this client.",
    ExitCode.HOSTILE_CLIENT: "Find out what runs at the client that the message names.",
    ExitCode.INTERRUPTED: "Continue with `pslgs run --resume`; in a cluster, the next pod does that.",
}


_IN_A_CLUSTER: Final = """
## In a cluster

After one of these codes of a server, the job fails with this reason. After another one than 0, the pod of the
server is started again, at most `spec.backoffLimit` times.

| code | name | reason of Failed |
| --- | --- | --- |
"""


def as_markdown() -> str:
    """Write a table of all codes, one of those with which a server ends a job, and what ends a client."""
    meanings = dict(_meanings())
    rows = (_row(str(code.value), code.name, meanings[code.name], _REMEDIES[code]) for code in ExitCode)
    failures = (_row(str(code.value), code.name, VERDICTS[code]) for code in sorted(server.FOR_GOOD))
    final = ", ".join(f"{code.value} ({code.name})" for code in sorted(client.FOR_GOOD))
    ends = f"\nA client's pod is started again without limit, unless it ends with {final}.\n"
    return "".join([_HEADER, *rows, _IN_A_CLUSTER, *failures, ends])


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |\n"


def _meanings() -> Iterator[tuple[str, str]]:
    """Yield the name of each code and the text below it in the source."""
    body = ast.parse(inspect.getsource(ExitCode)).body[0]
    statements = getattr(body, "body", [])
    for code, text in itertools.pairwise(statements):
        match code, text:
            case ast.Assign(targets=[ast.Name(id=name)]), ast.Expr(value=ast.Constant(value=str(meaning))):
                yield name, " ".join(meaning.split()).replace("``", "`")
