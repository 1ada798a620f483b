"""Options of energy and minimisation, with validation and presets."""
