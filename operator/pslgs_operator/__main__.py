"""``pslgs-operator``: runs the operator; the environment holds its settings."""

import os
import sys

import kopf

from pslgs.spec.errors import InputError
from pslgs_operator.settings import Settings


def main() -> None:
    """Run until a signal comes."""
    try:
        settings = Settings.from_environ(os.environ)
    except InputError as error:
        sys.exit(str(error))
    kopf.configure(log_format=kopf.LogFormat.JSON if settings.json_logs else kopf.LogFormat.FULL)
    import pslgs_operator.handlers  # noqa: F401, PLC0415 - they register themselves, by the settings just checked

    kopf.run(
        namespaces=settings.watch_namespaces,
        clusterwide=not settings.watch_namespaces,
        liveness_endpoint=f"http://0.0.0.0:{settings.liveness_port}/healthz",
        standalone=True,
    )


if __name__ == "__main__":
    main()
