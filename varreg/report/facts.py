"""Text and numbers of the page besides the certificate."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, NamedTuple

import numpy as np

from ..certificate.certificate import Certificate
from ..io.result_folder import fingerprint
from ..optimise.lengths import length
from ..options.names import SIMILARITIES
from ..options.options import Options
from .joint import mutual_information
from .layers import Layers
from .subject import Subject


class Figure(NamedTuple):
    """A value that answers one question."""

    question: str
    answer: str


class View(NamedTuple):
    """A type of picture: its name, and its numeric caption."""

    name: str
    title: str
    caption: str


def key_figures(c: Certificate) -> list[Figure]:
    """Six values for six questions; there is no total score."""
    name = SIMILARITIES[c.options.similarity]
    gradient = (
        f"{_percent(100 * c.gradients.here / c.gradients.affine)} of that after affine"
        if c.gradients.affine > 0
        else f"{c.gradients.here:.3g}"
    )
    moved = c.refinement
    return [
        Figure(
            f"How much do the images share ({name}, nats)?",
            f"{c.identity.similarity:.3f} before, {c.affine.similarity:.3f} after affine, "
            f"{c.energy.similarity:.3f} after registration",
        ),
        Figure("Does the map fold?", _fold(c)),
        Figure("Is the energy stationary there?", f"Gradient norm {gradient}"),
        Figure(
            "What would the solver still change?",
            f"{length(moved.mean_moved)} mm on average, at most {length(moved.largest_moved)} mm, in "
            f"{moved.iterations} step{'' if moved.iterations == 1 else 's'}",
        ),
        Figure("Can it be inverted?", f"Residual at most {c.inverse.largest:.2g} mm"),
        Figure("How much is in view?", f"{100 * c.in_view:.3g} % of the voxels inside the mask"),
    ]  # fmt: skip


def _fold(c: Certificate) -> str:
    if c.folds.bound > 0:
        return f"Nowhere: det(id + grad u) \u2265 {c.folds.bound:.3f} at every point"
    return (
        f"It may, in {c.folds.folded} of {c.folds.cells} cells: det(id + grad u) \u2265 "
        f"{c.folds.bound:.3f}"
    )


def image_views(subject: Subject) -> list[View]:
    """Pictures of the two images."""
    before, after = (mutual_information(h) for h in subject.histograms)
    shape = " x ".join(map(str, subject.fixed.grid.shape))
    shared = f"joint histogram of the head: {before:.3f} nats shared before, {after:.3f} after"
    both = "Left of the line before, right of it after registration"
    apart = (
        (" The headers place the images apart, so their centres are aligned before registration.")
        if subject.headers_apart
        else ""
    )
    return [
        View(
            "edges", "Edges of the fixed image",
            "Drawn in orange over the warped moving image, where they should coincide with "
            "its edges. Move the line to compare with the moving image before registration "
            f"(left).{apart}",
        ),
        View("moving", "Before and after", f"The moving image. {both}; {shared}.{apart}"),
        View("checkerboard", "Checkerboard", ("Checkerboard of the fixed and the moving "
                                             f"image. {both}.")),
        View("fixed", "Fixed image", f"{subject.result.fixed_name or 'An array'}, {shape} voxels."),
    ]  # fmt: skip


def map_views(subject: Subject, layers: Layers) -> list[View]:
    """Pictures of the map."""
    head = subject.head
    far = np.linalg.norm(subject.result.displacement[:, head], axis=0)
    u = np.linalg.norm(subject.result.u[:, head], axis=0)
    determinant = subject.determinant
    folded = int((determinant <= 0).sum())
    return [
        View(
            "grid", "Deformation grid",
            f"A grid on the moving image, lines {layers.grid_step:.3g} voxels apart, warped "
            f"to the fixed image by the total map, which moves the head by {far.mean():.2f} "
            f"voxels on average, at most {far.max():.2f}.",
        ),
        View(
            "field", "Displacement field",
            "Hue and arrows show the direction, from the fixed to the moving point; full "
            f"colour from {layers.full_colour:g} mm, black is zero; in-plane components only. "
            f"The deformable part u moves the head by {length(u.mean())} mm on average, at "
            f"most {length(u.max())} mm.",
        ),
        View(
            "determinant", "Volume change det J",
            "Blue: contraction; orange: expansion; pink: folds. Over the head det(id + grad "
            f"u) is between {determinant[head].min():.3f} and {determinant[head].max():.3f} "
            f"at voxels; in the whole image {folded} of {determinant.size} voxels are at or "
            "below 0.",
        ),
    ]  # fmt: skip


def histogram_captions(subject: Subject) -> list[str]:
    """Captions of the two joint histograms."""
    return [
        f"{when.capitalize()}: {int(h.sum())} voxels of the head fill {int((h > 0).sum())} of {h.size} bins and "
        f"share {mutual_information(h):.3f} nats."
        for when, h in zip(("before", "after"), subject.histograms, strict=True)
    ]  # fmt: skip


def option_rows(options: Options, dimension: int) -> list[tuple[str, str, bool]]:
    """Name, value, and whether it differs from the default for this dimension, for the given regularity."""
    usual = Options(regularity=options.regularity).for_dimension(dimension)
    if usual.regularity == "fine":  # without evidence, an open regularity is smooth
        usual = usual.replace(regularity="auto")
    values = {field.name: getattr(options, field.name) for field in dataclasses.fields(options)}
    return [(name, repr(value), value != getattr(usual, name)) for name, value in values.items()]


def provenance_rows(subject: Subject) -> list[tuple[str, str]]:
    """Versions, machine, run time, and image files."""
    rows = []
    for name, value in subject.result.provenance.items():
        if name not in ("call", "command"):  # shown separately, as typed
            rows.append((name, _plain(value)))
    for side in ("fixed", "moving"):
        image = getattr(subject, side)
        rows.append((f"{side} image", image.name or "an array"))
        rows.append((f"SHA-256 of its {image.data.size} voxels", fingerprint(image.data)))
    return rows


def _percent(value: float) -> str:
    """
    >>> _percent(100.0), _percent(0.123)
    ('100 %', '0.12 %')
    """
    return f"{value:.0f} %" if value >= 10 else f"{value:.2g} %"


def _plain(value: Any) -> str:
    """
    >>> _plain({"affine": 0.25, "levels": 3})
    'affine 0.25, levels 3'
    """
    if isinstance(value, dict):
        return ", ".join(f"{name} {_plain(part)}" for name, part in value.items())
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:.3g}"
    return str(value)
