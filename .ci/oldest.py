"""Oldest versions that setup.cfg admits, as constraints for pip: ``name >= X`` (``, < Y``) becomes ``name == X``.

python .ci/oldest.py [EXTRA...]    those of the package itself and of the extras named
"""

import configparser
import sys
from pathlib import Path

setup = configparser.ConfigParser()
setup.read(Path(__file__).parents[1] / "setup.cfg")
wanted = setup["options"]["install_requires"]
for extra in sys.argv[1:]:
    wanted += setup["options.extras_require"][extra]
for line in sorted(set(filter(None, wanted.split("\n")))):
    name, floor = line.split(">=")
    sys.stdout.write(f"{name.strip()} == {floor.split(',')[0].strip()}\n")
