"""Training pairs: from real volumes, from label maps, or entirely synthetic, with known maps where images coincide."""
