"""
Registration of a cohort
========================

A BIDS dataset of forty artificial people is registered to a template, each T2w image through the T1w image of the same person.
One image is damaged and one is upside down; both are detected without inspection of forty pictures.  On the command line
this is ``varreg bids``; this page shows the same steps in Python.
"""

# %%
# The dataset
# -----------
# Every person has the anatomy of the template with an individual deformation, rotation and scaling, in 32 x 40 x 32 voxels of 6 mm.

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import nibabel
import numpy as np
from PIL import Image

import varreg
from varreg.cohort.dataset import read_sessions
from varreg.cohort.derivatives import write_description
from varreg.cohort.group import write_group
from varreg.cohort.template import template_of
from varreg.cohort.wanted import Wanted, jobs_of
from varreg.data.phantom.cohort import bids_dataset
from varreg.jobs.engine import Engine
from varreg.jobs.running import run_jobs

place = Path(tempfile.mkdtemp())
dataset, output = place / "bids", place / "derivatives"
template = bids_dataset(dataset, people=40)
print(*sorted(file.name for file in (dataset / "sub-01" / "anat").iterdir()), sep="\n")

# %%
# Two defective images
# --------------------
# The file of sub-13 is truncated, and the array of sub-07 is upside down while its header is unchanged.

damaged = dataset / "sub-13" / "anat" / "sub-13_T2w.nii.gz"
damaged.write_bytes(damaged.read_bytes()[:5000])
turned = dataset / "sub-07" / "anat" / "sub-07_T2w.nii.gz"
image = nibabel.load(turned)
upside_down = np.ascontiguousarray(np.asarray(image.dataobj)[:, ::-1, ::-1])
nibabel.Nifti1Image(upside_down, image.affine, image.header).to_filename(turned)

# %%
# The jobs
# --------
# Each person is one job.  ``Engine(processes=2)`` runs two at a time; ``Engine(scheduler="tcp://node:8786")`` would send
# them to a Dask cluster, ``Engine(scheduler="slurm")`` to SLURM.

wanted = Wanted(
    template=template_of(template), contrasts=("T2w",), options=varreg.Options.preset("fast")
)
write_description(output, dataset)
jobs = jobs_of(read_sessions(dataset, wanted.suffixes), wanted, dataset, output)
outcomes = run_jobs(jobs, Engine(processes=2), progress=False)
print(
    {state.value: sum(o.state is state for o in outcomes) for state in {o.state for o in outcomes}}
)
print(next(f"{outcome.name}: {outcome.error}" for outcome in outcomes if outcome.error))

# %%
# The derivatives
# ---------------

for file in sorted((output / "sub-01").glob("*/*")):
    print(file.relative_to(output))

# %%
# Repetition
# ----------
# After the damaged image is replaced, the jobs run again.  One person is registered, and 39 are skipped, because images, options and
# version have not changed.

moving = nibabel.load(dataset / "sub-13" / "anat" / "sub-13_T1w.nii.gz")
nibabel.Nifti1Image(1 - moving.get_fdata(dtype=np.float32), moving.affine).to_filename(damaged)
states = [outcome.state.value for outcome in run_jobs(jobs, Engine(), progress=False)]
print({state: states.count(state) for state in sorted(set(states))})

# %%
# The group report
# ----------------
# ``group.html`` shows every registration, the strongest outliers first; ``group.tsv`` contains the same figures.

rows = write_group(output, dataset)
for row in rows[:4]:
    print(
        f"sub-{row.participant}, {row.source} to {row.target}: {row.outlier:.1f} robust standard deviations"
        f" {f'in {row.outlier_in}' if row.outlier_in else ''}; {' '.join(row.warnings) or 'no warnings'}\n"
    )

figure, axes = plt.subplots(4, 2, figsize=(10, 8), layout="constrained")
for ax, row in zip(axes.flat, rows[:4] + rows[-4:], strict=True):
    ax.imshow(Image.open(output / row.picture))
    ax.set_title(f"sub-{row.participant}: {row.source} to {row.target}", fontsize=9)
    ax.axis("off")

# %%
# The cohort in template space
# ----------------------------
# The mean of all T2w images, placed by their headers before registration, and interpolated once through both maps after it.

before = [nibabel.load(f).get_fdata() for f in sorted(dataset.glob("sub-*/anat/*_T2w.nii.gz"))]
after = [
    nibabel.load(f).get_fdata()
    for f in sorted(output.glob("sub-*/anat/*_space-phantom_*_T2w.nii.gz"))
]
figure, axes = plt.subplots(1, 3, figsize=(10, 4), layout="constrained")
target = nibabel.load(template).get_fdata()
for ax, (title, volume) in zip(
    axes,
    (
        ("template, T1w", target),
        ("T2w, before", np.mean(before, axis=0)),
        ("T2w, after", np.mean(after, axis=0)),
    ),
    strict=True,
):
    ax.imshow(np.rot90(volume[:, :, volume.shape[2] // 2]), cmap="gray")
    ax.set_title(title)
    ax.axis("off")
