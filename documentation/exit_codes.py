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

Every command, and the containers, end with one of these. After *Failed* in the column of the server, the job
fails with this reason; after another code than 0, the server's pod is started again, at most
`spec.backoffLimit` times. A client's pod is started again without limit unless its column says *for good*.

| code | name | meaning | server's pod | client's pod | what to do |
| --- | --- | --- | --- | --- | --- |
"""
_REMEDIES: Final[Mapping[ExitCode, str]] = {
    ExitCode.FINISHED: "Use the model.",
    ExitCode.INTERNAL_ERROR: "Read the log; `pslgs --debug COMMAND …` prints the traceback of a command.",
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


def as_markdown() -> str:
    """Write a table with a row for each code."""
    meanings = dict(_meanings())
    return _HEADER + "".join(_row(code, meanings[code.name]) for code in ExitCode)


def _row(code: ExitCode, meaning: str) -> str:
    for_client = "for good" if code in client.FOR_GOOD else ""
    for_server = f"Failed: {VERDICTS[code]}" if code in server.FOR_GOOD else ""
    cells = (str(code.value), code.name, meaning, for_server, for_client, _REMEDIES[code])
    return f"| {' | '.join(cells)} |\n"


def _meanings() -> Iterator[tuple[str, str]]:
    """Yield the name of each code and the text below it in the source."""
    body = ast.parse(inspect.getsource(ExitCode)).body[0]
    statements = getattr(body, "body", [])
    for code, text in itertools.pairwise(statements):
        match code, text:
            case ast.Assign(targets=[ast.Name(id=name)]), ast.Expr(value=ast.Constant(value=str(meaning))):
                yield name, inspect.cleandoc(meaning).replace("\n", " ").replace("``", "`")
