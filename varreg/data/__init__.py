"""Images with known ground truth: phantom and demo."""
