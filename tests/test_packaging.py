"""Recipes for conda, Docker and Apptainer, the citation and the extras say what setup.cfg says."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CONDA, CONTAINERS = ROOT / "docs" / "conda" / "meta.yaml", ROOT / "docs" / "containers"
#: Names at conda-forge that are not those at PyPI.
CONDA_NAMES = {"matplotlib": "matplotlib-base"}
#: For checking varreg, not for using it.
OF_DEVELOPERS = {"peers", "baselines", "cohorts", "docs", "test"}

setup = configparser.ConfigParser()
setup.read(ROOT / "setup.cfg")


@pytest.fixture(scope="module")
def yaml():
    return pytest.importorskip("yaml", reason="PyYAML is not installed")


@pytest.fixture(scope="module")
def recipe(yaml):
    """The conda recipe, rendered as conda-build renders it."""
    import jinja2

    def load_file_regex(load_file, regex_pattern, from_recipe_dir):
        assert from_recipe_dir
        return re.search(regex_pattern, (CONDA.parent / load_file).read_text(encoding="utf-8"))

    template = jinja2.Template(CONDA.read_text(encoding="utf-8"), undefined=jinja2.StrictUndefined)
    return yaml.safe_load(template.render(load_file_regex=load_file_regex, PYTHON="python"))


def plain(requirement: str) -> tuple[str, str]:
    """Name and versions of a requirement, without spaces."""
    name, versions = re.fullmatch(r"([\w-]+)(.*)", requirement.replace(" ", "")).groups()
    return CONDA_NAMES.get(name, name), versions


def test_the_conda_recipe_has_the_dependencies_of_the_package(recipe):
    wanted = [line for line in setup["options"]["install_requires"].split("\n") if line]
    wanted.append(f"python {setup['options']['python_requires']}")
    assert sorted(map(plain, recipe["requirements"]["run"])) == sorted(map(plain, wanted))
    backend = re.search(r"setuptools>=\d+", (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    host = [requirement.replace(" ", "") for requirement in recipe["requirements"]["host"]]
    assert backend[0] in host


def test_the_conda_recipe_builds_this_package(recipe):
    import varreg

    assert recipe["package"] == {"name": "varreg", "version": varreg.__version__}
    assert (CONDA.parent / recipe["source"]["path"]).resolve() == ROOT
    script = setup["options.entry_points"]["console_scripts"].strip()
    assert recipe["build"]["entry_points"] == [script]
    assert recipe["about"]["license"] == setup["metadata"]["license"]
    assert recipe["about"]["summary"] == setup["metadata"]["description"]


@pytest.mark.parametrize("name", ["Dockerfile", "varreg.def"])
def test_containers_copy_what_the_wheel_is_made_of(name):
    text = (CONTAINERS / name).read_text(encoding="utf-8")
    lines = re.findall(r"^(?:COPY| {4})(?! --)(?: ?)(\S.*?) /source\S*$", text, re.MULTILINE)
    copied = {word for line in lines for word in line.split() if (ROOT / word).exists()}
    packages = {line.strip("*\n") for line in setup["options.packages.find"]["include"].split()}
    readme = setup["metadata"]["long_description"].removeprefix("file: ")
    licence = setup["metadata"]["license_files"]
    assert copied == {"setup.cfg", "pyproject.toml", readme, licence, *packages}
    pythons = re.findall(r"[Ff](?:ROM|rom:) python:(3\.\d+)", text)
    assert len(pythons) == 2 and len(set(pythons)) == 1
    assert f"Programming Language :: Python :: {pythons[0]}" in setup["metadata"]["classifiers"]


def test_the_citation_agrees_with_the_package_and_the_readme(yaml):
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert cited["license"] == setup["metadata"]["license"]
    assert cited["authors"] == [{"name": setup["metadata"]["author"]}]
    (article,) = cited["references"]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert article["doi"] in readme and article["title"] in " ".join(readme.split())


def test_the_installation_page_lists_every_extra():
    page = (ROOT / "docs" / "installation.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))
    assert listed == set(setup["options.extras_require"]) - OF_DEVELOPERS


def test_the_plugin_of_napari_is_installed():
    from importlib.resources import files

    group = setup["options.entry_points"]["napari.manifest"].strip()
    package, name = re.fullmatch(r"varreg = ([\w.]+):(\S+)", group).groups()
    assert (files(package) / name).is_file()
