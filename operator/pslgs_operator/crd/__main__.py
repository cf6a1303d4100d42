"""``python -m pslgs_operator.crd`` prints the custom resource definition, ``… reference`` its document."""

import sys

from pslgs_operator.crd.definition import as_yaml, custom_resource_definition
from pslgs_operator.crd.reference import as_markdown

write = as_markdown if sys.argv[1:] == ["reference"] else as_yaml
sys.stdout.write(write(custom_resource_definition()))
