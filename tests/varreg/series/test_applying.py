"""Series are written volume by volume, through one map and one interpolation, and everything is found again."""

from __future__ import annotations

import gzip
import tracemalloc

import nibabel
import numpy as np
import pytest
from click.testing import CliRunner

import varreg
from varreg.cli.commands import main
from varreg.errors import FileError, InputError
from varreg.images.volumes import VOLUMES_PER_THREAD
from varreg.series.aligned import AlignedSeries
from varreg.series.bvectors import rotated
from varreg.series.checks import checks_of, named
from varreg.series.motion import COLUMNS, Head

from . import heads

COUNT = len(heads.MOTIONS)
BVECS = np.vstack([np.zeros(COUNT), np.ones(COUNT), np.zeros(COUNT)])
TEMPLATE = varreg.Grid((20, 24, 18), np.diag([4.0, 4.0, 4.0, 1.0]) + np.eye(4, k=3) * -38)


def known(motions=heads.MOTIONS, **fields):
    """An aligned series whose maps are true, without any work."""
    count = len(motions)
    numbers = {
        "energies": -np.ones(count),
        "start_energies": np.zeros(count),
        "in_view": np.ones(count),
    }
    head = Head(np.zeros(3), np.diag([300.0, 400.0, 350.0]))
    return AlignedSeries(heads.GRID, motions, "rigid", 0, head, **{**numbers, **fields})


def call(*arguments, code=0):
    outcome = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert outcome.exit_code == code, outcome.output + outcome.stderr
    return outcome


@pytest.fixture(scope="module")
def array():
    return heads.series(noise=0.0, drift=0.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, array):
    """The series as a file, and aligned by the command line."""
    folder = tmp_path_factory.mktemp("series")
    nibabel.save(heads.nifti(array), folder / "bold.nii.gz")
    np.savetxt(folder / "bold.bvec", BVECS)
    call("series", folder / "bold.nii.gz", "-o", folder / "motion", "--reference", 0, "--bvecs", folder / "bold.bvec",
         "--threads", 2)  # fmt: skip
    return folder


def test_the_folder_holds_what_it_says(folder, array):
    motion = varreg.load_series(folder / "motion")
    aligned = nibabel.load(folder / "motion" / "aligned.nii.gz")
    assert aligned.shape == array.shape and aligned.header.get_zooms()[3] == 2.0
    assert np.allclose(aligned.affine, heads.AFFINE, atol=1e-4)
    values = aligned.get_fdata(dtype=np.float32)
    assert np.allclose(values[..., 0], array[..., 0], atol=1e-3)  # the reference stays
    inner = (slice(6, -6),) * 3
    before, after = (np.std(v[inner], axis=-1).mean() for v in (array, values))
    assert after < 0.1 * before
    mean = nibabel.load(folder / "motion" / "mean.nii.gz").get_fdata()
    assert np.allclose(mean[inner], values[inner].mean(-1), rtol=1e-4)
    vectors = np.loadtxt(folder / "motion" / "aligned.bvec")
    assert np.allclose(vectors, rotated(BVECS, motion.affines, motion.grid))
    assert (folder / "motion" / "motion.png").stat().st_size > 10_000


def test_confounds_are_a_table_of_bids(folder):
    motion = varreg.load_series(folder / "motion")
    name = folder / "motion" / "desc-confounds_timeseries"
    head, *rows = name.with_suffix(".tsv").read_text().splitlines()
    assert head.split("\t") == [*COLUMNS, "framewise_displacement"]
    cells = [row.split("\t") for row in rows]
    assert cells[0][-1] == "n/a"
    assert np.allclose([[float(c) for c in row[:6]] for row in cells], motion.parameters, atol=1e-7)
    sidecar = varreg.io.files.read_json(name.with_suffix(".json"))
    assert sidecar["rot_x"]["Units"] == "rad" and sidecar["trans_z"]["Units"] == "mm"
    assert set(sidecar) == set(head.split("\t"))


def test_saved_and_loaded_it_is_the_same(folder):
    motion = varreg.load_series(folder / "motion" / "series.json")
    apart, turned = heads.errors(motion.affines, heads.MOTIONS)
    assert apart.max() < 0.05 and turned.max() < 0.05
    again = varreg.load_series(folder / "motion")
    for name in ("affines", "energies", "in_view", "parameters", "bvecs"):
        assert np.array_equal(getattr(motion, name), getattr(again, name)), name
    with pytest.raises(InputError, match="does not hold its images"):
        motion.save(folder / "other")


def test_every_map_is_there_for_itk(folder):
    motion = varreg.load_series(folder / "motion")
    for k in range(COUNT):
        file = folder / "motion" / "itk" / f"{k:04d}.mat"
        read = varreg.read_transform(file, heads.GRID, heads.GRID)
        assert np.allclose(read.affine, motion.affines[k], atol=1e-12)


def test_the_chain_is_one_map_and_one_interpolation(tmp_path, array):
    """Template -> T1 -> reference -> volume: what is read at where a template voxel goes, once."""
    bend = 2.0 * np.random.default_rng(0).standard_normal((3, 4, 4, 4))
    t1 = varreg.Grid((24, 26, 22), np.diag([3.5, 3.5, 3.5, 1.0]) + np.eye(4, k=3) * -40)
    to_t1 = varreg.Transform(TEMPLATE, t1, heads.rigid([2, 1, 0], [3, 0, 5]), bend)
    to_bold = varreg.Transform(t1, heads.GRID, heads.rigid([-1, 4, 2], [0, 6, 0]))
    chain = [to_t1, to_bold, known()]
    varreg.apply_series(heads.nifti(array), chain, tmp_path / "a.nii.gz", fill=0, threads=2)
    found = nibabel.load(tmp_path / "a.nii.gz")
    assert found.shape == (*TEMPLATE.shape, COUNT)
    assert np.allclose(found.affine, TEMPLATE.affine)
    world = TEMPLATE.voxel_to_world(TEMPLATE.coordinates()).reshape(3, -1).T
    there = to_bold.points(to_t1.points(world))
    for k in (0, 3, 4):
        direct = varreg.Transform(TEMPLATE, heads.GRID, np.eye(4))
        volume = known().transform(k).points(there)
        expected = read(array[..., k], heads.GRID.world_to_voxel(volume.T))
        values = found.get_fdata()[..., k].ravel()
        inside = np.abs(volume).max(1) < 38
        assert np.allclose(values[inside], expected[inside], atol=0.05 * direct.fixed.spacing[0])


def read(volume, places):
    from scipy.ndimage import map_coordinates

    return map_coordinates(volume, places, order=1)


def test_the_same_on_the_command_line(folder, tmp_path):
    t1 = varreg.Transform(TEMPLATE, heads.GRID, heads.rigid([-1, 4, 2], [0, 6, 0]))
    varreg.write_transform(t1, tmp_path / "t1.mat")
    nibabel.save(
        nibabel.Nifti1Image(np.zeros(TEMPLATE.shape, "u1"), TEMPLATE.affine), tmp_path / "f.nii"
    )
    bold, motion = folder / "bold.nii.gz", folder / "motion"
    call("apply", "-t", tmp_path / "t1.mat", "-t", motion, bold, "--fixed", tmp_path / "f.nii", "-o",
         tmp_path / "a.nii", "--bvecs", folder / "bold.bvec")  # fmt: skip
    vectors = varreg.apply_series(bold, [t1, motion], tmp_path / "b.nii", bvecs=BVECS, threads=1)
    one, two = (nibabel.load(tmp_path / name).get_fdata() for name in ("a.nii", "b.nii"))
    assert np.allclose(one, two, atol=1e-3)
    assert np.allclose(np.loadtxt(tmp_path / "a.bvec"), vectors, atol=1e-9)
    affines = varreg.load_series(motion).affines @ t1.affine
    assert np.allclose(vectors, rotated(BVECS, affines, heads.GRID, TEMPLATE))


def test_a_motion_alone_aligns(folder, tmp_path):
    call("apply", folder / "motion", folder / "bold.nii.gz", "-o", tmp_path / "a.nii.gz",
         "--interpolation", "cubic")  # fmt: skip
    with gzip.open(tmp_path / "a.nii.gz") as one:
        values = one.read()
    with gzip.open(folder / "motion" / "aligned.nii.gz") as two:
        assert values == two.read()


def test_a_saved_result_takes_a_series(tmp_path, array):
    """Each volume as it would be warped alone; labels and the inverse too."""
    bend = np.random.default_rng(1).standard_normal((3, 4, 4, 4))
    transform = varreg.Transform(TEMPLATE, heads.GRID, heads.rigid([2, 1, 0], [3, 0, 5]), bend)
    varreg.apply_series(array, transform, tmp_path / "a.nii", threads=1)
    found = nibabel.load(tmp_path / "a.nii").get_fdata(dtype=np.float32)
    assert np.array_equal(found[..., 2], transform.warp(np.ascontiguousarray(array[..., 2])))
    varreg.apply_series(array[..., :2], transform, tmp_path / "m.nii", fill=0, modulate=True)
    found = nibabel.load(tmp_path / "m.nii").get_fdata(dtype=np.float32)
    whole = transform.warp(np.ascontiguousarray(array[..., 1]), fill=0, modulate=True)
    assert np.array_equal(found[..., 1], whole)
    labels = (array > 150).astype(np.int16) * 7
    varreg.apply_series(labels, transform, tmp_path / "l.nii", labels=True)
    stored = nibabel.load(tmp_path / "l.nii")
    assert stored.get_data_dtype() == np.int16
    assert np.array_equal(np.asarray(stored.dataobj)[..., 1], transform.warp_labels(labels[..., 1]))
    maps = np.random.default_rng(0).random((*TEMPLATE.shape, 2), dtype=np.float32)
    varreg.apply_series(maps, transform, tmp_path / "i.nii", inverse=True, fill=0)
    back = nibabel.load(tmp_path / "i.nii").get_fdata(dtype=np.float32)
    assert back.shape == (*heads.SHAPE, 2)
    assert np.allclose(back[..., 1], transform.inverse().warp(maps[..., 1], fill=0), atol=0.02)


def test_memory_does_not_grow_with_the_volumes(tmp_path):
    def peak(count):
        image = heads.nifti(np.zeros((24, 24, 24, count), np.float32))
        nibabel.save(image, tmp_path / "s.nii.gz")
        transform = varreg.Transform(varreg.Grid((24, 24, 24), heads.AFFINE), heads.GRID, np.eye(4))
        tracemalloc.start()
        series, out = tmp_path / "s.nii.gz", tmp_path / "o.nii.gz"
        varreg.apply_series(series, transform, out, threads=1, overwrite=True)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    few = 2 * VOLUMES_PER_THREAD
    assert peak(few) > 0
    assert peak(4 * few) - peak(few) < 24**3 * 4  # less than one volume


def test_files_are_the_same_from_run_to_run_and_readable_everywhere(tmp_path, array):
    transform = known().transform(1)
    for name, threads in (("a.nii.gz", 1), ("b.nii.gz", 2)):
        varreg.apply_series(array, transform, tmp_path / name, threads=threads)
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()
    sitk = pytest.importorskip("SimpleITK")
    seen = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "a.nii.gz")))
    assert np.array_equal(seen.T, nibabel.load(tmp_path / "a.nii.gz").get_fdata(dtype=np.float32))


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_files_and_arrays_are_one_series(tmp_path, array, ending):
    """With a scaling in the header, and read from the middle."""
    from varreg.images.series import as_volumes

    image = nibabel.Nifti1Image(np.round(array).astype(np.int16), heads.AFFINE)
    image.header.set_slope_inter(0.5, 3)
    nibabel.save(image, tmp_path / f"s{ending}")
    volumes = as_volumes(tmp_path / f"s{ending}", argument="series", function="f")
    expected = nibabel.load(tmp_path / f"s{ending}").get_fdata()
    for number, values in enumerate(volumes.arrays(2), 2):
        assert np.allclose(values, expected[..., number], atol=1e-3)
    assert number == COUNT - 1


def test_checks_name_the_volumes():
    far = heads.MOTIONS.copy()
    far[3] = heads.rigid([9, 0, 0], [0, 0, 0])
    result = known(
        far, energies=-np.array([1, 1, 1, 1, 0.2]), in_view=np.array([1, 1, 0.8, 1, 1.0])
    )
    words = {check.name: (check.passed, check.sentence) for check in checks_of(result)}
    assert "volume 3" in words["motion"][1] and not words["motion"][0]
    assert words["similarity"] == (
        False,
        "The similarity to the reference is much lower than usual at volume 4.",
    )
    assert "volume 2: 20 %" in words["view"][1] and not words["view"][0]
    assert words["energy"][0]
    stuck = known(heads.MOTIONS[[0, 3, 0, 3, 3]], start_energies=np.array([0, 0, -1, 0, 0.0]))
    assert not next(c for c in checks_of(stuck) if c.name == "energy").passed
    assert named(np.array([1, 2]), 5) == "2 of 5 volumes (1, 2)"


def test_the_first_line_says_what_could_be_wrong(folder):
    lines = str(varreg.load_series(folder / "motion")).splitlines()
    assert lines[0].startswith("Checks: ") and "framewise displacement" in lines[0]
    assert "brought onto volume 0 by rigid maps" in str(lines)
    told = call(
        "series", folder / "bold.nii.gz", "-o", folder / "again", "--reference", 0, "--json"
    )
    assert '"framewise_displacement"' in told.stdout
    assert call("info", folder / "motion").stdout.splitlines() == lines
    call("series", folder / "bold.nii.gz", "-o", folder / "again", "--reference", 0, "-q", code=1)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda a: {"series": a[..., 0]}, r"has shape \(34, 38, 30\), and a series has 4 axes"),
        (lambda a: {"series": a[..., :1]}, "one volume, which cannot be aligned"),
        (lambda a: {"series": a[:, :, :1]}, "volumes of one slice"),
        (lambda a: {"series": a[:, :, :0]}, "is empty"),
        (lambda a: {"series": a.astype(complex)}, "must hold real numbers"),
        (lambda a: {"reference": 5}, "`reference` is 5, and the series has 5 volumes, 0 to 4"),
        (lambda a: {"reference": "median"}, "must be 'mean' or the number of a volume"),
        (lambda a: {"reference": True}, "must be 'mean' or the number of a volume"),
        (lambda a: {"model": "similarity"}, "`model` must be one of 'rigid', 'affine'"),
        (lambda a: {"bvecs": BVECS[:, :3]}, "3 directions, and the series has 5 volumes"),
        (lambda a: {"threads": 0}, "`threads` must be"),
        (lambda a: {"series": np.where(np.arange(5) == 1, np.nan, a)}, r"`series\[..., 1\]` holds no data"),
        (lambda a: {"series": np.where(np.arange(5) == 4, 3, a)}, r"`series\[..., 4\]` is constant"),
    ],
)  # fmt: skip
def test_what_is_no_series_is_refused(array, change, words):
    arguments = {"series": array, "reference": 0, **change(array)}
    with pytest.raises(InputError, match=words):
        varreg.align_series(arguments.pop("series"), **arguments)


def test_transforms_that_do_not_fit(tmp_path, array):
    out = tmp_path / "a.nii"
    deforms = varreg.Transform(heads.GRID, heads.GRID, np.eye(4), np.zeros((3, 4, 4, 4)))
    for transforms, settings, words in (
        (known(heads.MOTIONS[:3]), {}, "of 3 volumes, and the series has 5"),
        ([known(), deforms], {}, "does not come last"),
        ([], {}, "is empty"),
        ([deforms, known()], {"bvecs": BVECS}, "differ from voxel to voxel"),
        (known(), {"inverse": True}, "a map of its own for each volume"),
        (varreg.Transform(TEMPLATE, TEMPLATE, np.eye(4)), {}, "but the transform expects"),
    ):
        with pytest.raises(InputError, match=words):
            varreg.apply_series(array, transforms, out, **settings)
    with pytest.raises(InputError, match=r"written as .nii or .nii.gz"):
        varreg.apply_series(array, known(), tmp_path / "a.mha")
    assert not list(tmp_path.iterdir())


def test_damaged_files(tmp_path, array):
    nibabel.save(heads.nifti(array), tmp_path / "s.nii.gz")
    whole = (tmp_path / "s.nii.gz").read_bytes()
    (tmp_path / "s.nii.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FileError, match="cannot be read"):
        varreg.align_series(tmp_path / "s.nii.gz", reference=0)
    with pytest.raises(FileError, match="does not exist"):
        varreg.align_series(tmp_path / "absent.nii.gz")
    (tmp_path / "motion").mkdir()
    with pytest.raises(FileError, match="not a folder with a 'series.json'"):
        varreg.load_series(tmp_path / "motion")
    for text in ("{", "{}", '{"format": "varreg series", "version": 1}'):
        (tmp_path / "motion" / "series.json").write_text(text)
        with pytest.raises(FileError, match=r"series.json"):
            varreg.load_series(tmp_path / "motion")


def test_words_of_the_command_line(folder):
    bold = folder / "bold.nii.gz"
    told = call(
        "apply",
        folder / "motion",
        folder / "motion" / "mean.nii.gz",
        "-o",
        folder / "x.nii",
        code=2,
    )
    assert "a motion has a map for each volume" in told.stderr
    told = call(
        "apply", folder / "motion", bold, "-o", folder / "x.csv", "--points", "world", code=2
    )
    assert "--points requires a table" in told.stderr
    mean = folder / "motion" / "mean.nii.gz"
    told = call(
        "apply", "absent", mean, "-o", folder / "x.nii", "--bvecs", folder / "bold.bvec", code=2
    )
    assert "--bvecs requires a series" in told.stderr
    told = call("series", bold, "-o", folder / "y", "--reference", "first", code=2)
    assert "neither 'mean' nor the number" in told.stderr
    told = call("series", bold, "-o", folder / "y", "--reference", 7, code=1)
    assert "the series has 5 volumes" in told.stderr
