"""Images with a known answer: the phantom and the demo."""
