"""What is accepted as an image, a pair or a mask, and how files are read."""
