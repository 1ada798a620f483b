"""The count of all cases at the end of a run."""

from collections import Counter


def pytest_terminal_summary(terminalreporter):
    from .running import ENDS

    if not ENDS:
        return
    terminalreporter.section("cases of the fuzz suites")
    for name, (ends, seconds) in ENDS.items():
        terminalreporter.line(f"{name}: {ends.total()} cases in {seconds:.0f} s: {dict(ends)}")
    total = sum((ends for ends, _ in ENDS.values()), Counter())
    terminalreporter.line(f"all: {total.total()} cases: {dict(total)}")
