"""Names of option values, and numeric types of the options."""

#: Similarities, and the names of their values.
SIMILARITIES = {
    "regional-mi": "mutual information",
    "mi": "mutual information",
    "nmi": "normalised mutual information",
    "lncc": "local correlation",
    "mind": "self-similarity",
    "ssd": "squared differences",
}
REGULARITIES = ("auto", "smooth", "fine")
#: Options determined by the regularity by default.
REGULARITY_NUMBERS = (
    "smoothness_weight", "smoothness_length", "smoothness_order", "volume_weight",
)  # fmt: skip
#: Similarities whose gains by chance are calibrated.
JUDGES = ("regional-mi", "mi")
#: Letters of the array axes, as in BIDS PhaseEncodingDirection.
AXES = "ijk"
#: Initial alignments of the affine search.
STARTS = ("header", "centres", "moments")
#: Models of the maps in the rounds of a template.
ROUNDS = ("rigid", "affine", "deformable", "deformable")
AFFINE_MODELS = ("translation", "rigid", "similarity", "affine")
WHOLE_NUMBERS = (
    "regions", "bins", "memory", "affine_iterations", "iterations", "smoothness_order",
)  # fmt: skip
Range = tuple[float, float]
