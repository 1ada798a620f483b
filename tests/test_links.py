"""Every link of the documentation leads somewhere: files, headings, pictures, tables of contents; offline."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

markdown_it = pytest.importorskip(
    "markdown_it", reason="markdown-it-py reads the pages (it comes with the extra `docs`)"
)

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    [
        *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")),
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "docs" / "api").glob("*.md"),
        *(ROOT / "examples").glob("**/README.md"),
    ]
)
DOCS = [page for page in PAGES if ROOT / "docs" in page.parents]
#: What sphinx-gallery makes of `examples/gallery` in `docs/gallery`; it is not in the repository.
GALLERY = {"index.rst": "GALLERY_HEADER.rst"}
#: Of headings on pages that Sphinx builds, as `myst_heading_anchors` in docs/conf.py says.
DEEPEST = 3
HTML = re.compile(r"""<(?:a|img)\b[^>]*?\b(?:href|src)\s*=\s*["']([^"']*)["']""", re.IGNORECASE)


@dataclass
class Page:
    """What a page links to, and where one can link to in it."""

    links: list[str] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    contents: list[str] = field(default_factory=list)  # of its toctrees
    headings: list[tuple[str, int]] = field(default_factory=list)  # slug, level
    targets: list[str] = field(default_factory=list)  # (name)=
    is_orphan: bool = False


def slug(title: str) -> str:
    """The anchor of a heading, as GitHub and MyST make it."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def read(text: str) -> Page:
    """Parse a page."""
    page = Page()
    front = re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)
    if front is not None:
        page.is_orphan = re.search(r"^orphan:\s*true$", front[1], re.MULTILINE) is not None
        text = text[front.end() :]
    page.targets = re.findall(r"^\(([^()\s]+)\)=$", text, re.MULTILINE)
    tokens = markdown_it.MarkdownIt("commonmark").enable("table").parse(text)
    for token, following in zip(tokens, [*tokens[1:], None], strict=True):
        if token.type == "heading_open":
            parts = [t.content for t in following.children if t.type in ("text", "code_inline")]
            page.headings.append((slug("".join(parts)), int(token.tag[1:])))
        elif token.type == "fence":
            _directive(page, token.info.strip(), token.content)
        elif token.type == "html_block":
            page.links += HTML.findall(token.content)
        for child in token.children or ():
            if child.type == "link_open":
                page.links.append(child.attrGet("href"))
            elif child.type == "image":
                page.images.append(child.attrGet("src"))
            elif child.type == "html_inline":
                page.links += HTML.findall(child.content)
    return page


def _directive(page: Page, info: str, content: str) -> None:
    name, _, argument = info.partition("}")
    if name in ("{image", "{figure"):
        page.images.append(argument.strip())
    elif name == "{toctree":
        lines = [line.strip() for line in content.splitlines()]
        entries = [line for line in lines if line and not line.startswith(":")]
        page.contents += [re.sub(r".*<(.+)>$", r"\1", entry) for entry in entries]


@cache
def page_of(path: Path) -> Page:
    return read(path.read_text(encoding="utf-8"))


def file_of(path: Path, root: Path = ROOT) -> Path:
    """Where a file comes from, if it is one that the gallery makes."""
    gallery = root / "docs" / "gallery"
    if path.parent != gallery:
        return path
    name = GALLERY.get(path.name, Path(path.name).with_suffix(".py").name)
    return root / "examples" / "gallery" / name


def fault(link: str, path: Path, root: Path = ROOT) -> str | None:
    """What is wrong with a link of the page at `path`, or None."""
    try:
        parts = urlsplit(link)
    except ValueError as error:
        return f"malformed ({error})"
    if parts.scheme == "mailto":
        return None if "@" in parts.path else "no address"
    if parts.scheme or parts.netloc:
        if parts.scheme != "https":
            return "not https"
        host = re.fullmatch(r"([a-z0-9-]+\.)+[a-z]{2,}", parts.netloc)
        return None if host and not re.search(r"[\s<>]", link) else "malformed"
    file = path
    if parts.path:
        if parts.path.startswith("/"):
            return "absolute"
        file = file_of((path.parent / unquote(parts.path)).resolve(), root)
        if not file.is_relative_to(root):
            return "leaves the repository"
        if not file.exists():
            return "the file does not exist"
    return anchor_fault(unquote(parts.fragment), file, path) if parts.fragment else None


def anchor_fault(anchor: str, file: Path, origin: Path) -> str | None:
    """What is wrong with an anchor in a file that is linked from `origin`, or None."""
    if file.suffix != ".md":
        return "an anchor in a file without headings"
    page = page_of(file)
    if anchor in page.targets:
        return None
    levels = [level for name, level in page.headings if name == anchor]
    if not levels:
        return "no such heading"
    if len(levels) > 1:
        return f"{len(levels)} headings of this name"
    if "docs" in (origin.parent.name, origin.parents[1].name) and levels[0] > DEEPEST:
        return f"a heading of level {levels[0]} has no anchor in the built pages"
    return None


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_and_images_of_a_page(path):
    page = page_of(path)
    wrong = [(link, fault(link, path)) for link in page.links]
    wrong += [(link, fault(link, path)) for link in page.images]
    assert [(link, why) for link, why in wrong if why] == []


def test_links_were_found_at_all():
    links = [link for path in PAGES for link in page_of(path).links]
    assert len(PAGES) >= 15 and len(links) >= 60
    assert sum("#" in link for link in links) >= 5
    assert sum(len(page_of(path).images) for path in PAGES) >= 4


def contents_of(page: Path) -> list[Path]:
    """The files in the tables of contents of a page, and in those of the pages that they name."""
    found: list[Path] = []
    for name in page_of(page).contents if page.suffix == ".md" else ():
        ending = ".rst" if name.startswith("gallery/") else ".md"
        found.append(file_of(page.parent / f"{name}{ending}"))
        found += contents_of(found[-1]) if found[-1].is_file() else []
    return found


def test_every_page_of_the_documentation_is_in_the_contents():
    index = ROOT / "docs" / "index.md"
    named = contents_of(index)
    assert len(named) == len(set(named))
    assert [str(file) for file in named if not file.is_file()] == []
    orphans = [path for path in DOCS if page_of(path).is_orphan]
    listed = sorted([*named, *orphans, index])
    absent = [path.name for path in DOCS if path not in listed]
    assert absent == [], "add them to a table of contents, or mark them as orphans"
    assert [path.name for path in orphans if path in named] == []


def test_every_table_of_contents_of_the_front_page_has_a_caption():
    text = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    assert text.count("```{toctree}") == text.count("```{toctree}\n:caption: ") == 6


TEXT = """---
orphan: true
---

# A page

See [one](b.md), [two](b.md#a-second-heading), <https://example.org/x>, [three](#twice), [four](#q-what-a-b).

![a picture](there.png)

```{image} gone.png
:alt: gone
```

```{toctree}
:hidden:

b
the title <gallery/index>
```

## Twice
## Twice
## Q: what `a_b`?
"""


def test_a_page_is_read(tmp_path):
    page = read(TEXT)
    assert page.is_orphan and page.contents == ["b", "gallery/index"]
    assert page.images == ["there.png", "gone.png"]
    assert page.links == ["b.md", "b.md#a-second-heading", "https://example.org/x", "#twice", "#q-what-a-b"]  # fmt: skip
    assert page.headings == [("a-page", 1), ("twice", 2), ("twice", 2), ("q-what-a_b", 2)]


@pytest.mark.parametrize(
    ("link", "why"),
    [
        ("b.md", None),
        ("b.md#a-second-heading", None),
        ("b.md#named", None),
        ("#q-what-a_b", None),
        ("https://example.org/x", None),
        ("gallery/plot_a.rst", None),
        ("gallery/index.rst", None),
        ("gallery/plot_b.rst", "the file does not exist"),
        ("there.png", "the file does not exist"),
        ("b.md#a-third-heading", "no such heading"),
        ("#twice", "2 headings of this name"),
        ("b.md#deep", "a heading of level 4 has no anchor in the built pages"),
        ("../../else.md", "leaves the repository"),
        ("/etc/hosts", "absolute"),
        ("http://example.org", "not https"),
        ("https://example", "malformed"),
        ("ftp://example.org", "not https"),
        ("gallery/plot_a.rst#x", "an anchor in a file without headings"),
    ],
)
def test_what_is_broken_is_found(tmp_path, link, why):
    docs, gallery = tmp_path / "docs", tmp_path / "examples" / "gallery"
    docs.mkdir()
    gallery.mkdir(parents=True)
    (docs / "a.md").write_text(TEXT)
    (docs / "b.md").write_text("# B\n\n(named)=\n## A second heading\n\n#### Deep\n")
    (gallery / "plot_a.py").touch()
    (gallery / "GALLERY_HEADER.rst").touch()
    assert fault(link, docs / "a.md", tmp_path) == why
