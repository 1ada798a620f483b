"""BIDS datasets: images of each session, registration, derivatives, group report."""
