"""Section `data` of the configuration."""

# no postponed annotations: jsonargparse would resolve them as a type checker does, without limits
from dataclasses import dataclass
from typing import ClassVar, Literal

from . import fields as kinds
from .fields import Section

SOURCES = ("phantom", "labels", "manifest")


@dataclass(frozen=True)
class DataConfig(Section):
    """Sources and augmentation of the training pairs.

    Parameters
    ----------
    source : {"phantom", "labels", "manifest", "mixed", "dataset"}
        Generated from the phantom, synthesised from label volumes, or listed in a manifest; "dataset": passed
        from Python by ``train(training=...)``.
    phantom_share, labels_share, manifest_share : float
        For "mixed": relative frequency of this source.
    manifest : str or None
        Path of the manifest.
    labels : str or None
        Folder of the label volumes.
    people : float
        Fraction of pairs that show two different people, from label volumes and a manifest.
    atlas : str or None
        Subject that is always the moving image of these pairs.
    cache : str or None
        Folder of the cache of resampled volumes.
    licences : tuple of str
        Licences of the data, recorded in the model card.
    validation_subjects : tuple of str
        Subjects used for validation only; by default they are drawn at random.
    spacing : float
        Voxel size in mm to which volumes are resampled.
    slice_axes : tuple of int
        Axes perpendicular to the 2D slices, equally likely: 0 right, 1 anterior, 2 superior.
    rotation : float
        Largest random rotation (degrees).
    scaling : float
        Largest random scaling, relative to 1.
    shear : float
        Largest random shear (tangent of the angle).
    shift : float
        Largest random translation, as a fraction of the field of view.
    amplitude : float
        Largest random deformation, as a fraction of the field of view.
    pose : float
        Strength of the random motion common to both images, in addition to flips; 0 for none.
    intensity : float
        Strength of random gamma, blur, bias field and noise; 0 for none.
    pairs_per_epoch : int
        Number of training pairs per epoch.
    validation_pairs : int
        Number of validation pairs.
    test_pairs : int
        Number of test pairs; 0 for no test.
    workers : int
        Worker processes that prepare pairs; 0 prepares them in the training process.
    """

    name: ClassVar[str] = "data"
    source: Literal["phantom", "labels", "manifest", "mixed", "dataset"] = "phantom"
    phantom_share: kinds.Weight = 0.0
    labels_share: kinds.Weight = 0.0
    manifest_share: kinds.Weight = 0.0
    manifest: kinds.PathText | None = None
    labels: kinds.PathText | None = None
    people: kinds.Share = 0.0
    atlas: kinds.Name | None = None
    cache: kinds.PathText | None = None
    licences: tuple[kinds.Name, ...] = ()
    validation_subjects: tuple[kinds.Name, ...] = ()
    spacing: kinds.Millimetres = 1.0
    slice_axes: tuple[Literal[0, 1, 2], ...] = (2,)
    rotation: kinds.Degrees = 20.0
    scaling: kinds.Most = 0.15
    shear: kinds.Share = 0.1
    shift: kinds.Share = 0.12
    amplitude: kinds.Share = 0.04
    pose: kinds.Strength = 1.0
    intensity: kinds.Strength = 1.0
    pairs_per_epoch: kinds.Positive = 320
    validation_pairs: kinds.Positive = 32
    test_pairs: kinds.Whole = 32
    workers: kinds.Workers = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        for field in ("licences", "validation_subjects", "slice_axes"):
            if len(set(getattr(self, field))) < len(getattr(self, field)):
                self._refuse(field, "without repetition")
        if not self.slice_axes:
            self._refuse("slice_axes", "one or more of 0, 1 and 2")
        given = [name for name in SOURCES if getattr(self, f"{name}_share")]
        if self.source == "mixed" and not given:
            self._refuse("phantom_share", "above 0, or another share, for `data.source` 'mixed'")
        if self.source != "mixed" and given:
            self._refuse(f"{given[0]}_share", "0 unless `data.source` is 'mixed'")

    def shares(self) -> dict[str, float]:
        """Sources of the pairs, with their probabilities.

        Inconsistent or missing values are refused only here, so that a preset can be completed first.

        Examples
        --------
        >>> DataConfig(source="mixed", phantom_share=1, labels_share=3, labels="maps").shares()
        {'phantom': 0.25, 'labels': 0.75}
        """
        if self.source != "mixed":
            shares: dict[str, float] = {self.source: 1.0}
        else:
            shares = {s: getattr(self, f"{s}_share") for s in SOURCES}
        total = sum(shares.values())
        shares = {source: share / total for source, share in shares.items() if share}
        for source in ("labels", "manifest"):
            if source in shares and getattr(self, source) is None:
                self._refuse(source, f"a path, because `data.source` is {self.source!r}")
        if self.people and not {"labels", "manifest"} & set(shares):
            self._refuse("people", "0 unless pairs come from labels or a manifest")
        if self.atlas is not None and not self.people:
            self._refuse("people", "above 0, because `data.atlas` is given")
        return shares
