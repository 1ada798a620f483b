"""Command-line arguments shared by several scripts: pairs, threads, output."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from machine import cores
from pairs import Difficulty, Pair, load_pairs, manifest_pairs, phantom_pairs


def parser(description: str | None) -> argparse.ArgumentParser:
    """A parser that shows the docstring of a script as it stands.

    (argparse instead of click, because the interpreter of the peers may lack click.)
    """
    formatter = argparse.RawDescriptionHelpFormatter
    return argparse.ArgumentParser(description=description, formatter_class=formatter)


def add_pairs(target: argparse.ArgumentParser) -> None:
    """Arguments for :func:`chosen_pairs`."""
    group = target.add_argument_group("pairs")
    group.add_argument(
        "--data",
        type=Path,
        metavar="MANIFEST",
        help='JSON list of {"id", "T1", "T2"}, files relative to it; artificial heads by default',
    )
    group.add_argument("--pairs", type=Path, metavar="FOLDER", help="pairs of --save-pairs instead")
    group.add_argument("--save-pairs", type=Path, metavar="FOLDER", help="keep the pairs here")
    group.add_argument("--dimension", type=int, choices=(2, 3), default=2)
    group.add_argument(
        "--affine",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="whether the random map has an affine part",
    )
    group.add_argument("--seed", type=int, action="append", help="of the maps; repeatable")
    group.add_argument("--limit", type=int, metavar="N", help="first N pairs of each seed")
    group.add_argument("--subjects", type=comma_list, metavar="ID,ID", help="of the manifest")
    group.add_argument(
        "--strength",
        type=float,
        default=1.0,
        metavar="FACTOR",
        help="times the turn and shift of --affine (12 degrees, 12 voxels); with --data",
    )
    group.add_argument(
        "--cut",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="of the field of view that each image lacks, at opposite ends; with --data",
    )
    group.add_argument("--size", type=int, metavar="N", help="voxels per axis of artificial heads")


def add_runs(target: argparse.ArgumentParser) -> None:
    """Arguments of scripts that run methods."""
    target.add_argument("--threads", type=int, default=cores(), help="[default: all cores]")
    target.add_argument(
        "--peer-python",
        default=sys.executable,
        metavar="FILE",
        help="interpreter that has the peers [default: this one, in a process of its own]",
    )
    target.add_argument("--json", type=Path, metavar="FILE", help="write all numbers here too")


def comma_list(text: str) -> list[str]:
    """'a,b' -> ['a', 'b']."""
    return [part.strip() for part in text.split(",") if part.strip()]


def chosen_pairs(given: argparse.Namespace) -> list[Pair]:
    """The pairs that :func:`add_pairs` asks for."""
    if given.pairs:
        return load_pairs(given.pairs)
    made: list[Pair] = []
    for seed in given.seed or [0]:
        made += seeded_pairs(given, given.dimension, given.affine, seed, given.subjects)
    if given.save_pairs:
        from pairs import save_pairs

        given.save_pairs.mkdir(parents=True, exist_ok=True)
        save_pairs(made, given.save_pairs)
    return made


def seeded_pairs(
    given: argparse.Namespace, dimension: int, affine: bool, seed: int, subjects: list[str] | None
) -> list[Pair]:
    """The pairs of one seed, of real heads if there is a manifest."""
    if given.data:
        hard = Difficulty(given.strength, given.cut)
        return list(
            manifest_pairs(given.data, dimension, affine, seed, given.limit, subjects, hard)
        )
    return list(phantom_pairs(dimension, affine, seed, given.limit, given.size))


def describe_pairs(given: argparse.Namespace, pairs: list[Pair]) -> dict[str, Any]:
    """What the pairs are, as plain JSON values."""
    described = {
        "count": len(pairs),
        "shapes": [list(shape) for shape in sorted({pair.fixed.shape for pair in pairs})],
        "heads": sorted({pair.name.split(":")[0] for pair in pairs}),
    }
    if given.pairs:
        return described
    hard = {"strength": given.strength, "cut": given.cut} if given.data else {}
    return {**described, "affine": given.affine, "seeds": given.seed or [0], **hard}


def pairs_line(described: dict[str, Any]) -> str:
    """One line of text for the head of a table."""
    shapes = " and ".join(" x ".join(map(str, shape)) for shape in described["shapes"])
    words = [f"pairs: {described['count']} of {shapes} ({', '.join(described['heads'])})"]
    if "affine" in described:
        words.append("affine + warp" if described["affine"] else "warp only")
        words.append(f"seed {' and '.join(map(str, described['seeds']))}")
    if described.get("strength", 1) != 1:
        words.append(f"turn and shift times {described['strength']:g}")
    if described.get("cut"):
        words.append(f"{described['cut']:.0%} of each image cut off at opposite ends")
    return ", ".join(words)


def write_json(file: Path | None, content: dict[str, Any]) -> None:
    """Write plain values, if a file was asked for."""
    if file:
        file.write_text(json.dumps(content, indent=1))
