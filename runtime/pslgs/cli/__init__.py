"""The command ``pslgs``: each command in a module of its own, errors told in one place."""
