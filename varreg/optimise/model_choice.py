"""Choice of the model of the map, if it is not given."""

from __future__ import annotations

from dataclasses import dataclass

#: Share of the energy that scales and shear must gain over a rigid map, and a deformation over an affine one.
AFFINE_GAIN, DEFORMABLE_GAIN = 0.02, 0.05
#: What a rigid map must gain over the headers, or how far it must move the head (root mean square, voxels): two contrasts
#: put their edges in different places, and that moves images that coincide.
RIGID_GAIN, LEAST_MOTION = 0.04, 0.5


@dataclass(frozen=True)
class ModelChoice:
    """Choice of the model of the map, if it is not given, and its reason.

    Attributes
    ----------
    affine : {"headers", "rigid", "affine", "similarity", "translation"} or None
        Model of the affine part; "headers" if the affine stage found nothing that is clearly better than what they
        say, None for a matrix that was given.
    deformable : bool
    bending : float or None
        Root-mean-square distance that the deformation puts between the head and its nearest affine image, mm; None if
        none was sought.
    affine_gain, deformable_gain : float or None
        What scales and shear would gain over a rigid map, and a deformation over an affine one, as a share of the
        energy; None if it was not compared.
    apart : float or None
        How far a deformation would move a point of the head at most, mm; None likewise.
    affine_limit, deformable_limit : float
        What they must gain to count.
    rigid_gain, motion : float or None
        What a rigid map gains over the headers, as a share of its energy, and how far it moves the head, root mean
        square, mm; None if it was not compared.
    """

    affine: str | None
    deformable: bool
    bending: float | None = None
    affine_gain: float | None = None
    deformable_gain: float | None = None
    apart: float | None = None
    affine_limit: float = AFFINE_GAIN
    deformable_limit: float = DEFORMABLE_GAIN
    rigid_gain: float | None = None
    motion: float | None = None

    def __str__(self) -> str:
        """
        >>> print(ModelChoice("rigid", False, 0.2, 0.004, 0.021, 0.8))
        Model: rigid (chosen: scales and shear would gain 0.4 % of the energy, a deformation would gain 2.1 % and move the head by 0.8 mm at most; gains below 2 % and 5 % may be chance).
        """
        name = {"headers": "as given by the headers", None: "as given"}.get(
            self.affine, self.affine
        )
        name = f"{name} and deformable" if self.deformable else name
        reasons = []
        if self.affine == "headers":
            reasons.append(self._kept())
        if self.affine_gain is not None:
            verb = "gain" if self.affine == "affine" else "would gain"
            reasons.append(f"scales and shear {verb} {100 * self.affine_gain:.1f} % of the energy")
        if self.deformable_gain is not None:
            would, s = ("", "s") if self.deformable else ("would ", "")
            reasons.append(
                f"a deformation {would}gain{s} {100 * self.deformable_gain:.1f} %{'' if reasons else ' of the energy'} and "
                f"move{s} the head by {self.apart:.1f} mm at most"
            )
        elif self.bending is not None:
            return (
                f"Model: {name} (chosen: the deformation departs from every affine map by "
                f"{self.bending:.1f} mm, root mean square, over the head)."
            )
        limits = f"{100 * self.affine_limit:.0f} % and {100 * self.deformable_limit:.0f} %"
        return f"Model: {name} (chosen: {', '.join(reasons)}; gains below {limits} may be chance)."

    def _kept(self) -> str:
        """Why the headers have the last word.

        >>> print(ModelChoice("headers", False, 0.1, 0.0, 0.021, 0.8, rigid_gain=0.011, motion=0.2))
        Model: as given by the headers (chosen: a rigid map would gain 1.1 % of the energy and move the head by 0.2 mm, less than 4 % and half a voxel, scales and shear would gain 0.0 % of the energy, a deformation would gain 2.1 % and move the head by 0.8 mm at most; gains below 2 % and 5 % may be chance).
        """
        if self.rigid_gain is None or self.rigid_gain <= 0:
            return "no affine map that was found is better"
        gain = f"a rigid map would gain {100 * self.rigid_gain:.1f} % of the energy"
        less = f"less than {100 * RIGID_GAIN:.0f} % and half a voxel"
        return f"{gain} and move the head by {self.motion:.1f} mm, {less}"
