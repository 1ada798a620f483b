"""Choice between a smooth and a fine map, if it is not given."""

from __future__ import annotations

from dataclasses import dataclass

#: Share of the similarity of unseen voxels that a fine map must gain over a smooth one, less this many standard errors.
FINE_GAIN, STANDARD_ERRORS = 0.02, 2.0


@dataclass(frozen=True)
class RegularityChoice:
    """Choice between a smooth and a fine map, if it is not given, and its reason.

    A fine and a smooth map descend by the same number of steps on every other pair of rows; the others,
    which neither has seen, judge them.

    Attributes
    ----------
    regularity : {"smooth", "fine"}
    gain : float
        Similarity of the unseen voxels by the fine map above that by the smooth one, as a share of it.
    noise : float
        Standard error of the gain, from blocks of rows.
    length : float
        ell of the fine map, mm.
    limit : float
        What must be left of the gain when twice its noise is taken off.
    """

    regularity: str
    gain: float
    noise: float
    length: float
    limit: float = FINE_GAIN

    @property
    def least_gain(self) -> float:
        """The gain less two standard errors."""
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
    """The stiffest that is not clearly worse on unseen voxels."""
    clear = gain - STANDARD_ERRORS * noise >= FINE_GAIN
    return RegularityChoice("fine" if clear else "smooth", gain, noise, length)
