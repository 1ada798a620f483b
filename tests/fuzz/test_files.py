"""Mutated files: images, transforms, saved results and weights are read, or refused in words."""

import gzip
import importlib.util
import itertools

import numpy as np
import pytest

import varreg
from varreg.images.accepted import as_image
from varreg.io.files import write_image

from ..varreg.children import needs_fork
from ..varreg.io.test_result_folder import MAKERS
from .running import mutated, odd, run_cases

pytestmark = [pytest.mark.slow, needs_fork]

GRIDS = {2: varreg.Grid.with_spacing((12, 10)), 3: varreg.Grid.with_spacing((7, 8, 6), (1, 2, 1.5))}


def transform(d):
    """A map that deforms, and its affine part alone."""
    grid, random = GRIDS[d], np.random.default_rng(d)
    affine = np.eye(d + 1)
    affine[:-1] += random.normal(0, 0.02, (d, d + 1))
    nodes = random.normal(0, 0.3, (d, *grid.shape))
    return varreg.Transform(grid, grid, affine, nodes), varreg.Transform(grid, grid, affine)


def unpacked(data):
    """The content of a compressed file, whose bytes would only ever break its checksum."""
    return gzip.decompress(data), lambda content: gzip.compress(content, 1)


def changed(name, data, random):
    """A file with mutated bytes; of a compressed one mostly those inside."""
    if name.endswith(".gz") and random.random() < 0.8:
        content, pack = unpacked(data)
        return pack(mutated(content, random))
    return mutated(data, random)


def header_with(data, random):
    """A NIfTI header with odd numbers in fields of floating point or shape."""
    data = bytearray(data)
    for _ in range(int(random.integers(1, 4))):
        if random.random() < 0.7:  # pixdim, vox_offset, scaling, quaternion, sform
            place = int(random.choice([*range(76, 124, 4), *range(256, 328, 4)]))
            with np.errstate(all="ignore"):
                data[place : place + 4] = np.array([odd(random)]).astype("<f4").tobytes()
        else:
            place = int(random.choice(range(40, 56, 2)))
            data[place : place + 2] = random.integers(-5, 30000, 1).astype("<i2").tobytes()
    return bytes(data)


def test_images(tmp_path):
    """NIfTI, plain and compressed, MGH, PNG, TIFF, MetaImage and NRRD."""
    files = {}
    for name, d in (
        ("a.nii", 3),
        ("b.nii.gz", 3),
        ("c.nii", 2),
        ("d.mgz", 3),
        ("e.png", 2),
        ("f.tif", 2),
    ):
        values = (np.random.default_rng(0).random(GRIDS[d].shape) * 200).astype(np.uint8)
        picture = varreg.Image(values.astype(np.float32), GRIDS[d])
        write_image(tmp_path / name, values, picture)
        files[name] = (tmp_path / name).read_bytes()
    if importlib.util.find_spec("SimpleITK"):
        import SimpleITK

        volume = SimpleITK.GetImageFromArray(values.astype(np.int16)[None].repeat(4, 0))
        for name in ("g.mha", "h.nrrd"):
            SimpleITK.WriteImage(volume, str(tmp_path / name))
            files[name] = (tmp_path / name).read_bytes()
    names = itertools.cycle(files)

    def case(random):
        name = next(names)
        data = files[name]
        if name.endswith(".nii") and random.random() < 0.5:
            data = header_with(data, random)
        else:
            data = changed(name, data, random)
        path = tmp_path / f"case{name}"
        path.write_bytes(data)
        whole = random.random() < 0.1

        def action():
            read = as_image(path, argument="moving")
            if whole and max(read.grid.shape) < 99:
                varreg.solve(read, read, iterations=1, progress=False, threads=1)

        return action

    run_cases("image files", 1000, case, least_fine=0.1)


def test_transforms(tmp_path):
    """ANTs, greedy, FSL, NumPy, and elastix: what is read by varreg itself."""
    files = {}
    for d in (2, 3):
        whole, affine = transform(d)
        for name, map_, to in (
            (f"a{d}.nii.gz", whole, "itk"), (f"b{d}.mat", affine, "ants"), (f"c{d}.npz", whole, "numpy"),
            (f"d{d}.npy", whole, "numpy"), (f"e{d}.txt", affine, "greedy"),
        ):  # fmt: skip
            varreg.write_transform(map_, tmp_path / name, to)
            files[name] = d, "greedy" if to == "greedy" else None
    varreg.write_transform(transform(3)[0], tmp_path / "f3.nii.gz", "fsl")
    varreg.write_transform(transform(3)[1], tmp_path / "g3.mat", "fsl")
    files |= {"f3.nii.gz": (3, "fsl"), "g3.mat": (3, "fsl")}
    (tmp_path / "h3.txt").write_text(ELASTIX)
    files["h3.txt"] = 3, None
    contents = {name: (tmp_path / name).read_bytes() for name in files}
    names = itertools.cycle(files)

    def case(random):
        name = next(names)
        dim, format_ = files[name]
        path = tmp_path / f"case{name}"
        path.write_bytes(changed(name, contents[name], random))

        def action():
            read = varreg.read_transform(path, GRIDS[dim], GRIDS[dim], format=format_)
            read.points(np.ones((2, dim)))

        return action

    run_cases("transform files", 1000, case, least_fine=0.1)


ELASTIX = """(Transform "AffineTransform")
(NumberOfParameters 12)
(TransformParameters 1.0 0.1 0.0 0.0 1.1 0.0 0.02 0.0 0.9 1.0 -2.0 0.5)
(InitialTransformParametersFileName "NoInitialTransform")
(HowToCombineTransforms "Compose")
(FixedImageDimension 3)
(MovingImageDimension 3)
(FixedInternalImagePixelType "float")
(MovingInternalImagePixelType "float")
(Size 7 8 6)
(Index 0 0 0)
(Spacing 1.0 2.0 1.5)
(Origin 0.0 0.0 0.0)
(Direction 1.0 0.0 0.0 0.0 1.0 0.0 0.0 0.0 1.0)
(UseDirectionCosines "true")
(CenterOfRotationPoint 3.0 7.0 3.75)
"""


def test_transforms_that_itk_reads(tmp_path):
    """In a process of its own, one for each; so they are few."""
    sitk = pytest.importorskip("SimpleITK")
    whole, affine = transform(3)
    varreg.write_transform(whole, tmp_path / "a.h5", "itk")
    varreg.write_transform(affine, tmp_path / "b.tfm", "itk")
    spline = sitk.BSplineTransformInitializer(sitk.Image([7, 8, 6], sitk.sitkFloat32), [2, 2, 2])
    sitk.WriteTransform(spline, str(tmp_path / "c.tfm"))
    sitk.WriteTransform(sitk.Euler3DTransform(), str(tmp_path / "d.tfm"))
    field = sitk.Image([7, 8, 6], sitk.sitkVectorFloat64, 3)
    for name in ("e.mha", "f.nrrd"):
        sitk.WriteImage(field, str(tmp_path / name))
    contents = {path.name: path.read_bytes() for path in sorted(tmp_path.iterdir())}
    names = itertools.cycle(contents)

    def case(random):
        name = next(names)
        data = mutated(contents[name], random)
        if name.endswith(".tfm") and random.random() < 0.6:  # another number
            words = contents[name].split(b" ")
            words[random.integers(len(words))] = repr(odd(random)).encode()
            data = b" ".join(words)
        path = tmp_path / f"case{name}"
        path.write_bytes(data)
        return lambda: varreg.read_transform(path, GRIDS[3], GRIDS[3]).points(np.ones((2, 3)))

    run_cases("files of ITK", 60, case, seconds=90)


def test_saved_results(tmp_path):
    folders = []
    for number, maker in enumerate(MAKERS):
        maker().save(tmp_path / f"{number}")
        folders.append({p.name: p.read_bytes() for p in (tmp_path / f"{number}").iterdir()})

    def case(random):
        content = dict(folders[random.integers(len(folders))])
        name = sorted(content)[random.integers(len(content))]
        content[name] = changed(name, content[name], random)
        folder = tmp_path / "case"
        folder.mkdir(exist_ok=True)
        for old in folder.iterdir():
            old.unlink()
        for file, data in content.items():
            (folder / file).write_bytes(data)

        def action():
            result = varreg.load(folder)
            str(result)
            result.points(np.ones((2, result.transform.fixed.dim)))

        return action

    run_cases("saved results", 700, case, least_fine=0.02)


def test_certificates(tmp_path):
    image = np.add.outer(np.arange(16.0), np.arange(16.0) ** 2)
    text = varreg.certify(image.max() - image, image, np.eye(3), iterations=1, threads=1).to_json()

    def case(random):
        changed = mutated(text.encode(), random).decode("utf-8", "replace")
        return lambda: str(varreg.Certificate.from_json(changed))

    run_cases("certificates in JSON", 200, case)
