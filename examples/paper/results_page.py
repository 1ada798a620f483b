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

The experiments of "Multi-Modal Image Registration Problem Integrating Multi-Scale Strategy and Deep Learning" (doi
10.3390/math14122131), repeated with `learned`. Each table has a script in `examples/paper`; this page is generated from their
output by `examples/paper/results_page.py`.

## Reading guide

* **Different data.** The paper's pairs of BraTS2020 slices are not published, and its training size requires a GPU. Our figures
  can be compared with the paper's in order and in the size of differences, not in absolute value.
* **Known truth.** The test pairs are made with known random maps, so that every table has two measures that the paper lacks:
  **TRE**, the target registration error, here the mean distance in voxels between the estimated and the true map over the
  foreground; and **folds**, the percentage of cells with a non-positive Jacobian determinant, with the smallest determinant.
* **MI** is computed with the estimator of C-F-I-R, the paper's parent method: 100 bins on [0, 1], in nats. **NCC** is the
  correlation of the warped and the fixed image. Both are given as mean and standard deviation over the test pairs.
* The row **true map** is the upper limit of any registration. A method with higher MI than the true map has fitted something
  other than anatomy.
* **Reproduced** is "yes" or "no" only if the 95 % bootstrap intervals in brackets exclude the opposite; otherwise "open". All
  methods are tested on the same pairs. The intervals do not cover two further sources of variation: the pairs come from few
  subjects, and each network was trained once, with one seed.
* No test subject was used in training.
* **Reduced training.** With 2000 steps the DT-Nets are far from converged. One AT-Net serves all networks. It is trained with the known
  map, since with mutual information alone it hardly learns rotations; the DT-Nets are trained with the paper's loss alone.
* **Deviations from the paper.** Displacements may have any mean: with the zero mean of section 2.3.1 a DT-Net cannot correct the
  translation that AT-Net leaves, and even a perfect one would leave 4.0 of 4.8 voxels behind an untrained AT-Net. Every DT-Net has one
  output layer. AT-Net is trained with the known map.
* The weights after the last step are evaluated, since the paper gives no criterion for choosing others.
* The networks shipped with `learned` are of another design: see [brain-2d](brain-2d.md).

## Inconsistencies of the paper

* Table 1 gives 1474 k parameters for DT-Net, which corresponds to width 32; section 3.3.2 chooses width 8.
* Section 3.3.4 speaks of 100 test cases, section 3.1 and Table 8 of 32.
* Section 3.3.4 says that MI varies by 0.011 between two, three and four scales; in Table 2 it varies by 0.087.
* Section 3.3.4 calls the weight of background suppression "higher-order deformation" and that of dual consistency
  "boundary constraint".
* Section 3.3.10 derives 31 % more computation for three scales; Table 2 has 46 % more GPU time and 52 % more CPU time.
* In Table 7 no row differs from the full model by dual consistency alone, so that its contribution cannot be read off.
* The inverse of section 2.1.3, -u(x + u(x)), has the wrong sign inside: its error is twice that of -u(x) (derivation in
  `learned/inverse.py`). With it the dual consistency term penalises displacement as such.
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
