"""
Training and use of a small network
===================================

This example covers all steps in half a minute: configuration, training, tables, loading of the weights,
prediction, and refinement by the solver.  So short a training has a small effect, which is measured here;
:doc:`the learned cascade </learned>` describes useful trainings.
"""

# %%
# Configuration
# -------------
# A training is defined by one frozen configuration: a preset, and single fields changed by ``section.field=value``.  The
# preset ``smoke`` generates its pairs from the phantom and needs no data.  Here AT-Net has two passes and is followed by one coarse
# DT-Net, and the distance to the known map of every pair is part of the loss.

import json
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import learned
import varreg
from learned.config import preset, with_changes
from learned.train import train
from varreg.data.phantom import deformed_pair

folder = tempfile.TemporaryDirectory()
run = Path(folder.name) / "run"
config = with_changes(
    preset("smoke"),
    [
        f"train.output={run}",
        "model.at_width=8",
        "model.affine_passes=2",
        "model.scales=2",
        "loss.known_map=20",
        "loss.consistency=0",
        "data.validation_pairs=16",
        "optimiser.learning_rate=2e-3",
        "optimiser.schedule=cosine",
        "optimiser.dropout=0",
        "optimiser.affine_epochs=8",
        "optimiser.epochs=4",
        "train.validation_every=2",
        "train.checkpoint_every=1000",
    ],
)

# %%
# Training
# --------
# The same command in a terminal is ``python -m learned.train --preset smoke --output run --model.at_width=8 ...``.
# ``train(config, resume=True)``, or ``--resume``, resumes an interrupted run with a bitwise identical result.

trained = train(config, progress=False, tensorboard=False)
print(*sorted(path.name for path in run.iterdir()), sep="\n")

# %%
# Accuracy
# --------
# ``metrics.jsonl`` has a line for each validation: the mean error in voxels, mutual information in nats and the
# share of folded cells, before registration, after affine and after each stage.  No network is trained on
# these pairs; the weights of the best validation are saved, and evaluated once on the test pairs.

lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
print(f"{'':24}" + "".join(f"{row:>12}" for row in lines[-1]["figures"]))
for line in lines:
    place = f"{line['part']}, {line['stage']} {line['epoch']}"
    errors = "".join(f"{row['tre']:12.2f}" for row in line["figures"].values())
    print(f"{place:24}{errors}" + ("  best so far" if line.get("best") else ""))

# %%
# ``training.jsonl`` contains the loss of each step, drawn in grey, and in blue the mean of 16 steps.  The two stages have
# different losses and therefore separate plots.

steps = [json.loads(line) for line in (run / "training.jsonl").read_text().splitlines()]
figure, axes = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
for ax, stage in zip(axes, ("affine", "deformable"), strict=False):
    curve = np.array([(s["step"], s["total"]) for s in steps if s["stage"] == stage])
    smooth = np.convolve(curve[:, 1], np.ones(16) / 16, "valid")
    ax.plot(*curve.T, color="0.8")
    ax.plot(curve[15:, 0], smooth, color="tab:blue")
    ax.set(title=f"loss, {stage} stage", xlabel="step")
checks = [line for line in lines if line["part"] == "validation"]
for row in ("identity", "affine", "stage 1"):
    error = [(c["step"], c["figures"][row]["tre"]) for c in checks if row in c["figures"]]
    axes[2].plot(*np.transpose(error), "o-", ms=4, label=row)
axes[2].set(title="validation error, voxels", xlabel="step", ylim=0)
axes[2].legend(loc="lower left")
plt.show()

# %%
# Loading and prediction
# ----------------------
# The weights are one safetensors file with a card that documents their training.  A path is accepted in place of the name
# of a network.

network = learned.load(trained.model)
print(network.name, network.shape, sum(p.numel() for p in network.network.parameters()), "weights")
print(*network.card, sep=", ")

pair = deformed_pair((128, 128), np.random.default_rng(1))
prediction = learned.predict(pair.moving, pair.fixed, model=network)
print(prediction)

# %%
# Refinement by the solver
# ------------------------
# The pair is larger than those of the training, and its map is different.  ``brain-2d`` is included in the package and
# was trained for about an hour on other data.

starts = {
    "solver alone": None,
    "solver, start=prediction": prediction,
    "solver, start=prediction.affine": prediction.affine,
}
maps = {
    "before registration": 0 * pair.displacement,
    "this network": prediction.displacement,
    "brain-2d": learned.predict(pair.moving, pair.fixed).displacement,
}
for name, start in starts.items():
    maps[name] = varreg.solve(pair.moving, pair.fixed, start=start).displacement
errors = {name: np.linalg.norm(map_ - pair.displacement, axis=0) for name, map_ in maps.items()}
for name, error in errors.items():
    print(f"{name:32} mean error {error[pair.mask].mean():.2f} voxels")

# %%
# After half a minute of training the network reduces the distance between heads only slightly.  This does no harm:
# the solver compares a start with its own affine map, and continues from the one with less energy.  With
# ``start=prediction.affine`` the prediction only initialises the affine search.

figure, axes = plt.subplots(2, 3, figsize=(9, 6.4), layout="constrained")
images = {
    "fixed": pair.fixed,
    "moving": pair.moving,
    "moving, this network": prediction.warped.data,
}
for ax, (title, image) in zip(axes[0], images.items(), strict=True):
    ax.imshow(image, cmap="gray")
    ax.set_title(title)
for ax, name in zip(
    axes[1], ("before registration", "this network", "solver, start=prediction"), strict=True
):
    picture = ax.imshow(np.where(pair.mask, errors[name], np.nan), vmin=0, vmax=8)
    ax.set_title(f"{name}: {errors[name][pair.mask].mean():.2f}")
for ax in axes.flat:
    ax.axis("off")
figure.colorbar(picture, ax=axes[1], label="error, voxels", shrink=0.8)
plt.show()
folder.cleanup()

# %%
# Recommendations for useful networks
# -----------------------------------
# * ``preset("laptop")`` takes about an hour on two cores; :doc:`/learned` explains the choices.
# * Train on images like yours: ``data.source=mixed`` accepts label maps and real images.
# * Evaluate on heads that were not part of the training.
# * :doc:`The card of brain-2d </brain-2d>` reports the result of 1.2 hours of training.
