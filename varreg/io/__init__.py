"""Files: images in, images and results out, whole or not at all."""
