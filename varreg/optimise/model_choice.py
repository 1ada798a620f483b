"""Automatic choice of the transformation model."""

from __future__ import annotations

from dataclasses import dataclass

#: Least relative gain of energy by scales and shear over a rigid map, and by a deformation over an affine map.
AFFINE_GAIN, DEFORMABLE_GAIN = 0.02, 0.05
#: Least relative gain by a rigid map over the headers, or least motion of the foreground (root mean square, voxels):
#: edges of different contrasts differ in position, which displaces even images that coincide.
RIGID_GAIN, LEAST_MOTION = 0.04, 0.5


@dataclass(frozen=True)
class ModelChoice:
    """Automatic choice of the transformation model, and its reasons.

    Attributes
    ----------
    affine : {"headers", "rigid", "affine", "similarity", "translation"} or None
        Model of the affine part; "headers" if no affine map is clearly better than the headers, None for a given
        matrix.
    deformable : bool
        Whether there is a deformation.
    bending : float or None
        Root-mean-square distance over the foreground between the map and the nearest affine map, mm; None without
        a deformation.
    affine_gain, deformable_gain : float or None
        Relative gain of energy by scales and shear over a rigid map, and by a deformation over an affine map;
        None if not compared.
    apart : float or None
        Largest displacement of the foreground by a deformation, mm; None if not compared.
    affine_limit, deformable_limit : float
        Least gains for which the larger model is chosen.
    rigid_gain, motion : float or None
        Relative gain of energy by a rigid map over the headers, and its root-mean-square displacement of the
        foreground, mm; None if not compared.
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
        """Reason for keeping the alignment of the headers.

        >>> print(ModelChoice("headers", False, 0.1, 0.0, 0.021, 0.8, rigid_gain=0.011, motion=0.2))
        Model: as given by the headers (chosen: a rigid map would gain 1.1 % of the energy and move the head by 0.2 mm, less than 4 % and half a voxel, scales and shear would gain 0.0 % of the energy, a deformation would gain 2.1 % and move the head by 0.8 mm at most; gains below 2 % and 5 % may be chance).
        """
        if self.rigid_gain is None or self.rigid_gain <= 0:
            return "no affine map that was found is better"
        gain = f"a rigid map would gain {100 * self.rigid_gain:.1f} % of the energy"
        less = f"less than {100 * RIGID_GAIN:.0f} % and half a voxel"
        return f"{gain} and move the head by {self.motion:.1f} mm, {less}"
