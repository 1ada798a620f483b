"""Further pairs: different people, templates, stains, artificial heads, and unrelated images."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from known_cases import (
    HEADS,
    PEOPLE,
    REDUCED,
    Array,
    Case,
    head_images,
    image,
    reduced,
    stain_images,
)
from known_maps import forced, seen
from pairs import fitted
from scipy import ndimage

#: Intensity of the blurred outlines of averages that still belongs to the head.
OUTLINE = 0.15


def other_anatomy(data: Path, which: str, rng: np.random.Generator) -> Iterator[Case]:
    """Images that show nothing in common: heads, stains, artificial heads, tiles of a head in another order."""
    t1, t2 = head_images(data, HEADS[which][0])
    z = t1.shape[2] // 2
    slice_1, slice_2 = fitted(t1[:, :, z], 224), fitted(t2[:, :, z], 224)
    he, _ = stain_images(data)
    stain = fitted(he[::2, ::2], 224)
    for k in range(4):
        tiles = shuffled_tiles(slice_2, rng)
        yield Case("2D, other anatomy", f"tiles {k}", image(tiles), image(slice_1))
        noise = ndimage.gaussian_filter(rng.normal(size=(224, 224)), 4 + 3 * k)
        yield Case("2D, other anatomy", f"noise {k}", image(noise - noise.min()), image(slice_1))
    top, bottom = (fitted(t2[:, :, int(t1.shape[2] * share)], 224) for share in (0.78, 0.25))
    for name, other in (("stain", stain), ("top", top), ("bottom", bottom)):
        yield Case("2D, other anatomy", name, image(other), image(slice_1))
        yield Case("2D, other anatomy", name + " as fixed", image(slice_1), image(other))
    small, other = reduced(t1), reduced(t2)
    yield Case("3D, other anatomy", "tiles", image(shuffled_tiles(other, rng), 3), image(small, 3))
    noise = ndimage.gaussian_filter(rng.normal(size=small.shape), 3)
    yield Case("3D, other anatomy", "noise", image(noise - noise.min(), 3), image(small, 3))
    import nibabel

    block = nibabel.load(data / "phantoms" / "phantom01_fixed.nii.gz").get_fdata(dtype=np.float32)
    yield Case("3D, other anatomy", "block", image(block, 3), image(small, 3), {"start": "centres"})


def shuffled_tiles(a: Array, rng: np.random.Generator) -> Array:
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


def people(data: Path, which: str) -> Iterator[Case]:
    """Different people: right if centroids of labelled structures meet within 5 mm on average."""
    import nibabel

    import varreg

    found = {}
    for name in PEOPLE[which]:
        scan, labels = (
            nibabel.as_closest_canonical(nibabel.load(data / "mal35" / f"{name}_{part}.nii.gz"))
            for part in ("t1", "labels")
        )
        kept = np.asarray(labels.dataobj).astype(int)
        ids = [i for i in np.unique(kept) if i > 0 and (kept == i).sum() > 500]
        centres = np.array(ndimage.center_of_mass(np.ones_like(kept), kept, ids))
        world = nibabel.affines.apply_affine(scan.affine, centres)
        affine = scan.affine @ np.diag([REDUCED] * 3 + [1])
        affine[:3, 3] += scan.affine[:3, :3] @ np.full(3, (REDUCED - 1) / 2)
        small = varreg.Image.from_array(
            np.ascontiguousarray(reduced(np.asarray(scan.get_fdata(dtype=np.float32)))),
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
            for name, settings in forced(at, answer, REDUCED, rng):
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


def templates(data: Path, which: str, rng: np.random.Generator) -> Iterator[Case]:
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
            moving, at, answer = seen(one, two, rng, 2.0, rms, model, OUTLINE)
            yield Case(
                "3D, template",
                f"{name} {model}",
                image(moving, 2),
                image(one, 2),
                at=at,
                answer=answer,
            )


def stains(data: Path, which: str, rng: np.random.Generator) -> Iterator[Case]:
    """Two stains of consecutive cuts, the moving one turned and shifted; landmarks placed by hand."""
    fixed, moving = stain_images(data)
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
            image(turned),
            image(fixed),
            at=p,
            answer=there,
            tolerance=tolerance,
        )
        if k < 3:
            for name, settings in forced(p, there, 1.0, rng):
                yield Case(
                    f"2D, stains, {name}",
                    str(k),
                    image(turned),
                    image(fixed),
                    settings,
                    p,
                    there,
                    tolerance,
                )


def phantoms(rng: np.random.Generator, repeats: int) -> Iterator[Case]:
    """Artificial heads."""
    from varreg.data.phantom import deformed_pair

    for k in range(4 * repeats):
        made = deformed_pair((192, 176), rng)
        index = np.argwhere(made.mask)[::7].astype(float)
        whole = index.astype(int)
        answer = index + made.displacement[:, whole[:, 0], whole[:, 1]].T
        yield Case(
            "2D, phantom", str(k), image(made.moving), image(made.fixed), at=index, answer=answer
        )
