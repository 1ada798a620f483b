"""The examples in docstrings are true."""

import doctest
import importlib
import importlib.util
from pathlib import Path

import pytest

from varreg.errors import BackendError

#: What modules need that is not always installed.
EXTRAS = ("torch", "SimpleITK", "nitransforms", "h5py", "zarr", "ancpbids", "distributed", "cupy", "ipyniivue",
          "napari", "nipype", "pydra", "monai", "voxelmorph", "safetensors", "jsonargparse", "lightning_fabric", "tensorboard")  # fmt: skip


def modules_with_examples() -> list[str]:
    """Names of the modules of both packages in whose source an example stands."""
    found = []
    for package in ("varreg", "learned"):
        root = Path(importlib.util.find_spec(package).origin).parent
        for file in sorted(root.rglob("*.py")):
            if ">>> " in file.read_text(encoding="utf-8"):
                parts = file.relative_to(root.parent).with_suffix("").parts
                found.append(".".join(parts).removesuffix(".__init__"))
    return found


@pytest.mark.parametrize("name", modules_with_examples())
def test_examples_of_docstrings_are_true(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name.partition(".")[0] not in EXTRAS:
            raise
        pytest.skip(f"needs {error.name}")
    except BackendError as error:  # learned, without PyTorch
        if importlib.util.find_spec("torch") is not None:
            raise
        pytest.skip(str(error))
    said = []
    runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS)
    examples = [test for test in doctest.DocTestFinder().find(module) if test.examples]
    assert examples, f"{name} has examples that nobody finds"
    for example in examples:
        runner.run(example, out=said.append)
    assert runner.failures == 0, "".join(said)
