"""Summary of a certificate in words.  There is no total score: each value answers a separate question."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..optimise.check import first_line, remedies
from ..optimise.lengths import length
from ..options.names import SIMILARITIES

if TYPE_CHECKING:
    from .certificate import Certificate
    from .records import Folds, Perturbation

#: Largest number of folds in the text; the certificate holds up to ten.
SHOWN = 3
#: Gradients smaller by this factor are not used as reference: without overlap the gradient vanishes.
LEAST_SHARE = 1e-2


def summary(certificate: Certificate) -> str:
    """The text that ``print(certificate)`` shows, one statement per line: measurements of the map, then accuracy."""
    lines = [
        first_line(certificate.checks),
        remedies(certificate.checks),
        _subject(certificate),
        *certificate.notes,
        _affine(certificate),
        *_given(certificate),
        *_energy(certificate),
        _gradient(certificate),
        _refinement(certificate),
        _perturbations(certificate),
        _baselines(certificate),
        _inverse(certificate),
        "Convergence does not prove correctness: these figures relate the map to the energy, "
        "not to the anatomy. A map can be a minimum and wrong; inspect the warped image.",
    ]
    return "\n".join([*(line for line in lines if line), "", accuracy_words(certificate)])


def _subject(c: Certificate) -> str:
    moving = f"{c.moving_name} (moving)" if c.moving_name else "the moving image"
    fixed = f"{c.fixed_name} (fixed)" if c.fixed_name else "the fixed image"
    shape = " x ".join(map(str, c.shape))
    spacing = " x ".join(f"{size:.3g}" for size in c.spacing)
    return (
        f"{c.kind[0].upper()}{c.kind[1:]} brings {moving} onto {fixed}, {shape} voxels of "
        f"{spacing} mm; {100 * c.in_view:.3g} % of the voxels inside the mask are in view."
    )


def _affine(c: Certificate) -> str:
    if not c.affine_scales:
        return ""
    sizes = " x ".join(f"{scale:.3f}" for scale in c.affine_scales)
    return f"Its affine part A has scales {sizes}, det A = {c.affine_determinant:.3f}."


def _given(c: Certificate) -> list[str]:
    mirrored = "" if c.affine_determinant > 0 else (
        f"Its affine part MIRRORS (determinant {c.affine_determinant:.3g})."
    )  # fmt: skip
    if c.largest_moved == 0:
        return [_folds(c.folds, "the displacement grid", c), mirrored]
    lines = [
        _folds(c.folds_as_given, "the grid it came on", c),
        "Resampled to the displacement grid of the energy, it changes by "
        f"{length(c.mean_moved)} mm on average (at most {length(c.largest_moved)} mm), and "
        f"its {_name(c)} from {c.similarity_as_given:.4f} to {c.energy.similarity:.4f}; the "
        "following figures are those of the resampled map.",
    ]
    return [*lines, _folds(c.folds, "the displacement grid", c), mirrored]


def _folds(folds: Folds, where: str, c: Certificate) -> str:
    grid = f"{where} ({' x '.join(map(str, folds.nodes))} nodes)"
    bound = f"det(id + grad u) >= {folds.bound:.3f} at every point"
    if folds.bound > 0:
        return f"On {grid} it folds nowhere: {bound}."
    places = "; ".join(
        f"voxel ({', '.join(f'{x:.1f}' for x in place.voxel)}), world "
        f"({', '.join(f'{x:.1f}' for x in place.world)}) mm: {place.bound:.2f}"
        for place in folds.places[:SHOWN]
    )
    sure = "FOLDS" if len(c.shape) == 2 else "may FOLD"
    return (
        f"On {grid} it {sure} in {folds.folded} of {folds.cells} cells ({100 * folds.share:.2g} %), "
        f"{bound}; worst at {places}."
    )


def _energy(c: Certificate) -> list[str]:
    e = c.energy
    lines = [
        f"Energy {e.total:.4f} ({_name(c)} {e.terms}); after affine {c.affine.total:.4f}, "
        f"before registration {c.identity.total:.4f}."
    ]
    if c.affine_stage is not None:
        lines.append(
            f"No deformation; the energy of the affine stage is {c.affine_stage.total:.4f}."
        )
    return lines


def _gradient(c: Certificate) -> str:
    """The gradient norm relative to a reference, as it has no meaning by itself."""
    g = c.gradients
    if g.affine <= LEAST_SHARE * g.here:
        return f"The gradient has norm {g.here:.3g}."
    return f"The gradient norm is {_percent(100 * g.here / g.affine)} of that after affine."


def _refinement(c: Certificate) -> str:
    r = c.refinement
    share = "" if r.share is None else f", {_percent(r.share)} of the total gain over the identity"
    first = "" if c.unfolding is None else f"It was first {c.unfolding}. "
    steps = f"{r.iterations} further step{'' if r.iterations == 1 else 's'}"
    return (
        f"{first}With {steps} the solver gains {r.gain:.5f}{share} ({_name(c)} "
        f"{r.end.similarity - r.start.similarity:+.5f} nats, smoothness "
        f"{r.end.smoothness - r.start.smoothness:+.5f}), and moves the head by "
        f"{length(r.mean_moved)} mm on average (95 % below {length(r.percentile_moved)}, at "
        f"most {length(r.largest_moved)} mm); it stopped because {r.stop.value}."
    )


def _perturbations(c: Certificate) -> str:
    rises = "; ".join(map(_rise, c.perturbations))
    return f"Random smooth changes change the energy: {rises}."


def _rise(p: Perturbation) -> str:
    tried = p.draws - p.folded
    size = f"{p.size:g} voxel{'' if p.size == 1 else 's'}"
    if p.mean_rise is None or p.share_rising is None:
        return f"{size}: all of them fold"
    left_out = f", {p.folded} more fold" if p.folded else ""
    rising = round(p.share_rising * tried)
    return f"{size} by {p.mean_rise:+.5f} (it rises in {rising} of {tried}{left_out})"


def _baselines(c: Certificate) -> str:
    s = c.shuffled
    return (
        f"For comparison, the {_name(c)} is {c.identity.similarity:.4f} before registration, "
        f"and {s.mean:.4f} +- {s.deviation:.4f} with the warped voxels permuted at random, "
        "the value for unrelated images."
    )


def _inverse(c: Certificate) -> str:
    i = c.inverse
    verdict = "it can be inverted" if i.largest <= i.tolerance else "it was NOT inverted everywhere"
    return (
        f"Inverse: residual at most {i.largest:.2g} mm, mean {i.mean:.2g} mm at {i.points} moving "
        f"voxels; {verdict}."
    )


def accuracy_words(c: Certificate) -> str:
    """The error estimate from the trials, separate from the measurements of the map, which do not bound the error."""
    a = c.accuracy
    if a is None:
        return "Accuracy: not estimated (varreg.certify(..., trials=8) does)."
    like = (
        (
            "if both images show one head, as in the calibration (docs/certificate.md); between "
            "two people it is larger"
        )
        if a.familiar
        else "as an order of magnitude only: NO pair of the calibration had trials as near or as far"
    )
    return (
        f"Accuracy (estimated from {a.trials} trials): the mean error over the head is "
        f"{a.low:.2g} to {a.high:.2g} mm with a probability of {100 * a.level:.0f} %, and "
        f"below {a.median:.2g} mm with one of 50 %, {like}. The trials, registrations under "
        f"small known perturbations, end {a.distance:.2g} mm from the map and {a.apart:.2g} "
        "mm from each other on average. The interval does not apply to a single point."
    )


def _percent(value: float) -> str:
    """
    >>> _percent(0.123), _percent(210.4)
    ('0.12 %', '210 %')
    """
    return f"{value:.0f} %" if abs(value) >= 10 else f"{value:.2g} %"


def _name(c: Certificate) -> str:
    return SIMILARITIES[c.options.similarity]
