"""Integrations with napari, nipype and pydra; each module requires the extra of the same name."""
