"""Registrations whose answer is known, right ones and wrong ones of many kinds, for verdict.py.

Two sets of heads, people and seeds that share nothing: by ``limits`` the limits of the checks were chosen, ``report``
is what the documentation reports.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pairs import HEAD, _fitted, _read
from scipy import ndimage
from warps import RMS, inverse, random_affine, random_field, sample, voxel_grid

Array = NDArray[np.floating]
#: Heads of two contrasts, people with labels, and slices of each head, by set.
HEADS = {"limits": ("ms07", "mni"), "report": ("du7294", "ms19")}
PEOPLE = {
    "limits": ("1000", "1001", "1002", "1006"),
    "report": ("1007", "1008", "1009", "1010"),
}
SEED = {"limits": 1, "report": 2}
#: Voxels of volumes are averaged over cubes of this many mm.
REDUCED = 3
#: Kind of pairs that need no registration: a warning says so, and they count neither as right nor as wrong.
COINCIDE = "coinciding"
#: Intensity of the blurred outlines of averages that still belongs to the head.
OUTLINE = 0.15
#: Points at which an error is measured.
POINTS = 1500


@dataclass(frozen=True)
class Case:
    """A registration and its answer.

    Attributes
    ----------
    kind, name : str
    moving, fixed : varreg.Image
    settings : dict
        For ``varreg.solve``.
    at, answer : (n, d) arrays
        Points of the fixed image and where they belong in the moving one, world; None if nothing is right.
    tolerance : float
        Mean error that is still right, world.
    """

    kind: str
    name: str
    moving: Any
    fixed: Any
    settings: dict[str, Any] = field(default_factory=dict)
    at: Array | None = None
    answer: Array | None = None
    tolerance: float = 3.0

    def error(self, result: Any) -> float:
        """Mean distance from the answer, infinite where there is none."""
        if self.at is None:
            return np.inf
        return float(np.linalg.norm(result.points(self.at) - self.answer, axis=1).mean())


def cases(data: Path, which: str, repeats: int = 3) -> Iterator[Case]:
    """All cases of a set."""
    rng = np.random.default_rng(SEED[which])
    for head in HEADS[which]:
        t1, t2 = _head(data, head)
        yield from _slices(head, t1, t2, rng, repeats)
        yield from _volumes(head, _reduced(t1), _reduced(t2), rng, repeats)
    yield from _other_anatomy(data, which, rng)
    yield from _people(data, which)
    yield from _templates(data, which, rng)
    yield from _stains(data, which, rng)
    yield from _phantoms(rng, repeats)


def _head(data: Path, name: str) -> tuple[Array, Array]:
    entry = next(e for e in json.loads((data / "manifest.json").read_text()) if e["id"] == name)
    return _read(data / entry["T1"]), _read(data / entry["T2"])


def _reduced(a: Array) -> Array:
    cut = a[tuple(slice(0, n // REDUCED * REDUCED) for n in a.shape)]
    shape = [part for n in cut.shape for part in (n // REDUCED, REDUCED)]
    return cut.reshape(shape).mean(tuple(range(1, 2 * a.ndim, 2)))


def _image(a: Array, spacing: float = 1.0) -> Any:
    import varreg

    return varreg.Image.from_array(np.ascontiguousarray(a, dtype=np.float32), spacing=spacing)


def _affine_map(d: int, rng: np.random.Generator, shift: float, model: str) -> Array:
    """Turn, scale, shift about the centre; `shift` times that of warps.py."""
    matrix = random_affine(d, rng)
    if model == "rigid":
        left, _, right = np.linalg.svd(matrix[:-1, :-1])
        matrix[:-1, :-1] = left @ right
    matrix[:-1, -1] *= shift
    return matrix


def _seen(
    t1: Array,
    t2: Array,
    rng: np.random.Generator,
    spacing: float,
    rms: float,
    model: str,
    edge: float = HEAD,
) -> tuple[Array, Array, Array]:
    """T2 through a random map (rms in mm of its smooth part), and points with their answer, mm."""
    d, shape = t1.ndim, t1.shape
    grid = voxel_grid(shape)
    smooth = random_field(shape, rng) * np.float32(rms / spacing / RMS)
    matrix = _affine_map(d, rng, 1 / spacing, model)
    back = np.linalg.inv(matrix)
    centre = (np.array(shape) - 1).reshape((-1,) + (1,) * d) / 2

    def apply(m: Array, x: Array) -> Array:
        return np.tensordot(m[:-1, :-1], x - centre, 1) + m[:-1, -1].reshape(centre.shape) + centre

    moving = np.maximum(sample(t2, apply(matrix, grid + smooth), order=1), 0)
    unwarped = inverse(smooth) if rms else np.zeros_like(smooth)
    there = apply(back, grid)
    there = there + np.stack([sample(c, there) for c in unwarped])
    last = np.array(shape).reshape(centre.shape) - 1
    inside = (t1 > edge) & np.all((there >= 0) & (there <= last), axis=0)
    index = np.argwhere(inside)
    index = index[rng.choice(len(index), min(POINTS, len(index)), replace=False)]
    answer = there[(slice(None), *index.T)].T
    return moving, index * spacing, answer * spacing


def _about(linear: Array, shift: Array, centre: Array) -> Array:
    m = np.eye(len(centre) + 1)
    m[:-1, :-1] = linear
    m[:-1, -1] = centre - linear @ centre + shift
    return m


def _turn(d: int, degrees: float, rng: np.random.Generator) -> Array:
    i, j = (0, 1) if d == 2 else sorted(rng.choice(3, 2, replace=False))
    m, a = np.eye(d), np.deg2rad(degrees)
    m[i, i] = m[j, j] = np.cos(a)
    m[i, j], m[j, i] = -np.sin(a), np.sin(a)
    return m


def _forced(
    at: Array, answer: Array, spacing: float, rng: np.random.Generator
) -> Iterator[tuple[str, dict]]:
    """Bad starts and matrices: names and settings."""
    d, centre, to = at.shape[1], at.mean(0), answer.mean(0) - at.mean(0)
    sign = rng.choice([-1, 1])
    yield (
        "bad start, turned",
        {"start": _about(_turn(d, sign * rng.uniform(70, 180), rng), to, centre)},
    )
    shift = rng.normal(size=d)
    shift *= rng.uniform(40, 70) / np.linalg.norm(shift)
    yield "bad start, shifted", {"start": _about(np.eye(d), to + shift, centre)}
    scales = np.ones(d)
    scales[rng.integers(d)] = rng.uniform(0.35, 0.55)
    yield "matrix, one axis collapsed", {"affine": _about(np.diag(scales), to, centre)}
    yield "matrix, shrunk", {"affine": _about(np.eye(d) * rng.uniform(0.4, 0.6), to, centre)}
    yield "matrix, blown up", {"affine": _about(np.eye(d) * rng.uniform(2.0, 2.6), to, centre)}
    yield "matrix, shifted", {"affine": _about(np.eye(d), to + shift / 2, centre)}
    yield (
        "matrix, turned",
        {"affine": _about(_turn(d, sign * rng.uniform(25, 90), rng), to, centre)},
    )


def _cases_of(
    head: str, t1: Array, t2: Array, rng: np.random.Generator, spacing: float, repeats: int
) -> Iterator[Case]:
    d = t1.ndim
    for k in range(repeats):
        for model, rms in (("rigid", 0.0), ("affine", 0.0), ("affine", 3.0), ("rigid", 3.0)):
            for one, two, way in ((t1, t2, "T2 -> T1"), (t2, t1, "T1 -> T2")):
                moving, at, answer = _seen(one, two, rng, spacing, rms, model)
                pair = _image(moving, spacing), _image(one, spacing)
                kind = f"{d}D, {'warp' if rms else 'no warp'}"
                yield Case(kind, f"{head} {way} {model} {k}", *pair, at=at, answer=answer)
        moving, at, answer = _seen(t1, t2, rng, spacing, 2.0, "rigid")
        pair = _image(moving, spacing), _image(t1, spacing)
        for name, settings in _forced(at, answer, spacing, rng):
            yield Case(f"{d}D, {name}", f"{head} {k}", *pair, settings, at, answer)
    flipped = np.ascontiguousarray(t2[::-1])
    for k in range(repeats):
        # no rotation matches it, so that no answer is right
        moving, _, _ = _seen(t1, flipped, rng, spacing, 1.0, "rigid")
        yield Case(f"{d}D, mirrored", f"{head} {k}", _image(moving, spacing), _image(t1, spacing))
    index = np.argwhere(t1 > HEAD)[:: 1 + t1.size // 10**5] * spacing
    pair = _image(t2, spacing), _image(t1, spacing)
    yield Case(f"{d}D, {COINCIDE}", head, *pair, at=index, answer=index)
    moving, at, answer = _seen(t1, t2, rng, spacing, 1.0, "rigid")
    planes = [(0, 1)] if d == 2 else [(0, 1), (1, 2), (0, 2)]
    for plane, turns in itertools.product(planes, (1, 2, 3)):
        turned, there = np.rot90(moving, turns, plane), answer.copy()
        shape = list(moving.shape)
        for _ in range(turns):
            i, j = plane
            there[:, i], there[:, j] = (
                (shape[j] - 1) * spacing - there[:, j].copy(),
                there[:, i].copy(),
            )
            shape[i], shape[j] = shape[j], shape[i]
        yield Case(
            f"{d}D, turned", f"{head} {plane} {90 * turns}", _image(turned, spacing), _image(t1, spacing),
            at=at, answer=there,
        )  # fmt: skip


def _slices(
    head: str, t1: Array, t2: Array, rng: np.random.Generator, repeats: int
) -> Iterator[Case]:
    area = (t1 > HEAD).sum((0, 1)).astype(float)
    filled = np.flatnonzero(area > 0.6 * area.max())
    for z in filled[[len(filled) // 4, len(filled) // 2, (3 * len(filled)) // 4]]:
        one, two = _fitted(t1[:, :, z], 224), _fitted(t2[:, :, z], 224)
        yield from _cases_of(f"{head}:z{z}", one, two, rng, 1.0, repeats)


def _volumes(
    head: str, t1: Array, t2: Array, rng: np.random.Generator, repeats: int
) -> Iterator[Case]:
    yield from _cases_of(head, t1, t2, rng, float(REDUCED), max(repeats // 2, 1))
    for axis, thick in itertools.product(range(3), (50, 30)):
        moving, at, answer = _seen(t1, t2, rng, REDUCED, 1.0, "rigid")
        n = round(thick / REDUCED)
        first = int(np.argwhere(t1 > HEAD)[:, axis].mean() - n / 2)
        index = (slice(None),) * axis + (slice(first, first + n),)
        kept = (at[:, axis] >= first * REDUCED) & (at[:, axis] < (first + n) * REDUCED)
        inside = at[kept].copy()
        inside[:, axis] -= first * REDUCED
        yield Case(
            "3D, head -> slab", f"{head} {axis} {thick}", _image(moving, REDUCED), _image(t1[index], REDUCED),
            at=inside, answer=answer[kept],
        )  # fmt: skip
        kept = (answer[:, axis] >= first * REDUCED) & (answer[:, axis] < (first + n) * REDUCED)
        there = answer[kept].copy()
        there[:, axis] -= first * REDUCED
        yield Case(
            "3D, slab -> head", f"{head} {axis} {thick}", _image(moving[index], REDUCED), _image(t1, REDUCED),
            at=at[kept], answer=there,
        )  # fmt: skip


def _other_anatomy(data: Path, which: str, rng: np.random.Generator) -> Iterator[Case]:
    """Images that show nothing in common: heads, stains, artificial heads, tiles of a head in another order."""
    t1, t2 = _head(data, HEADS[which][0])
    z = t1.shape[2] // 2
    slice_1, slice_2 = _fitted(t1[:, :, z], 224), _fitted(t2[:, :, z], 224)
    he, _ = _stain(data)
    stain = _fitted(he[::2, ::2], 224)
    for k in range(4):
        tiles = _shuffled_tiles(slice_2, rng)
        yield Case("2D, other anatomy", f"tiles {k}", _image(tiles), _image(slice_1))
        noise = ndimage.gaussian_filter(rng.normal(size=(224, 224)), 4 + 3 * k)
        yield Case("2D, other anatomy", f"noise {k}", _image(noise - noise.min()), _image(slice_1))
    top, bottom = (_fitted(t2[:, :, int(t1.shape[2] * share)], 224) for share in (0.78, 0.25))
    for name, other in (("stain", stain), ("top", top), ("bottom", bottom)):
        yield Case("2D, other anatomy", name, _image(other), _image(slice_1))
        yield Case("2D, other anatomy", name + " as fixed", _image(slice_1), _image(other))
    small, other = _reduced(t1), _reduced(t2)
    yield Case(
        "3D, other anatomy", "tiles", _image(_shuffled_tiles(other, rng), 3), _image(small, 3)
    )
    noise = ndimage.gaussian_filter(rng.normal(size=small.shape), 3)
    yield Case("3D, other anatomy", "noise", _image(noise - noise.min(), 3), _image(small, 3))
    import nibabel

    block = nibabel.load(data / "phantoms" / "phantom01_fixed.nii.gz").get_fdata(dtype=np.float32)
    yield Case(
        "3D, other anatomy", "block", _image(block, 3), _image(small, 3), {"start": "centres"}
    )


def _shuffled_tiles(a: Array, rng: np.random.Generator) -> Array:
    """Its quarters (eighths) in a cyclic order, each turned over: a head to no one."""
    half = [n // 2 for n in a.shape]
    out = np.zeros_like(a)
    corners = list(itertools.product((0, 1), repeat=a.ndim))
    # an odd roll: half a round would be half a turn of the whole
    order = np.roll(np.arange(len(corners)), rng.choice(np.arange(1, len(corners), 2)))
    for target, source in enumerate(order):
        t, s = (
            tuple(slice(c * h, c * h + h) for c, h in zip(corners[i], half, strict=True))
            for i in (target, source)
        )
        out[t] = a[s][(slice(None, None, -1),) * a.ndim]
    return out


def _people(data: Path, which: str) -> Iterator[Case]:
    """Different people: right if centroids of labelled structures meet within 5 mm on average."""
    import nibabel

    import varreg

    found = {}
    for name in PEOPLE[which]:
        image, labels = (
            nibabel.as_closest_canonical(nibabel.load(data / "mal35" / f"{name}_{part}.nii.gz"))
            for part in ("t1", "labels")
        )
        kept = np.asarray(labels.dataobj).astype(int)
        ids = [i for i in np.unique(kept) if i > 0 and (kept == i).sum() > 500]
        centres = np.array(ndimage.center_of_mass(np.ones_like(kept), kept, ids))
        world = nibabel.affines.apply_affine(image.affine, centres)
        affine = image.affine @ np.diag([REDUCED] * 3 + [1])
        affine[:3, 3] += image.affine[:3, :3] @ np.full(3, (REDUCED - 1) / 2)
        small = varreg.Image.from_array(
            np.ascontiguousarray(_reduced(np.asarray(image.get_fdata(dtype=np.float32)))),
            affine=affine,
        )
        found[name] = small, dict(zip(ids, world, strict=True))
    for a, b in itertools.permutations(PEOPLE[which], 2):
        shared = sorted(set(found[a][1]) & set(found[b][1]))
        at, answer = (np.array([found[n][1][i] for i in shared]) for n in (b, a))
        yield Case(
            "3D, people",
            f"{a} -> {b}",
            found[a][0],
            found[b][0],
            at=at,
            answer=answer,
            tolerance=5.0,
        )
        if int(a) < int(b):
            rng = np.random.default_rng(int(a))
            for name, settings in _forced(at, answer, REDUCED, rng):
                yield Case(
                    f"3D, people, {name}",
                    f"{a} -> {b}",
                    found[a][0],
                    found[b][0],
                    settings,
                    at,
                    answer,
                    5.0,
                )


def _templates(data: Path, which: str, rng: np.random.Generator) -> Iterator[Case]:
    """Averages of many heads in three contrasts that coincide, with a known map between them."""
    import nibabel

    t1, t2, pd = (
        np.nan_to_num(
            nibabel.load(data / "template2mm" / f"spm_avg152{c}.nii").get_fdata(dtype=np.float32)
        )
        for c in ("T1", "T2", "PD")
    )
    t1, t2, pd = (a / np.percentile(a, 99.5) for a in (t1, t2, pd))
    for name, (one, two) in {
        "T2 -> T1": (t1, t2),
        "PD -> T1": (t1, pd),
        "T1 -> PD": (pd, t1),
    }.items():
        for rms, model in ((0.0, "rigid"), (2.0, "affine")):
            moving, at, answer = _seen(one, two, rng, 2.0, rms, model, OUTLINE)
            yield Case(
                "3D, template",
                f"{name} {model}",
                _image(moving, 2),
                _image(one, 2),
                at=at,
                answer=answer,
            )


def _stain(data: Path) -> tuple[Array, Array]:
    from PIL import Image

    folder, found = data / "histology", []
    for stem in ("HE", "proSPC"):
        picture = Image.open(folder / f"Izd2-29-041-w35_{stem}.jpg").convert("L")
        small = picture.resize((picture.width // 2, picture.height // 2), Image.BOX)
        found.append(255 - np.asarray(small, np.float32))
    return found[0], found[1]


def _stains(data: Path, which: str, rng: np.random.Generator) -> Iterator[Case]:
    """Two stains of consecutive cuts, the moving one turned and shifted; landmarks placed by hand."""
    fixed, moving = _stain(data)
    p, q = (
        np.loadtxt(data / "histology" / f"Izd2-29-041-w35_{s}.csv", delimiter=",", skiprows=1)[
            :, 2:0:-1
        ]
        for s in ("HE", "proSPC")
    )
    n = min(len(p), len(q))
    p, q = (p[:n] + 0.5) / 2 - 0.5, (q[:n] + 0.5) / 2 - 0.5
    tolerance = 0.03 * float(np.linalg.norm(fixed.shape))
    centre = (np.array(moving.shape) - 1) / 2
    for k in range(8):
        angle = np.deg2rad(rng.uniform(-25, 25))
        linear = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        shift = rng.uniform(-25, 25, 2)
        # moving'(x) = moving(M x)
        offset = centre + shift - linear @ centre
        turned = ndimage.affine_transform(moving, linear, offset, order=1)
        there = (q - offset) @ linear  # the inverse of a rotation is its transpose
        yield Case(
            "2D, stains",
            str(k),
            _image(turned),
            _image(fixed),
            at=p,
            answer=there,
            tolerance=tolerance,
        )
        if k < 3:
            for name, settings in _forced(p, there, 1.0, rng):
                yield Case(
                    f"2D, stains, {name}",
                    str(k),
                    _image(turned),
                    _image(fixed),
                    settings,
                    p,
                    there,
                    tolerance,
                )


def _phantoms(rng: np.random.Generator, repeats: int) -> Iterator[Case]:
    """Artificial heads."""
    from varreg.data.phantom import deformed_pair

    for k in range(4 * repeats):
        made = deformed_pair((192, 176), rng)
        index = np.argwhere(made.mask)[::7].astype(float)
        whole = index.astype(int)
        answer = index + made.displacement[:, whole[:, 0], whole[:, 1]].T
        yield Case(
            "2D, phantom", str(k), _image(made.moving), _image(made.fixed), at=index, answer=answer
        )
