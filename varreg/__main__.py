"""``python -m varreg`` is the command ``varreg``."""

from .cli import main

if __name__ == "__main__":
    main(prog_name="varreg")
