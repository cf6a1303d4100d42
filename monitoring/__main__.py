"""``python -m monitoring [FOLDER]`` writes what is generated below FOLDER, or here."""

import sys
from pathlib import Path

from monitoring.generated import generated

root = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
for path, text in generated().items():
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text, encoding="utf-8")
