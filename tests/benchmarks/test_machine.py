"""What is said of the sources that a figure was computed by."""

import subprocess

import varreg


def git(root, *arguments):
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    command = ["git", "-C", str(root), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_only_changes_of_what_computes_are_told(bench, tmp_path, monkeypatch):
    machine = bench("machine")
    for file in ("varreg/__init__.py", "docs/page.md"):
        (tmp_path / file).parent.mkdir()
        (tmp_path / file).write_text("before\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "first")
    commit = git(tmp_path, "rev-parse", "--short", "HEAD")
    monkeypatch.setattr(bench("checkout"), "ROOT", tmp_path)
    monkeypatch.setattr(varreg, "__file__", str(tmp_path / "varreg" / "__init__.py"))

    clean = f"{varreg.__version__} ({commit})"
    assert machine.varreg_version() == clean
    (tmp_path / "docs" / "page.md").write_text("after\n")
    assert machine.varreg_version() == clean
    (tmp_path / "varreg" / "new.py").write_text("not yet added\n")
    assert machine.varreg_version() == f"{clean[:-1]}{machine.CHANGED})"
