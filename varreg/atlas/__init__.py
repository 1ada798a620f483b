"""Multi-atlas segmentation."""
