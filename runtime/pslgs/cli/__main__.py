"""``python -m pslgs.cli``, the command ``pslgs`` for a Python that has no scripts on its path."""

from pslgs.cli.main import main

if __name__ == "__main__":
    main()
