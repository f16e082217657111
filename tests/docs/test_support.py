"""The support table: it can only say what a test run said."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_spec = importlib.util.spec_from_file_location("support", ROOT / "docs" / "support.py")
assert _spec is not None and _spec.loader is not None
support = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(support)

RESULTS = """<testsuites><testsuite>
<testcase classname="tests.a.test_x" name="one"/>
<testcase classname="tests.a.test_x" name="two"><skipped/></testcase>
<testcase classname="tests.b.test_y" name="bad"><failure/></testcase>
</testsuite></testsuites>"""


def rows(*patterns: str) -> list[dict[str, str]]:
    return [{"area": "A", "name": p, "proof": "hardware", "tests": p} for p in patterns]


def test_counts_what_passed_failed_or_did_not_run(tmp_path: Path) -> None:
    path = tmp_path / "results.xml"
    path.write_text(RESULTS)
    lines = support.table(rows("a/test_x", "test_y", "nothing"), support.outcomes(path)).splitlines()[2:]
    assert lines == [
        "| A | a/test_x | hardware | 1 passed |",
        "| A | test_y | none | 1 failed |",
        "| A | nothing | none | not run |",
    ]


def test_several_runs_make_one_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, case in (("one", "tests.a.test_x"), ("two", "tests.b.test_y")):
        (tmp_path / f"{name}.xml").write_text(f'<testsuite><testcase classname="{case}" name="t"/></testsuite>')
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "support.json").write_text(json.dumps(rows("test_x", "test_y")))
    (tmp_path / "README.md").write_text(f"{support.BEGIN}{support.END}")
    monkeypatch.setattr(support, "ROOT", tmp_path)
    monkeypatch.setattr("sys.argv", ["support.py", str(tmp_path / "one.xml"), str(tmp_path / "two.xml")])
    support.main()
    assert (tmp_path / "README.md").read_text().count("| hardware | 1 passed |") == 2


def test_a_run_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["support.py", str(tmp_path / "none.xml")])
    with pytest.raises(SystemExit, match=r"none\.xml: no results of a test run; run `make unit test-chips`"):
        support.main()


def test_replaces_only_what_is_between_the_markers() -> None:
    text = f"before\n{support.BEGIN}\nold\n{support.END}\nafter\n"
    assert support.replace(text, "new") == f"before\n{support.BEGIN}\nnew\n{support.END}\nafter\n"


@pytest.mark.parametrize("row", json.loads((ROOT / "docs" / "support.json").read_text()), ids=lambda row: row["name"])
def test_readme_has_every_row_and_each_row_has_tests(row: dict[str, str]) -> None:
    readme = (ROOT / "README.md").read_text()
    inside = readme.split(support.BEGIN)[1].split(support.END)[0]
    line = next(line for line in inside.splitlines() if row["name"] in line)
    assert re.search(r"\| \d+ passed \|", line)
    pattern = re.compile(row["tests"].replace("/", "."))
    files = [str(p.relative_to(ROOT)).replace("/", ".") for p in (ROOT / "tests").rglob("test_*.py")]
    names = [f"{name}.{test}" for name, path in _sources(files) for test in re.findall(r"def (test_\w+)", path)]
    # A contract suite's tests stand in a helper; there the file's own name is what the pattern names.
    assert any(pattern.search(name) for name in [*names, *files])


def _sources(files: list[str]) -> list[tuple[str, str]]:
    return [(name, (ROOT / (name[:-3].replace(".", "/") + ".py")).read_text()) for name in files]
