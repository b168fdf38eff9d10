"""python -m tests.tools.cases [--before PROGRAMS] [--table FILE] [CASE ...]: the table of faults, exit code 1 if one is left."""

import argparse
import importlib
import os
import pkgutil
import sys
import tempfile
from pathlib import Path

from tests.tools import cases
from tests.tools.cases import CASES, HERE, Bench, Case, Outcome, Skip, private

ROOT = Path(__file__).parents[3]


def load() -> list[Case]:
    """All cases, in the page's order."""
    for module in pkgutil.iter_modules(cases.__path__):
        if not module.name.startswith(("_", "test_")):
            importlib.import_module(f"{cases.__name__}.{module.name}")
    return sorted(CASES, key=lambda case: (case.name[0], [int(part) for part in case.name[1:].split()[:1]], case.name))


def attempt(case: Case, programs: Path, codecs: Path, patience: float = 1.0) -> Outcome | None:
    """None: skipped, and why has been said."""
    with tempfile.TemporaryDirectory(prefix="vrcnn-case-") as folder:
        try:
            outcome = case.attempt(Bench(Path(folder), programs, codecs, patience))
        except Skip as reason:
            print(f"skipped {case.name}: {reason}", file=sys.stderr)
            return None
        except Exception as error:  # a case that the older version breaks in its own way
            outcome = Outcome(False, f"{type(error).__name__}: {error}")
    lost = private.mend()
    return Outcome(False, f"replaced /dev/{', /dev/'.join(lost)}; {outcome.seen}") if lost else outcome


def cell(outcome: Outcome | None) -> str:
    if outcome is None:
        return "skipped"
    seen = " ".join("".join(letter if letter.isprintable() else " " for letter in outcome.seen).split()).replace("|", "\\|")
    return f"{'right' if outcome.right else 'WRONG'}: {seen[:160]}"


class Table:
    """The rows by the cases' names, also in a file, from which a run that was interrupted goes on."""

    def __init__(self, columns: tuple[str, ...], file: Path | None) -> None:
        head = ("case", "fault", *columns)
        self.head = f"| {' | '.join(head)} |\n|{'---|' * len(head)}\n"
        self.file, self.rows = file, dict[str, str]()
        text = file.read_text() if file and file.exists() else ""
        if text and not text.startswith(self.head):
            raise SystemExit(f"{file} is a table of other columns")
        for line in text.removeprefix(self.head).splitlines():
            if line.startswith("| "):
                self.rows[line.split("|")[1].strip()] = line

    def add(self, case: Case, cells: list[str]) -> None:
        self.rows[case.name] = f"| {' | '.join([case.name, case.what.replace('|', chr(92) + '|'), *cells])} |"
        print(self.rows[case.name], flush=True)

    def write(self, order: list[Case]) -> str:
        """Write the file, whole or not at all; the last line of the table."""
        rows = [self.rows[case.name] for case in order if case.name in self.rows]
        last = [row.removesuffix(" |").split(" | ")[-1] for row in rows]
        wrong, skipped = sum(text.startswith("WRONG") for text in last), last.count("skipped")
        sum_up = f"{len(rows)} cases: {wrong} wrong, {skipped} skipped"
        if self.file:
            new = self.file.with_name(f"{self.file.name}.new")
            new.write_text("".join([self.head, *(f"{row}\n" for row in rows), f"\n{sum_up}\n"]))
            os.replace(new, self.file)
        return sum_up


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.tools.cases", description=cases.__doc__)
    parser.add_argument(
        "--before", type=Path, metavar="PROGRAMS", help="also try the version whose codec-bridge and python lie in this folder"
    )
    parser.add_argument("--codecs", type=Path, default=ROOT / "build/codecs/bin", help="folder of hooked x265 and dec265 (make codecs)")
    parser.add_argument("--codecs-before", type=Path, default=Path("none"), help="those of the version before")
    parser.add_argument("--table", type=Path, metavar="FILE", help="also write the table here; cases that it has are not tried again")
    parser.add_argument("--patience", type=float, default=1.0, metavar="FACTOR", help="on the time that commands may take, default 1")
    parser.add_argument("names", nargs="*", metavar="CASE", help="such as A3, tried also where the table has it; default: all")
    given = parser.parse_args()
    private.enter()
    order = load()
    wanted = {name.replace(" ", "") for name in given.names}
    if unknown := wanted - {case.name.replace(" ", "") for case in order}:
        parser.error(f"there is no case {min(unknown)}")
    table = Table(("before", "now") if given.before else ("now",), given.table)
    chosen = [case for case in order if (case.name.replace(" ", "") in wanted if wanted else case.name not in table.rows)]
    print(table.head, end="", flush=True)
    for case in chosen:
        tried = [(given.before.absolute(), given.codecs_before.absolute())] if given.before else []
        table.add(case, [cell(attempt(case, *each, given.patience)) for each in (*tried, (HERE, given.codecs.absolute()))])
        table.write(order)
    sum_up = table.write(order)
    print(f"\n{sum_up}")
    return 0 if " 0 wrong" in sum_up else 1


if __name__ == "__main__":
    sys.exit(main())
