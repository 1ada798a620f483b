"""Draw the picture of docs/architecture.md: the packages of varreg and what imports what.

python examples/figures/architecture.py [FILE]

Boxes, their order and the words beside them come from the code: the layers are those of the import
contract in setup.cfg, the words are the first sentences of the packages' docstrings, and the arrows are
the imports that do not follow from others.  Needs grimp, which import-linter brings.
"""

from __future__ import annotations

import argparse
import ast
import configparser
from html import escape
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "docs" / "images" / "architecture.svg"
#: Pixels: height of a row, left end and width of a box, of the whole picture; depth of the arcs.
ROW, LEFT, BOX, WIDTH, ARC = 36, 190, 120, 980, 16


def layers() -> list[str]:
    """Packages and modules from the top down, by the contract in setup.cfg."""
    contract = configparser.ConfigParser()
    contract.read(ROOT / "setup.cfg")
    lines = contract["importlinter:contract:layers"]["layers"].split("\n")
    names = (name.strip() for line in lines for name in line.split("|"))
    return [name for name in names if name not in ("", "__main__")]


def sentence(name: str) -> str:
    """The first line of the docstring of a package or module."""
    path = ROOT / "varreg" / name
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    doc = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return doc.split("\n")[0].rstrip(".").replace("`", "")


def imports(names: list[str]) -> set[tuple[str, str]]:
    """(importer, imported) of every two packages, without what follows from others."""
    graph = grimp.build_graph("varreg", exclude_type_checking_imports=True, cache_dir=None)
    for name in names:
        graph.squash_module(f"varreg.{name}")
    direct = {
        (one, other)
        for one in names
        for other in names
        if one != other
        and graph.direct_import_exists(importer=f"varreg.{one}", imported=f"varreg.{other}")
    }
    below: dict[str, set[str]] = {}
    for name in reversed(names):  # what a package reaches, from the bottom up
        own = {other for one, other in direct if one == name}
        below[name] = own.union(*(below[other] for other in own))
    return {
        (one, other)
        for one, other in direct
        if not any(other in below[third] for first, third in direct if first == one)
    }


def picture(names: list[str], arrows: set[tuple[str, str]]) -> str:
    """The drawing as SVG."""
    middle = {name: ROW * (k + 1) for k, name in enumerate(names)}
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{ROW * (len(names) + 1)}" '
        'font-family="sans-serif" font-size="13">',
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6" markerHeight="6" '
        'orient="auto"><path d="M0 0L8 4L0 8z" fill="#0068b8"/></marker></defs>',
        f'<rect width="{WIDTH}" height="{ROW * (len(names) + 1)}" fill="white"/>',
    ]
    for one, other in sorted(arrows, key=lambda pair: (middle[pair[0]], middle[pair[1]])):
        begin, end = middle[one], middle[other]
        depth = LEFT - ARC * ((end - begin) // ROW)
        parts.append(
            f'<path d="M{LEFT} {begin + 4}C{depth} {begin + 8} {depth} {end - 8} {LEFT} {end - 4}" '
            'fill="none" stroke="#0068b8" marker-end="url(#head)"/>'
        )
    for name in names:
        y = middle[name]
        parts.append(
            f'<rect x="{LEFT}" y="{y - 12}" width="{BOX}" height="24" rx="4" fill="#eef4fa" '
            f'stroke="#0068b8"/><text x="{LEFT + BOX / 2:g}" y="{y + 4}" text-anchor="middle">{name}</text>'
            f'<text x="{LEFT + BOX + 14}" y="{y + 4}" fill="#333">{escape(sentence(name))}</text>'
        )
    return "\n".join([*parts, "</svg>\n"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("file", nargs="?", type=Path, default=PICTURE)
    given = parser.parse_args()
    names = layers()
    given.file.write_text(picture(names, imports(names)), encoding="utf-8")


if __name__ == "__main__":
    main()
