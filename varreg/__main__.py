"""``python -m varreg`` is the command ``varreg``."""

from varreg.cli import main

if __name__ == "__main__":
    main(prog_name="varreg")
