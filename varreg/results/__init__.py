"""What a registration returns: the map, the warped image, and everything that explains them."""
