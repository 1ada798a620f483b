"""The terms of the field in everything that a user can read: pages, help, messages, docstrings, reports."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
#: What is not to be written, as a regular expression, and what is.
BANNED = {
    r"condition(s|ed|ing)? (it )?on place": "regional mutual information",
    r"chess ?board": "checkerboard",
    r"(fixed|images?|pictures?) and (the )?moving (image )?in turn": "checkerboard",
    r"voxels? that counts?\b|voxels? of [^.;]{0,40} that count\b|voxels count\b": "voxels inside the mask",
    r"\b(it|this|package|function|test|tests|stage|preset|network|solver|backend|extra) wants\b": "requires",
    r"\bwants (an? )?(old |newer )?(PyTorch|GPU|SimpleITK|CuPy|Python|file|numbers)": "requires",
    r"\banew\b": "again",
    r"stationary is not correct": "convergence does not prove correctness",
    r"\bno proof that\b": "does not prove",
    r"with nothing done\b": "before registration",
    r"(with|by|at) its affine part( alone)?\b": "after affine",
    r"next to nothing": "almost nothing, hardly any",
    r"(?<!there )\bis no (file|folder|path|array|number|transform)\b": "is not a ...",
    r"not to be had": "not available",
    r"\bnobody\b": "not ..., no participant",
    r"\b(whoever|whomever)\b": "the passive voice",
    r"\bthe other way round\b": "exchanged, in the opposite direction",
    r"\bgo(es)? on where (it|they)\b": "resumes",
    r"\b(is|are|was|were) taken for\b": "is assumed to be",
    r"\bknow(s)? nothing of (the truth|each other)\b": "does not use, are independent",
    r"\b(has|have) seen the labels\b": "used the labels",
    r"\bseconds of the processor\b|\bs of the processor\b": "processor time",
    r"\bunless it is told otherwise\b": "by default",
    r"\bwhat (breaks|it reaches|the weight means)\b": "a noun phrase",
    r"\bfound out\b": "detected",
    r"\b(if|where) wanted\b": "optionally",
    r"\bexact gradient\b": "exact analytic gradient",
    r"\bone too many\b": "unexpected",
    r"\bgo on by\b": "resume by",
    r"\bGPUs? of NVIDIA\b": "NVIDIA GPU",
    r"\bdevices? of CUDA\b": "CUDA device",
    r"\bscheduler of Dask\b": "Dask scheduler",
    r"\bdatasets? of BIDS\b": "BIDS dataset",
    r"\bmeets? (a|the) (fixed )?point\b": "is applied to points",
    r"\bwhat counts\b(?! as)": "inside the mask, or what is compared",
    r"\bin vain\b": "discarded",
    r"\bof one's own\b": "your own",
    r"\bas ever\b": "leave it out",
    r"cross(es|ing)? the bus": "is transferred",
    r"\bis to be (found|had)\b": "there is",
    r"\bnats for each voxel\b": "nats per voxel",
    r"\bhas no say\b": "is ignored",
    r"lost (its|their) way": "failed",
    r"took no part in": "was not used for",
    r"\bis what is done\b": "is the current method",
    r"\b(be|is) cheated\b": "has wrong solutions",
    r"\bon the way in\b": "the input is",
    r"\bwhat to take\b": "alternative",
    r"\bin no (training|choice)\b": "used neither for training nor for selection",
    r"\bvalley\b": "local minimum",
}
PAGES = sorted(
    [
        *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "CITATION.cff")),
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "docs" / "api").glob("*.md"),
        *(ROOT / "examples" / "gallery").glob("*.*"),
        *(ROOT / "varreg" / "report" / "templates").glob("*.*"),
    ]
)
SOURCES = sorted(file for name in ("varreg", "learned") for file in (ROOT / name).rglob("*.py"))


def strings(source: str) -> list[tuple[int, str]]:
    """Line and text of every string of a module: messages, help and docstrings, no comments and no names."""
    tree = ast.parse(source)
    parts = {id(v) for n in ast.walk(tree) if isinstance(n, ast.JoinedStr) for v in n.values}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            texts = [v.value if isinstance(v, ast.Constant) else "{}" for v in node.values]
            found.append((node.lineno, "".join(map(str, texts))))
        elif (
            isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts
        ):
            found.append((node.lineno, node.value))
    return found


@cache
def _pattern(phrase: str) -> re.Pattern[str]:
    return re.compile(phrase, re.IGNORECASE)


def faults(where: str, text: str) -> list[str]:
    """Banned phrases of a text, each with what to write instead."""
    words = re.sub(r"\s+", " ", text)
    return [
        f"{where}: {match[0]!r}, write {instead!r}"
        for phrase, instead in BANNED.items()
        for match in _pattern(phrase).finditer(words)
    ]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_pages_have_the_terms_of_the_field(path):
    assert faults(path.name, path.read_text(encoding="utf-8")) == []


def test_messages_help_and_docstrings_have_the_terms_of_the_field():
    found = []
    for file in SOURCES:
        for line, text in strings(file.read_text(encoding="utf-8")):
            found += faults(f"{file.relative_to(ROOT)}:{line}", text)
    assert found == []


def test_headings_are_no_questions_but_on_the_page_of_questions():
    asked = [
        f"{path.name}: {heading}"
        for path in PAGES
        if path.suffix == ".md" and path.name != "faq.md"
        for heading in re.findall(r"^#{1,4} (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
        if heading.endswith("?") or re.match(r"(What|How|Who|Which|Where|When|Why)\b", heading)
    ]
    assert asked == []


def test_a_banned_phrase_is_found_across_lines_and_in_formatted_strings():
    source = 'x = f"{n} voxels that\\n"\n"""Mutual information conditioned\n    on place."""\n'
    found = [fault for line, text in strings(source) for fault in faults(str(line), text)]
    assert found == ["2: 'conditioned on place', write 'regional mutual information'"]
    assert faults("a", "of the voxels\nthat count, most") != []
    assert faults("a", "the voxels inside the mask") == []
