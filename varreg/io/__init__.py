"""Images and results on disk, written atomically."""
