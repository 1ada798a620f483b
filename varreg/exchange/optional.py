"""Optional libraries of the exchange formats, imported on first use."""

from __future__ import annotations

import importlib
import warnings
from typing import Any

from ..errors import BackendError


def needed(module: str, purpose: str) -> Any:
    """Import a library of the extra ``io``.

    Parameters
    ----------
    module : str
        Import name, e.g. "SimpleITK".
    purpose : str
        What it is required for, for the message.

    Returns
    -------
    module

    Raises
    ------
    BackendError
        If it is not installed; the message contains the pip command.

    Examples
    --------
    >>> needed("json", "reading JSON").__name__
    'json'
    """
    try:
        with warnings.catch_warnings():
            # An extension module may itself use deprecated features, which the user cannot change.
            warnings.simplefilter("ignore", DeprecationWarning)
            return importlib.import_module(module)
    except ImportError as error:
        package = module.split(".")[0]
        raise BackendError(
            f"varreg: {purpose} needs {package}, which cannot be imported ({error}); install it with "
            "`python -m pip install 'varreg[io]'`."
        ) from error
