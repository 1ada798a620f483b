"""A wheel holds every file of the packages, and nothing else: python .ci/contents.py WHEEL."""

import sys
import zipfile
from pathlib import Path

root = Path(__file__).parents[1]
ours = {
    path.relative_to(root).as_posix()
    for name in ("varreg", "learned")
    for path in (root / name).rglob("*")
    if path.is_file() and "__pycache__" not in path.parts
}
held = {name for name in zipfile.ZipFile(sys.argv[1]).namelist() if ".dist-info/" not in name}
if held != ours:
    sys.exit(
        f"missing in the wheel: {sorted(ours - held)}; not of the packages: {sorted(held - ours)}"
    )
sys.stdout.write(f"{len(held)} files\n")
