"""Entry point of ``python -m pslgs.cli``, equivalent to the command ``pslgs``."""

from pslgs.cli.main import main

if __name__ == "__main__":
    main()
