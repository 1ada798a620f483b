"""Training pairs with known maps: from real volumes, from label maps, or from nothing at all."""
