"""The table of faults: what stands in it, and how a run that was interrupted goes on. The cases are tried by the tool, not here."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.tools.cases import Bench, Case, Outcome, Skip, case, private
from tests.tools.cases.__main__ import Table, attempt, cell, load

GOOD = Case("A 1", "a | b", lambda bench: Outcome(True, f"fine | \x1b[31m{bench.folder.is_dir()}\n"))
SKIPPED = Case("A 2", "c", lambda bench: bench.python("raise Skip") and skip())
BROKEN = Case("A 10", "d", lambda bench: Outcome(bool(1 / 0), ""))


def skip() -> Outcome:
    raise Skip("no torch")


def test_cases_are_named_once_and_stand_in_the_page_s_order() -> None:
    cases = load()
    assert not [name for name, count in Counter(one.name for one in cases).items() if count > 1]
    assert [one.name for one in cases] == sorted((one.name for one in cases), key=lambda name: (name[0], int(name.split()[1]), name))
    assert {one.name[0] for one in cases} >= set("ABCDEF")
    with pytest.raises(ValueError, match="there are two cases A 1"):
        case("A 1", "again")(GOOD.attempt)


def test_cells() -> None:
    programs = Path(sys.executable).parent
    found = [cell(attempt(one, programs, Path("none"))) for one in (GOOD, SKIPPED, BROKEN)]
    assert found == ["right: fine \\| [31mTrue", "skipped", "WRONG: ZeroDivisionError: division by zero"]


def test_a_table_goes_on(tmp_path: Path) -> None:
    order, file = [GOOD, SKIPPED, BROKEN], tmp_path / "t.md"
    table = Table(("before", "now"), file)
    table.add(BROKEN, ["WRONG: x", "right: y"])
    table.write(order)
    again = Table(("before", "now"), file)
    assert list(again.rows) == ["A 10"]
    again.add(SKIPPED, ["WRONG: x", "skipped"])
    again.add(GOOD, ["right: x", "WRONG: z"])
    assert again.write(order) == "3 cases: 1 wrong, 1 skipped"
    assert [line.split("|")[1] for line in file.read_text().splitlines() if line.startswith("| A")] == [" A 1 ", " A 2 ", " A 10 "]
    with pytest.raises(SystemExit, match="other columns"):
        Table(("now",), file)


def test_devices_are_the_table_s_own() -> None:
    if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
        pytest.skip("mounts need root: unshare -m")
    assert private.mend() == [], "nothing is made where /dev is the machine's"
    machine = Path("/dev").stat().st_dev
    code = f"""
import os
from tests.tools.cases import private
private.enter()
assert os.stat("/dev").st_dev != {machine}
os.remove("/dev/full")
open("/dev/full", "w").close()
os.remove("/dev/stdout")
print(private.mend(), private.mend(), os.path.islink("/dev/stdout"))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "['full', 'stdout'] [] True\n", done.stderr
    assert Path("/dev/full").is_char_device()


def test_a_case_that_costs_a_device_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(private, "mend", lambda: ["null"])
    found = attempt(GOOD, Path("none"), Path("none"))
    assert found == Outcome(False, f"replaced /dev/null; {GOOD.attempt(Bench(Path.cwd(), Path(), Path())).seen}")
