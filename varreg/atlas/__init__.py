"""Labels of an image from several labelled people."""
