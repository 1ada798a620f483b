"""What is minimised and how: one frozen, validated dataclass, its presets, the merging of arguments."""
