"""Train a job on a cluster of this machine while faults happen to its pods, its nodes and the control plane.

    PYTHONPATH=tests python -m cluster.chaos --seed 1 --faults 40

Certificates live for ten minutes.  The job has to end Complete, each sample of each epoch has to be used
once, the model has to equal that of an undisturbed simulation to the bit, and when the job's time to live is
over, nothing of it may be left.
"""

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path

from cluster.chaos.faults import Kind, draw
from cluster.chaos.trial import epochs_for, try_out
from cluster.testcluster import access, installing
from cluster.testcluster.process import ClusterError

_NAMESPACE = "chaos"
_ARTEFACTS = Path("artefacts")


def main() -> int:
    """Run, check and print the result; return 0 if all is right."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--faults", type=int, default=40)
    names = [kind.name for kind in Kind]
    parser.add_argument("--kinds", nargs="+", default=names, choices=names, help="kinds of faults")
    arguments = parser.parse_args()
    faults = draw([Kind[name] for name in arguments.kinds], arguments.faults, arguments.seed)
    with (
        installing.cluster_with_operator(_ARTEFACTS / "install") as cluster,
        tempfile.TemporaryDirectory() as scratch,
    ):
        cluster.run("create", "namespace", _NAMESPACE)
        epochs = epochs_for(len(faults))
        try:
            wrong = try_out(cluster, _NAMESPACE, faults, epochs, Path(scratch), _tell)
        except ClusterError as error:
            wrong = [str(error)]
        if wrong:
            cluster.collect(_ARTEFACTS / "chaos")
            wrong.append(f"see {_ARTEFACTS / 'chaos'}")
    for kind, count in Counter(fault.kind for fault in faults).items():
        _tell(f"{count:3}  {kind}")
    for line in wrong:
        _tell(f"wrong: {line}")
    return int(bool(wrong))


def _tell(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (access.UnavailableError, ClusterError) as error:
        sys.exit(f"chaos: {error}")
