"""Oldest versions that setup.cfg admits, as pip's constraints: ``name >= X`` becomes ``name == X``.

python .ci/oldest.py [EXTRA...]    prints those of the package itself and of the extras named
"""

import configparser
import sys
from pathlib import Path

setup = configparser.ConfigParser()
setup.read(Path(__file__).parents[1] / "setup.cfg")
wanted = setup["options"]["install_requires"].split("\n")
for extra in sys.argv[1:]:
    wanted += setup["options.extras_require"][extra].split("\n")
for line in filter(None, wanted):
    name, floor = line.split(">=")
    print(f"{name.strip()} == {floor.strip()}")
