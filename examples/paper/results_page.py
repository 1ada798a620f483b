"""The results page docs/paper.md, from the JSON files of the tables.

    python examples/paper/results_page.py paper docs/paper.md --pictures docs/images/paper

Tables that have not been made are named as such; those of the preset `smoke` are refused.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import shared  # noqa: F401
from choices import parser
from machine import CHANGED
from writing import Table, page

TABLES = (
    "table2_3", "figure4_5", "table4", "table5", "table6", "table7", "memory", "table8",
)  # fmt: skip
HEAD = """# Reproduction of the paper's tables

What becomes of the tables of "Multi-Modal Image Registration Problem Integrating Multi-Scale Strategy and Deep
Learning" (doi 10.3390/math14122131) when its method is trained and tested again. The scripts are in
`examples/paper`, one command each; this page is written by `examples/paper/results_page.py` from what they leave.

## Reading guide

* **The data are others.** The paper's BraTS2020 slices are not published as pairs, and its preset runs on a GPU.
  So its figures stand beside ours for the order and the size of differences; the figures themselves do not compare.
* **The truth is known here.** Pairs are made by random maps, and every table has the error that the paper has
  not: **TRE**, the mean distance in voxels between the map found and the true one, over the foreground in view, and
  **folds**, the percentage of cells in which the determinant of the map's gradient gets to 0, with the least determinant.
* **MI** is that of the paper's parent: 100 bins on [0, 1], natural logarithm. **NCC** is the correlation of the
  warped and the fixed image. Both with the standard deviation over the test pairs.
* The row **true map** is the best that a registration can do. A method with more MI than the true map
  has fitted something else than anatomy.
* **Reproduced** is said, or denied, only where the 95 % intervals in brackets leave no doubt: bootstrap over the test
  pairs, each method on the same ones. Otherwise the question is **open**. The intervals know nothing of two further
  doubts: the pairs are of few subjects, and every network was trained once, from one seed.
* Subjects that are tested on were not trained on.
* At the reduced size DT-Nets are far from trained. One AT-Net serves all networks; under mutual information alone it hardly
  learns to turn images, so it is trained with the known map as well. DT-Nets learn from the paper's loss alone.
* **Deviations from the paper.** Displacements may have any mean: with a zero mean, as section 2.3.1 has it, a DT-Net cannot
  shift what AT-Net left, and a perfect one behind an idle AT-Net would leave 4.0 of 4.8 voxels. Every DT-Net has one output
  layer. AT-Net is told the known map.
* What a cascade of another kind can do is on [the card of brain-2d](brain-2d.md).
* The last weights count, not the best: the paper names no rule by which it chose.

## Inconsistencies of the paper

* Table 1 gives DT-Net 1474 k parameters, which is width 32; section 3.3.2 chooses width 8.
* Section 3.3.4 speaks of 100 test cases, section 3.1 and Table 8 of 32.
* Section 3.3.4 says that MI varies by 0.011 between two, three and four scales; by Table 2 it is 0.087.
* Section 3.3.4 calls the weight of background suppression "higher-order deformation" and that of dual consistency
  "boundary constraint".
* Section 3.3.10 derives 31 % more computation for three scales; Table 2 has 46 % more GPU time and 52 % more CPU time.
* Table 7 has no row that differs from the full model by dual consistency only, so it says nothing of its worth.
* The inverse of section 2.1.3, -u(x + u(x)), has the wrong sign inside: its error is twice that of -u(x)
  (`learned/inverse.py` says why). The term of dual consistency with it punishes displacements as such.
"""


def text_of(folder: Path, prefix: str = "") -> str:
    """The page, from the tables in a folder.

    Parameters
    ----------
    folder : Path
        ``--output`` of the table scripts.
    prefix : str
        What stands before the names of pictures; without it there are none.

    Raises
    ------
    ValueError
        If a table is of the preset ``smoke``, or of sources that were not committed.
    """
    parts, missing = [HEAD.rstrip()], []
    for name in TABLES:
        file = folder / f"{name}.json"
        if not file.is_file():
            missing.append(name)
            continue
        table: Table = json.loads(file.read_text(encoding="utf-8"))
        if table["preset"] == "smoke":
            raise ValueError(f"{file} is of the preset smoke, whose figures mean nothing")
        if CHANGED in table["machine"]["varreg"]:
            raise ValueError(
                f"{file} was computed by sources that no commit holds; commit them, and run it again"
            )
        parts.append(page(table).rstrip())
        if prefix:
            parts += [f"![{table['title']}]({prefix}{picture})" for picture in table["pictures"]]
    if missing:
        commands = "\n".join(
            f"    python examples/paper/{name}.py --preset reduced" for name in missing
        )
        parts.append(f"## Not run yet\n\n{commands}")
    return "\n\n".join(parts) + "\n"


def copy_pictures(folder: Path, target: Path) -> None:
    """Put the pictures of the tables where the page finds them."""
    target.mkdir(parents=True, exist_ok=True)
    for name in TABLES:
        file = folder / f"{name}.json"
        if file.is_file():
            for picture in json.loads(file.read_text(encoding="utf-8"))["pictures"]:
                shutil.copyfile(folder / picture, target / picture)


def main(given: list[str] | None = None) -> int:
    """Write the page."""
    arguments = parser(__doc__)
    arguments.add_argument("folder", type=Path, help="--output of the table scripts")
    arguments.add_argument("page", type=Path, help="Markdown file")
    arguments.add_argument("--pictures", type=Path, metavar="FOLDER", help="copy the pictures here")
    options = arguments.parse_args(given)
    prefix = ""
    if options.pictures:
        relative = os.path.relpath(options.pictures, options.page.parent)
        prefix = f"{Path(relative).as_posix()}/"
    try:
        text = text_of(options.folder, prefix)
    except ValueError as error:
        arguments.error(str(error))
    if options.pictures:
        copy_pictures(options.folder, options.pictures)
    options.page.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
