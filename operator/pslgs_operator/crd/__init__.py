"""The custom resource definition, generated from `pslgs.spec`; `python -m pslgs_operator.crd` prints it."""
