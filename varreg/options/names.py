"""The names that options take, and which options are numbers of which kind."""

#: The similarities, and what to call their values.
SIMILARITIES = {
    "regional-mi": "mutual information",
    "mi": "mutual information",
    "nmi": "normalised mutual information",
    "lncc": "local correlation",
    "mind": "self-similarity",
    "ssd": "squared differences",
}
REGULARITIES = ("auto", "smooth", "fine")
#: What a regularity decides where nobody else does.
REGULARITY_NUMBERS = (
    "smoothness_weight", "smoothness_length", "smoothness_order", "volume_weight",
)  # fmt: skip
#: Similarities of which it is known how much they gain by chance.
JUDGES = ("regional-mi", "mi")
#: Letters of the axes of an array, as BIDS has them in PhaseEncodingDirection.
AXES = "ijk"
#: Initial alignments that a search is started from.
STARTS = ("header", "centres", "moments")
#: Models of the maps in each round of a template.
ROUNDS = ("rigid", "affine", "deformable", "deformable")
AFFINE_MODELS = ("translation", "rigid", "similarity", "affine")
WHOLE_NUMBERS = (
    "regions", "bins", "memory", "affine_iterations", "iterations", "smoothness_order",
)  # fmt: skip
Range = tuple[float, float]
