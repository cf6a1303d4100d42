"""The command line ``pslgs``: one module per command."""
