"""The section of a configuration on the data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .rules import Rule, Section, choice, names, number, path, ruled, whole

SOURCES = ("phantom", "labels", "manifest")


@dataclass(frozen=True)
class DataConfig(Section):
    """Where pairs of images come from, and how they are varied.

    Parameters
    ----------
    source : {"phantom", "labels", "manifest", "mixed"}
        Drawn from the phantom, synthesised from label volumes, or listed in a manifest.
    phantom_share, labels_share, manifest_share : float
        For "mixed": how often each is drawn, relative to the others.
    manifest, labels : str or None
        Paths of the manifest and of the label volumes, relative to the working folder.
    cache : str or None
        Folder that keeps volumes once they have been resampled.
    licences : tuple of str
        Of the data, for the card of the weights.
    validation_subjects : tuple of str
        Subjects that are never trained on; empty leaves the choice to the split.
    spacing : float
        Voxel size to which volumes are brought, in mm.
    slice_axes : tuple of int
        Axes across which slices are taken for d = 2, all alike: 0 right, 1 anterior, 2 superior.
    rotation, scaling, shear, shift, amplitude : float
        Largest motion between the two images: degrees; relative change; tangent; share of the
        extent; length of the smooth displacement, as a share of the longest extent.
    pose : float
        Strength of the motion that both share, flips apart: 1 is :data:`learned.data.POSE`, 0 none.
    intensity : float
        Strength of random gamma, blur, bias field and noise: 1 is the default, 0 none.
    pairs_per_epoch, validation_pairs, test_pairs : int
        Numbers of pairs.
    workers : int
        Processes that prepare pairs; 0 prepares them in the training process.
    """

    name: ClassVar[str] = "data"
    source: str = choice("phantom", (*SOURCES, "mixed"))
    phantom_share: float = number(0.0, 0, 1e6)
    labels_share: float = number(0.0, 0, 1e6)
    manifest_share: float = number(0.0, 0, 1e6)
    manifest: str | None = path(None)
    labels: str | None = path(None)
    cache: str | None = path(None)
    licences: tuple[str, ...] = names()
    validation_subjects: tuple[str, ...] = names()
    spacing: float = number(1.0, 0.01, 100)
    slice_axes: tuple[int, ...] = ruled(
        (2,),
        Rule(
            "one or more of 0, 1 and 2, each once",
            int,
            lambda v: 0 < len(v) == len(set(v)) and set(v) <= {0, 1, 2},
            many=True,
        ),
    )
    rotation: float = number(20.0, 0, 180)
    scaling: float = number(0.15, 0, 0.9)
    shear: float = number(0.1, 0, 1)
    shift: float = number(0.12, 0, 1)
    amplitude: float = number(0.04, 0, 1)
    pose: float = number(1.0, 0, 4)
    intensity: float = number(1.0, 0, 2)
    pairs_per_epoch: int = whole(320, 1, 10_000_000)
    validation_pairs: int = whole(32, 1, 1_000_000)
    test_pairs: int = whole(32, 0, 1_000_000)
    workers: int = whole(0, 0, 256)

    def __post_init__(self) -> None:
        super().__post_init__()
        given = [name for name in SOURCES if getattr(self, f"{name}_share")]
        if self.source == "mixed" and not given:
            self._refuse("phantom_share", "above 0, or another share, for `data.source` 'mixed'")
        if self.source != "mixed" and given:
            self._refuse(f"{given[0]}_share", "0 unless `data.source` is 'mixed'")

    def shares(self) -> dict[str, float]:
        """The sources that pairs are drawn from, with their probabilities.

        Raises
        ------
        InputError
            If a source needs a path and has none; a preset may be completed until then.

        Examples
        --------
        >>> DataConfig(source="mixed", phantom_share=1, labels_share=3, labels="maps").shares()
        {'phantom': 0.25, 'labels': 0.75}
        """
        if self.source != "mixed":
            shares = {self.source: 1.0}
        else:
            shares = {s: getattr(self, f"{s}_share") for s in SOURCES}
        total = sum(shares.values())
        shares = {source: share / total for source, share in shares.items() if share}
        for source in ("labels", "manifest"):
            if source in shares and getattr(self, source) is None:
                self._refuse(source, f"a path, because `data.source` is {self.source!r}")
        return shares
