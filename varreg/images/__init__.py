"""Images: what is accepted as an image, a pair or a mask, what is refused, and how files are read."""
