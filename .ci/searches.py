"""What a reader would search for leads to the page that answers it, in the built documentation.

    python .ci/searches.py HTML

The score is that of Sphinx's searchtools.js for titles and main index entries (``! WORD``), which rank above
words of the text.
"""

import json
import sys
from pathlib import Path

SEARCHES = {
    "EPI": "guides",
    "fieldmap": "guides",
    "phase encoding": "guides",
    "multi-channel": "guides",
    "landmarks": "guides",
    "motion correction": "series",
    "fMRI": "series",
    "diffusion": "series",
    "uncertainty": "certificate",
    "confidence interval": "certificate",
    "quality control": "verdict",
    "GPU": "gpu",
    "CUDA": "gpu",
    "BIDS": "cohorts",
    "SLURM": "cohorts",
    "cite": "citation",
    "BibTeX": "citation",
    "conda": "installation",
    "Docker": "installation",
    "Apptainer": "installation",
    "ANTs": "coming-from",
    "elastix": "coming-from",
    "FSL": "exchange",
    "FreeSurfer": "exchange",
    "histology": "slides",
    "whole-slide": "slides",
    "atlas": "templates",
    "label fusion": "templates",
    "inter-subject": "between-people",
    "lesion": "faq",
    "CT": "choosing",
    "rigid": "choosing",
    "RAS": "conventions",
    "Jacobian determinant": "conventions",
    "checkerboard": "report",
    "mutual information": "theory",
    "VoxelMorph": "coming-from",
    "MONAI": "manifest",
    "3D Slicer": "slicer",
    "napari": "integrations",
}


def first_page(index: dict, words: str) -> str | None:
    """The page at the top of the results, by titles and main index entries; None if it is left to the text."""
    scores: dict[int, float] = {}
    query = words.lower()
    for title, places in index["alltitles"].items():
        if query in title.lower() and len(query) >= len(title) / 2:
            for document, _ in places:
                of_page = index["titles"][document] == title
                _raise(scores, document, round(15 * len(query) / len(title)) + of_page)
    for entry, places in index["indexentries"].items():
        if query in entry and len(query) >= len(entry) / 2:
            for document, _, is_main in places:
                if is_main:
                    _raise(scores, document, round(100 * len(query) / len(entry)))
    return index["docnames"][max(scores, key=scores.__getitem__)] if scores else None


def _raise(scores: dict[int, float], document: int, score: float) -> None:
    scores[document] = max(scores.get(document, 0), score)


def main() -> None:
    text = (Path(sys.argv[1]) / "searchindex.js").read_text(encoding="utf-8")
    index = json.loads(text[text.index("{") : text.rindex("}") + 1])
    found = {words: first_page(index, words) for words in SEARCHES}
    wrong = [
        f"{words!r} finds {found[words]}, not {page}"
        for words, page in SEARCHES.items()
        if found[words] != page
    ]
    if wrong:
        sys.exit("The search of the documentation:\n  " + "\n  ".join(wrong))


if __name__ == "__main__":
    main()
