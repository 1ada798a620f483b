"""Images and results on disk, whole or not at all."""
