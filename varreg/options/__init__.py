"""What is minimised and how: validated options and their presets."""
