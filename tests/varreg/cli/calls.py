"""Calls of the command."""

from __future__ import annotations

import nibabel as nib
import numpy as np
from click.testing import CliRunner

from varreg.cli.commands import main

FEW = ["--levels", "2", "--iterations", "3", "--affine-iterations", "3"]


def call(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def save(path, array, affine=None):
    nib.Nifti1Image(array, np.eye(4) if affine is None else affine).to_filename(path)
    return path
