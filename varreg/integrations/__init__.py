"""varreg inside napari, nipype and pydra; each module needs the extra of its name."""
