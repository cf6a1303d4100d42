"""``pslgs logs``: print the logs of a job on a cluster."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Final

import typer

from pslgs.cli.cluster_access import access_cluster
from pslgs.cli.options import ContextOption, JobOnClusterArgument, KubeconfigOption, NamespaceOption

if TYPE_CHECKING:
    from pslgs.cluster.logs import LogLine

_COLOURS: Final = ("cyan", "green", "magenta", "yellow", "blue", "bright_cyan", "bright_green")
_WIDEST: Final = 24


def logs(  # noqa: PLR0913, PLR0917 - the options of a command
    job: JobOnClusterArgument,
    namespace: NamespaceOption = None,
    server: Annotated[bool, typer.Option("--server", help="Print the server's log.")] = False,  # noqa: FBT002
    client: Annotated[
        list[str] | None,
        typer.Option("--client", metavar="ID", help="Print the log of this client; repeatable."),
    ] = None,
    follow: Annotated[  # noqa: FBT002
        bool, typer.Option("--follow", "-f", help="Print new lines until the job has ended.")
    ] = False,
    tail: Annotated[
        int | None,
        typer.Option(min=0, metavar="LINES", help="Number of last lines of each log; default: all."),
    ] = None,
    context: ContextOption = None,
    kubeconfig: KubeconfigOption = None,
) -> None:
    """Print the logs of a job on a cluster: of the server and all clients, or of those that are named."""
    from pslgs.cluster.logs import chosen_pods, followed_lines, past_lines
    from pslgs.cluster.training_job import read_job
    from pslgs.spec.child_names import SERVER

    access = access_cluster(kubeconfig, context, namespace)
    names = [*([SERVER] if server else []), *(client or ())]
    found = read_job(access, job)
    pods = chosen_pods(found, names)
    width = min(_WIDEST, max((len(pod.who) for pod in found.pods), default=0))
    if follow and not found.has_ended:
        _print(followed_lines(access, job, names, tail), width)
    else:
        _print(past_lines(access, pods, tail), width)


def _print(lines: Iterable["LogLine"], width: int) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    colours: dict[str, str] = {}
    for line in lines:
        colour = colours.setdefault(line.who, _COLOURS[len(colours) % len(_COLOURS)])
        text = _harmless(line.text) if console.is_terminal else line.text
        console.print(Text.assemble((f"{line.who:<{width}} | ", colour), text), soft_wrap=True)


def _harmless(text: str) -> str:
    """Replace characters that would control the terminal, since clients and a user's code write the logs."""
    return "".join(each if each.isprintable() else " " for each in text)
