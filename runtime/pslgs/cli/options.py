"""Arguments and options that several commands share."""

import json
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from pslgs.simulation.job_variants import Skew

JobArgument = Annotated[
    Path, typer.Argument(metavar="JOB.YAML", help="Manifest of the job, a SplitTrainingJob.")
]
RunArgument = Annotated[
    Path, typer.Argument(metavar="RUN", help="Folder of the run, or a .safetensors file.")
]

SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="PATH=VALUE", help="Set a field of the manifest, e.g. spec.epochs=3; repeatable."
    ),
]
DeviceOption = Annotated[
    str,
    typer.Option(
        metavar="DEVICE", help="Device: auto, cpu, cuda or cuda:N; auto selects a GPU if there is one."
    ),
]
CacheOption = Annotated[Path, typer.Option(help="Folder that caches converted datasets.")]
RunFolderOption = Annotated[
    Path | None, typer.Option(help="Folder of the run; default: a new one under runs/, named after the job.")
]

VirtualClientsOption = Annotated[int | None, typer.Option(min=1, help="Number of virtual clients.")]
PartitionOption = Annotated[
    Skew | None,
    typer.Option(
        help="Label skew of the clients: severe (two classes each), mild (five classes each) or iid."
    ),
]
ProfileOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME[:WEIGHT],…",
        help="Network and device profiles to model: lan, wifi, lte, satellite or a YAML file, with optional "
        "weights, e.g. lan:0.8,lte:0.2.",
    ),
]
ScheduleOnlyOption = Annotated[
    bool, typer.Option("--schedule-only", help="Draw the batches without training.")
]
RecalibrateOption = Annotated[
    int,
    typer.Option(
        min=0,
        metavar="BATCHES",
        help="Number of global batches to re-estimate BatchNorm statistics from, for a second score of each "
        "evaluation; 0 disables it.",
    ),
]


class WhichModel(StrEnum):
    """A model of a run."""

    FINAL = "final"
    LAST = "last"
    BEST = "best"


WhichOption = Annotated[
    WhichModel,
    typer.Option(
        "--model",
        help="Model of the run: final (at the end of the training, or before it, of the last checkpoint), "
        "last (of the last checkpoint) or best (of the best evaluation).",
    ),
]


class OutputFormat(StrEnum):
    """Format of a command's output."""

    TEXT = "text"
    JSON = "json"


FormatOption = Annotated[OutputFormat, typer.Option("--format", help="Output format.")]

JobOnClusterArgument = Annotated[str, typer.Argument(metavar="JOB", help="Name of the job on the cluster.")]
NamespaceOption = Annotated[
    str | None,
    typer.Option(
        "--namespace", "-n", metavar="NAMESPACE", help="Namespace of the job; default: that of the context."
    ),
]
ContextOption = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Context of the kubeconfig; default: the current one."),
]
KubeconfigOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Kubeconfig; default: KUBECONFIG, or ~/.kube/config."),
]
ReaderImageOption = Annotated[
    str | None,
    typer.Option(
        metavar="IMAGE",
        help="Image of the pod that reads the job's volume once the server has ended; default: the server's.",
    ),
]


def print_json(document: Mapping[str, Any]) -> None:
    """Print one JSON document on stdout."""
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False))
