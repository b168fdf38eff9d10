"""python -m tests.tools.cases [--before PROGRAMS] [CASE ...]: the table of faults, exit code 1 if one is left."""

import argparse
import importlib
import pkgutil
import sys
import tempfile
from pathlib import Path

from tests.tools import cases
from tests.tools.cases import CASES, HERE, Bench, Case, Outcome, Skip

ROOT = Path(__file__).parents[3]


def attempt(case: Case, programs: Path, codecs: Path) -> Outcome | None:
    """None: skipped, and why has been said."""
    with tempfile.TemporaryDirectory(prefix="vrcnn-case-") as folder:
        try:
            return case.attempt(Bench(Path(folder), programs, codecs))
        except Skip as reason:
            print(f"skipped {case.name}: {reason}", file=sys.stderr)
            return None
        except Exception as error:  # a case that the older version breaks in its own way
            return Outcome(False, f"{type(error).__name__}: {error}")


def cell(outcome: Outcome | None) -> str:
    if outcome is None:
        return "skipped"
    seen = " ".join(outcome.seen.split()).replace("|", "\\|")
    return f"{'right' if outcome.right else 'WRONG'}: {seen[:160]}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.tools.cases", description=cases.__doc__)
    parser.add_argument(
        "--before", type=Path, metavar="PROGRAMS", help="also try the version whose codec-bridge and python lie in this folder"
    )
    parser.add_argument("--codecs", type=Path, default=ROOT / "build/codecs/bin", help="folder of hooked x265 and dec265 (make codecs)")
    parser.add_argument("--codecs-before", type=Path, default=Path("none"), help="those of the version before")
    parser.add_argument("names", nargs="*", metavar="CASE", help="such as A3; default: all")
    given = parser.parse_args()
    for module in pkgutil.iter_modules(cases.__path__):
        if not module.name.startswith(("_", "test_")):
            importlib.import_module(f"{cases.__name__}.{module.name}")
    wanted = {name.replace(" ", "") for name in given.names}
    wrong = skipped = 0
    print("| case | fault |" + (" before |" if given.before else "") + " now |")
    print("|---|---|" + ("---|" if given.before else "") + "---|")
    chosen = [case for case in CASES if not wanted or case.name.replace(" ", "") in wanted]
    for case in sorted(chosen, key=lambda case: (case.name[0], [int(part) for part in case.name[1:].split()[:1]], case.name)):
        before = f" {cell(attempt(case, given.before.absolute(), given.codecs_before.absolute()))} |" if given.before else ""
        now = attempt(case, HERE, given.codecs.absolute())
        print(f"| {case.name} | {case.what} |{before} {cell(now)} |", flush=True)
        wrong += now is not None and not now.right
        skipped += now is None
    print(f"\n{len(chosen)} cases: {wrong} wrong, {skipped} skipped")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
