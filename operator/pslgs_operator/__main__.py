"""``pslgs-operator``: runs the operator; the environment holds its settings."""

import logging
import os
import sys

import kopf

from pslgs.spec.errors import InputError
from pslgs_operator.settings import Settings

_log = logging.getLogger(__name__)


def main() -> None:
    """Run until a signal comes; whatever else ends the operator is an exit status other than 0."""
    try:
        settings = Settings.from_environ(os.environ)
    except InputError as error:
        sys.exit(str(error))
    kopf.configure(log_format=kopf.LogFormat.JSON if settings.json_logs else kopf.LogFormat.FULL)
    logging.getLogger().setLevel(settings.log_level.upper())
    from pslgs_operator.handlers import MANAGER  # noqa: PLC0415 - it reads the settings just checked

    try:
        kopf.run(
            # A pattern: a namespace by its name would be watched even where it does not exist.
            namespaces=[",".join((*settings.watch_namespaces, "!*"))] if settings.watch_namespaces else (),
            clusterwide=not settings.watch_namespaces,
            insights=MANAGER.insights,
            stop_flag=MANAGER.stop_flag,
            standalone=True,
        )
    except Exception as error:  # noqa: BLE001 - whatever ended kopf, it ends the process
        _log.critical("the operator ends: its watches ended: %r", error)
        sys.exit(1)
    if MANAGER.failure is not None:
        sys.exit(1)


if __name__ == "__main__":
    main()
