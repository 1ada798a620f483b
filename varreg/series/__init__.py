"""Series of volumes: motion correction, its parameters, and maps applied volume by volume."""
