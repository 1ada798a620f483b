"""Figures of the paper (doi 10.3390/math14122131), by table or section.

MI is (mean, standard deviation) in nats; "gpu" and "cpu" are seconds per slice on an RTX 2080 Ti and on an
unspecified CPU.
"""

from __future__ import annotations

from typing import Any

Numbers = dict[str, Any]

#: Table 2, section 3.3.1: group -> figures.
TABLE_2: dict[int, Numbers] = {
    1: {"mi": (1.200, 0.111), "gpu": 0.0217, "cpu": 0.2135},
    2: {"mi": (1.253, 0.113), "gpu": 0.0297, "cpu": 0.2824},
    3: {"mi": (1.329, 0.122), "gpu": 0.0316, "cpu": 0.3235},
    4: {"mi": (1.340, 0.136), "gpu": 0.0452, "cpu": 0.5234},
}
#: Table 3, section 3.3.1: group -> gain of MI, additional GPU seconds, gain per second.
TABLE_3: dict[int, tuple[float, float, float]] = {
    2: (0.053, 0.0080, 6.63),
    3: (0.076, 0.0019, 40.00),
    4: (0.011, 0.0136, 0.81),
}
#: Table 4, section 3.3.3: lambda_1 to lambda_4 -> figures.
TABLE_4: dict[tuple[float, ...], Numbers] = {
    (1, 4, 100, 100): {"mi": (1.098, 0.081)},
    (1, 20, 100, 100): {"mi": (0.931, 0.061)},
    (1, 30, 100, 100): {"mi": (1.273, 0.114)},
    (1, 50, 100, 100): {"mi": (1.329, 0.122)},
    (10, 50, 100, 100): {"mi": (1.251, 0.115)},
    (1, 50, 50, 100): {"mi": (1.320, 0.119)},
    (1, 50, 100, 500): {"mi": (0.908, 0.057)},
}
#: Weights chosen in the paper.
WEIGHTS = (1, 50, 100, 100)
#: Table 5, section 3.3.5: method -> seconds, including the network.
TABLE_5: dict[str, Numbers] = {
    "VM-diff": {"gpu": 0.0672, "cpu": 0.2353},
    "LT-Net": {"gpu": 0.0423, "cpu": 0.2752},
    "ours": {"gpu": 0.0235, "cpu": 0.2132},
}
#: Table 6, section 3.3.6.
TABLE_6: dict[str, Numbers] = {
    "SyN": {"mi": (0.962, 0.068), "cpu": 3.2312},
    "VM": {"mi": (1.163, 0.105), "gpu": 0.0134, "cpu": 0.1934},
    "C-F-I-R": {"mi": (1.200, 0.111), "gpu": 0.0217, "cpu": 0.2135},
    "ours": {"mi": (1.329, 0.122), "gpu": 0.0316, "cpu": 0.3235},
    "TransMorph": {"mi": (1.365, 0.098), "gpu": 0.124, "cpu": 0.4873},
    "DiffuseMorph": {"mi": (1.392, 0.086), "gpu": 0.537, "cpu": 1.8346},
}
#: Table 7, section 3.3.8: experiment -> figures.
TABLE_7: dict[int, Numbers] = {
    0: {"mi": (1.023, 0.117)},
    1: {"mi": (1.237, 0.135)},
    2: {"mi": (1.200, 0.111)},
    3: {"mi": (1.215, 0.125)},
    4: {"mi": (1.329, 0.122)},
}
#: Section 3.3.9: memory in GB at 256 x 256 on its GPU.
MEMORY: dict[str, float] = {
    "DT-Net, inference, batch 1": 2.6,
    "DT-Net, inference, batch 4": 9.5,
    "DT-Net, training, batch 8": 7.9,
    "AT-Net, inference, batch 1": 0.8,
}
#: Table 8 and Figure 9, section 3.3.11: NCC of 32 pairs.
TABLE_8: dict[str, dict[str, float]] = {
    "C-F-I-R": {
        "mean": 0.8169, "std": 0.0712, "median": 0.8185, "low": 0.7621, "high": 0.8705,
        "min": 0.6724, "max": 0.9615,
    },
    "ours": {
        "mean": 0.8217, "std": 0.0693, "median": 0.8218, "low": 0.7687, "high": 0.8726,
        "min": 0.6935, "max": 0.9601,
    },
}  # fmt: skip
#: Two-sided p of Wilcoxon's signed-rank test: of NCC (Figure 9) and of MI (section 3.3.7).
P_NCC, P_MI = 0.015, 0.0012
#: Section 3.3.7, MI: fraction of pairs in which "ours" is better, and its mean margin there.
WIN_RATE, MARGIN = 0.75, 0.082
