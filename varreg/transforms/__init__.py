"""The map from the fixed to the moving image and its inverse."""
