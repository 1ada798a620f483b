"""Automatic choice between a smooth and a fine map."""

from __future__ import annotations

from dataclasses import dataclass

#: Least relative gain of similarity on held-out voxels by a fine map, after subtraction of this many standard errors.
FINE_GAIN, STANDARD_ERRORS = 0.02, 2.0


@dataclass(frozen=True)
class RegularityChoice:
    """Automatic choice between a smooth and a fine map, and its reason.

    A smooth and a fine map are fitted to every other pair of rows, and compared on the held-out rows.

    Attributes
    ----------
    regularity : {"smooth", "fine"}
    gain : float
        Relative gain of similarity on held-out voxels by the fine map over the smooth one.
    noise : float
        Standard error of the gain, from blocks of rows.
    length : float
        ell of the fine map, mm.
    limit : float
        Least value of the gain minus two standard errors for which the fine map is chosen.
    """

    regularity: str
    gain: float
    noise: float
    length: float
    limit: float = FINE_GAIN

    @property
    def least_gain(self) -> float:
        """Gain minus two standard errors."""
        return self.gain - STANDARD_ERRORS * self.noise

    def __str__(self) -> str:
        """
        >>> print(RegularityChoice("fine", 0.061, 0.008, 1.9))
        Regularity: fine, 1.9 mm (chosen: on voxels held out of a trial it gained 6.1 % of the similarity, minus two standard errors 4.5 %; limit 2 %).
        >>> print(RegularityChoice("smooth", 0.014, 0.006, 1.9))
        Regularity: smooth (chosen: on voxels held out of a trial lengths down to 1.9 mm gained 1.4 % of the similarity, minus two standard errors 0.2 %; limit 2 %).
        """
        gained = (
            f"gained {100 * self.gain:.1f} % of the similarity, minus two standard errors "
            f"{100 * self.least_gain:.1f} %; limit {100 * self.limit:.0f} %"
        )
        where = "chosen: on voxels held out of a trial"
        if self.regularity == "fine":
            return f"Regularity: fine, {self.length:.1f} mm ({where} it {gained})."
        return f"Regularity: smooth ({where} lengths down to {self.length:.1f} mm {gained})."


def choice_of(gain: float, noise: float, length: float) -> RegularityChoice:
    """Choice of the fine map if it is clearly better on held-out voxels, of the smooth map otherwise."""
    clear = gain - STANDARD_ERRORS * noise >= FINE_GAIN
    return RegularityChoice("fine" if clear else "smooth", gain, noise, length)
