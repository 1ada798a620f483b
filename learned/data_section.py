"""The section of a configuration on the data."""

# annotations are not postponed: jsonargparse would read those as a type checker does, without limits
from dataclasses import dataclass
from typing import ClassVar, Literal

from . import fields as kinds
from .fields import Section

SOURCES = ("phantom", "labels", "manifest")


@dataclass(frozen=True)
class DataConfig(Section):
    """Where pairs of images come from, and how they are varied.

    Parameters
    ----------
    source : {"phantom", "labels", "manifest", "mixed", "dataset"}
        Drawn from the phantom, synthesised from label volumes, or listed in a manifest; "dataset" is what
        ``train(training=...)`` was given.
    phantom_share, labels_share, manifest_share : float
        For "mixed": how often each is drawn, relative to the others.
    manifest, labels : str or None
        Paths of the manifest and of the label volumes.
    people : float
        Share of the pairs that are of two different people, from label volumes and a manifest.
    atlas : str or None
        The subject that is always the moving one of these pairs.
    cache : str or None
        Folder that keeps volumes once they have been resampled.
    licences : tuple of str
        Of the data, for the card of the weights.
    validation_subjects : tuple of str
        Subjects that are never trained on; empty leaves it to the split.
    spacing : float
        Voxel size to which volumes are brought, in mm.
    slice_axes : tuple of int
        Axes across which slices are taken for d = 2, all alike: 0 right, 1 anterior, 2 superior.
    rotation, scaling, shear, shift, amplitude : float
        Largest motion between the images: degrees; relative change; tangent; shares of the extent.
    pose : float
        Strength of the motion that both share, flips apart; 0 is none.
    intensity : float
        Strength of random gamma, blur, bias field and noise; 0 is none.
    pairs_per_epoch, validation_pairs, test_pairs : int
        Numbers of pairs.
    workers : int
        Processes that prepare pairs; 0 prepares them in the training process.
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
        """The sources that pairs are drawn from, with their probabilities.

        What does not go together, or lacks a path, is refused; a preset may be completed until then.

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
