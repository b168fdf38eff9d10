"""The C library from Python: threads, copies, arguments of other types."""

from tests.tools.cases import Bench, Outcome, case

MADE = """
import copy, pickle, threading, time
import numpy as np
from codec_bridge.filter import Filter
from codec_bridge.library.decider import Decider, PlaneDecider
from vrcnn_int.errors import VrcnnError
plane = np.random.default_rng(1).integers(0, 256, (256, 320), dtype=np.uint8)
chroma = np.full((128, 160), 90, np.uint8)
three = plane, chroma, chroma
def luma(decider, **more):
    return decider.decide(plane // 2, plane, plane, 8, **{"qp": 32, "lam": 1.0, "ordinary_cost": 1e9, **more})
def planes(decider, **more):
    given = {"bit_depths": (8, 8), "qp": 32, "lam": 1.0, "costs": (1e9, 1e9), "kind": "luma", **more}
    return decider.decide(three, three, three, **given)
def tried(*calls):
    for call in calls:
        try:
            call()
            print("taken")
        except VrcnnError:
            print("refused")
        except BaseException as error:
            print(type(error).__name__)
"""


def refusals(bench: Bench, code: str) -> Outcome:
    ran = bench.python(MADE + code)
    lines = ran.out.splitlines()
    right = ran.code == 0 and bool(lines) and {*lines} == {"refused"}
    return Outcome(right, f"exit code {ran.code}: {', '.join(f'{lines.count(word)} {word}' for word in dict.fromkeys(lines)) or ran.last}")


@case("H 4", "threads that share a Decider: the process crashes")
def threads(bench: Bench) -> Outcome:
    code = "decider, found = Decider(320, 256), []\ndef work():\n    for _ in range(10): found.append(luma(decider).cost)\n"
    code += "threads = [threading.Thread(target=work) for _ in range(6)]\nfor t in threads: t.start()\nfor t in threads: t.join()\n"
    ran = bench.python(MADE + code + "print(len(found), len(set(found)))")
    return Outcome(ran.out == "60 1\n", f"exit code {ran.code}: {ran.last}")


@case("H 4 b", "a Decider that is closed while another thread decides")
def closed(bench: Bench) -> Outcome:
    code = (
        "decider, begun = Decider(320, 256), threading.Event()\ndef use():\n    while True:\n        luma(decider)\n        begun.set()\n"
    )
    code += "thread = threading.Thread(target=lambda: tried(use))\nthread.start()\nbegun.wait()\ntime.sleep(0.3)\n"
    code += "decider.close()\nthread.join()\n"
    return refusals(bench, code + "tried(lambda: luma(decider))")


@case("H 4 c", "copies and pickles of deciders share what one of them frees")
def copies(bench: Bench) -> Outcome:
    code = "ways = copy.copy, copy.deepcopy, pickle.dumps\n"
    code += "for one in (Decider(8, 8), PlaneDecider(8, 8)):\n    tried(*(lambda way=way: way(one) for way in ways))"
    return refusals(bench, code)


@case("M 1", "chroma_weights of one value, or none: a wrong decision without a word")
def short(bench: Bench) -> Outcome:
    code = "decider = PlaneDecider(320, 256)\ntried(*(lambda w=w: planes(decider, chroma_weights=w) for w in ((1,), [], (1, 1, 1))))"
    return refusals(bench, code)


@case("M 2", "arguments of deciders that are of another type or too large")
def arguments(bench: Bench) -> Outcome:
    code = """
tried(*(lambda w=w: Decider(w, 8) for w in ("a", 3.5, None, 2**40, True)), *(lambda m=m: PlaneDecider(8, 8, m) for m in ("x", 5)))
tried(*(lambda t=t: PlaneDecider(8, 8, threads=t) for t in ("a", None, 2.5, 0)))
one, other = Decider(320, 256), PlaneDecider(320, 256)
tried(*(lambda v=v: luma(one, lam=v) for v in ("x", None, 1j, 10**400)), lambda: luma(one, is_irap="yes"), lambda: luma(one, units=None))
tried(*(lambda v=v: planes(other, costs=v) for v in ((1,), (1, 2, 3), 5.0)))
tried(*(lambda v=v: planes(other, bit_depths=v) for v in (8, None, (8,))))
"""
    return refusals(bench, code)


@case("M 2 b", "filters, backgrounds and units that are none")
def filters(bench: Bench) -> Outcome:
    code = """
filter, ones = Filter(), np.ones((4, 5), np.uint8)
tried(*(lambda f=f: filter.filter_planes_units(three, (8, 8), f, ones, None, 64) for f in ([1], [(2,)], 5)))
tried(lambda: filter.filter_planes_units(three, (8, 8), [(2, (8,), (8,))], ones, None, 64, background=5))
tried(lambda: filter.prepare_planes(three, None, (8, 8), 2))
tried(*(lambda u=u: filter.prepare(plane, plane.copy(), 8, 2, u) for u in (5, ([2], ones))))
"""
    return refusals(bench, code)
