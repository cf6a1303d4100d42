"""What ``--help`` says of a command beside its arguments: a line for the list of commands, and examples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True)
class HelpText:
    """Help of a command.

    Attributes:
        summary: What it does, in at most 46 characters, which fit into a terminal of 60 columns.
        examples: What to do, and the command line that does it, each in at most 56 characters.
    """

    summary: str
    examples: Sequence[tuple[str, str]]

    @property
    def epilog(self) -> str:
        """The examples as the last paragraph of the help, whose lines are not joined."""
        lines = [line for purpose, command in self.examples for line in (f"  # {purpose}", f"  {command}")]
        return "\n".join(["\b", "Examples:", *lines])


HELP_TEXTS: Final[Mapping[str, HelpText]] = MappingProxyType(
    {
        "init": HelpText(
            "Write a manifest for a data folder.",
            (
                ("look at the folder data, ask, and write job.yaml", "pslgs init data"),
                ("without questions", "pslgs init data --yes --output scans.yaml"),
                ("where names of files say nothing", "pslgs init 'scans/{client}/2024' --format ImageFolder"),
                ("a table, with its columns", "pslgs init data --label outcome --inputs age,dose"),
            ),
        ),
        "validate": HelpText(
            "Check the fields of a manifest.",
            (
                ("list all errors in a manifest", "pslgs validate job.yaml"),
                ("with a field changed", "pslgs validate job.yaml --set spec.epochs=3"),
            ),
        ),
        "check": HelpText(
            "Read all data, say what would stop the job.",
            (
                ("the data of all clients on this machine", "pslgs check job.yaml"),
                ("at a site, only its own data", "pslgs check job.yaml --client site-1"),
            ),
        ),
        "plan": HelpText(
            "Predict traffic, memory and time of a job.",
            (
                (
                    "compare cut layers over a slow link",
                    "pslgs plan job.yaml --bandwidth 20Mbps --latency 40ms",
                ),
                (
                    "without the data, for four clients",
                    "pslgs plan job.yaml --clients 4 --dataset-sizes 1000",
                ),
            ),
        ),
        "run": HelpText(
            "Train a job on this machine.",
            (
                ("train, with a process for each client", "pslgs run job.yaml"),
                ("with fields changed", "pslgs run job.yaml --set spec.epochs=3"),
                ("continue after Ctrl-C", "pslgs run job.yaml --resume"),
                ("begin with the model of another run", "pslgs run job.yaml --from runs/scans"),
            ),
        ),
        "simulate": HelpText(
            "Simulate a job in one process.",
            (
                (
                    "128 clients with two classes each",
                    "pslgs simulate job.yaml --clients 128 --partition severe",
                ),
                ("draw the batches only", "pslgs simulate job.yaml --schedule-only"),
                ("links of two kinds", "pslgs simulate job.yaml --profile lan:0.8,lte:0.2"),
            ),
        ),
        "compare": HelpText(
            "Compare sampling strategies by simulation.",
            (
                ("the strategies of the paper, 64 clients", "pslgs compare job.yaml --clients 64"),
                ("with a baseline", "pslgs compare job.yaml --strategies Global,Centralized"),
                ("on many machines", "pslgs compare job.yaml --scheduler tcp://host:8786"),
            ),
        ),
        "report": HelpText(
            "Write the HTML report of a run.",
            (
                ("a run on this machine", "pslgs report runs/digits"),
                ("a job on a cluster", "pslgs report digits --namespace default"),
            ),
        ),
        "predict": HelpText(
            "Predict samples with the model of a run.",
            (
                ("images in a folder", "pslgs predict runs/scans images/"),
                ("rows of a table, as CSV", "pslgs predict runs/ages new.csv --format csv"),
            ),
        ),
        "export": HelpText(
            "Write the model of a run in another format.",
            (
                ("for ONNX Runtime", "pslgs export runs/scans --output scans.onnx"),
                ("the part up to the cut layer", "pslgs export runs/scans --part client --output c.pt"),
            ),
        ),
        "status": HelpText(
            "Show the state of a job on a cluster.",
            (
                ("once", "pslgs status digits --namespace lab"),
                ("follow the training to its end", "pslgs status digits --watch"),
                ("for programs", "pslgs status digits --format json"),
            ),
        ),
        "logs": HelpText(
            "Print the logs of a job on a cluster.",
            (
                ("server and clients, as they are written", "pslgs logs digits --namespace lab --follow"),
                ("the last lines of one client", "pslgs logs digits --client edge-1-0 --tail 20"),
            ),
        ),
        "model": HelpText(
            "Copy the model of a job out of a cluster.",
            (
                ("the trained model", "pslgs model digits --namespace lab"),
                ("that of the best evaluation", "pslgs model digits --model best --output best.st"),
            ),
        ),
        "identities": HelpText(
            "Issue certificates for use without a cluster.",
            (
                (
                    "of the server and two clients",
                    "pslgs identities keys --server host --clients a,b",
                ),
                ("of one more client", "pslgs identities keys --clients c"),
            ),
        ),
        "server": HelpText(
            "Run the server of a job, as containers do.",
            (
                (
                    "by hand, with an identity of `pslgs identities`",
                    "pslgs server j.yaml --run run --clients 2 --identity S",
                ),
            ),
        ),
        "client": HelpText(
            "Run a client of a job, as containers do.",
            (
                (
                    "by hand, with an identity of `pslgs identities`",
                    "pslgs client j.yaml --id a --server h:7443 --identity A",
                ),
            ),
        ),
    }
)
