"""Place of the learned cascade (AT-Net, DT-Net), which is not part of this release: nothing is here yet."""
