"""``pslgs identities``: issue the certificates of a job that runs without a cluster."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer


def identities(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Folder of the authority and of all identities.")
    ],
    server: Annotated[
        str,
        typer.Option(metavar="HOST,…", help="Host names and addresses at which clients reach the server."),
    ] = "",
    clients: Annotated[str, typer.Option(metavar="ID,…", help="Ids of the clients.")] = "",
    days: Annotated[int, typer.Option(min=1, help="Days for which new identities are valid.")] = 365,
) -> None:
    """Issue the identities of the server and the clients of a job that runs without a cluster.

    Identities that the folder has already are left alone: run it again to add clients, and remove a folder
    first to renew what is in it.
    """
    from pslgs.identity.identity_folders import AUTHORITY, issue_identities

    lifetime = timedelta(days=days)
    issued = issue_identities(folder, _names(server), _names(clients), datetime.now(UTC), lifetime)
    for path in issued:
        typer.echo(f"{path}: issued for {days} days")
    if not issued:
        typer.echo("Nothing is missing.")
    typer.echo(
        f"Copy its folder to each machine, and keep {folder / AUTHORITY} to yourself: it admits clients."
    )


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]
