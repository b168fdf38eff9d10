"""Whatever holds memory of the C library, in threads, closed, copied, and in a child process."""

import copy
import os
import pickle
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from codec_bridge.filter import ErrorCode, Filter
from codec_bridge.library.arrays import read_model
from codec_bridge.library.cuda import Cuda, CudaError
from codec_bridge.library.decider import Decider, PlaneDecider
from codec_bridge.library.engines.c import CEngine
from codec_bridge.library.native import Context, Model
from codec_bridge.library.owner import Owner
from tests.support.errors import refused_as

WIDTH, HEIGHT = 160, 128
RNG = np.random.default_rng(5)
PLANES = [RNG.integers(0, 256, (HEIGHT, WIDTH), np.uint8) for _ in range(4)]
CHROMA = np.full((HEIGHT // 2, WIDTH // 2), 90, np.uint8)


def luma(opened: Decider, plane: Any) -> object:
    decision = opened.decide(plane // 2, plane, plane, 8, qp=32, lam=1.0, ordinary_cost=1e9)
    return decision.data, decision.cost, None if decision.luma is None else decision.luma.tobytes()


def three(opened: PlaneDecider, plane: Any) -> object:
    planes = plane, CHROMA, CHROMA
    decision = opened.decide((plane // 2, CHROMA, CHROMA), planes, planes, (8, 8), qp=32, lam=1.0, costs=(1e9, 1e9))
    return decision.data, decision.cost, [None if each is None else each.tobytes() for each in decision.planes]


def picture(opened: Filter, plane: Any) -> object:
    return opened.filter_plane(plane, 8, 2).tobytes()


def context(opened: Context, plane: Any) -> object:
    out = np.empty_like(plane)
    opened.filter_picture(out, plane, 8, 2, 8)()
    return out.tobytes()


KINDS: list[tuple[Callable[[], Any], Callable[[Any, Any], object]]] = [
    (lambda: Decider(WIDTH, HEIGHT), luma),
    (lambda: PlaneDecider(WIDTH, HEIGHT, "joint_intra"), three),
    (Filter, picture),
    (lambda: Context(Model(*read_model(None))), context),
]
every = pytest.mark.parametrize(("make", "use"), KINDS, ids=["Decider", "PlaneDecider", "Filter", "Context"])


@every
def test_one_call_at_a_time(make: Callable[[], Any], use: Callable[[Any, Any], object]) -> None:
    with make() as opened:
        wanted = [use(opened, plane) for plane in PLANES]
        found: list[list[object]] = [[] for _ in PLANES]

        def work(number: int) -> None:
            for _ in range(8):
                found[number].append(use(opened, PLANES[number]))

        threads = [threading.Thread(target=work, args=(number,)) for number in range(len(PLANES))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == [[each] * 8 for each in wanted]


@every
def test_closed_while_it_is_used(make: Callable[[], Any], use: Callable[[Any, Any], object]) -> None:
    opened, begun = make(), threading.Event()
    ended: list[BaseException] = []

    def work() -> None:
        try:
            while True:
                use(opened, PLANES[0])
                begun.set()
        except BaseException as error:
            ended.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    begun.wait()
    opened.close()
    opened.close()
    thread.join()
    assert "closed; make a new one" in str(ended[0])
    with refused_as(ErrorCode.ARGUMENT, match="closed; make a new one"):
        use(opened, PLANES[0])


@pytest.mark.parametrize("copied", [pickle.dumps, copy.copy, copy.deepcopy])
@pytest.mark.parametrize("make", [*(make for make, use in KINDS if use is not picture), lambda: Model(*read_model(None))])
def test_no_copies(make: Callable[[], Any], copied: Callable[[Any], object]) -> None:
    with refused_as(ErrorCode.ARGUMENT, match="cannot be pickled or copied; make one in each process"):
        copied(make())


@pytest.mark.parametrize("copied", [lambda it: pickle.loads(pickle.dumps(it)), copy.copy, copy.deepcopy])
@pytest.mark.parametrize("model", [None, "joint_intra"])
def test_a_filter_s_copy_is_another_filter(model: str | None, copied: Callable[[Filter], Filter]) -> None:
    first = Filter(model, "scalar", threads=2)
    second = copied(first)
    wanted = first.filter_planes((PLANES[0], CHROMA, CHROMA), (8, 8), 0)
    assert (first.identity, first.kernel, first.threads) == (second.identity, second.kernel, second.threads)
    first.close()
    with refused_as(ErrorCode.ARGUMENT, match="closed; make a new one"):
        copied(first)
    with second:
        for one, other in zip(second.filter_planes((PLANES[0], CHROMA, CHROMA), (8, 8), 0), wanted, strict=True):
            np.testing.assert_array_equal(one, other)


def test_an_engine_s_copy_shares_its_context() -> None:
    engine = CEngine(Model(*read_model(None)))
    other = copy.copy(engine)
    engine.close()
    with refused_as(ErrorCode.ARGUMENT, match="closed"):
        other.planes((PLANES[0],), (8, 8), 2, ((8,), (8,)))  # type: ignore[arg-type]


def test_no_call_of_a_closed_model_set_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a GPU: what would be called is not."""
    opened, freed = Cuda.__new__(Cuda), list[object]()
    Owner.__init__(opened)
    monkeypatch.setattr(Cuda, "_free", lambda it: freed.append(it))
    for copied in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(CudaError, match="cannot be pickled or copied"):
            copied(opened)
    opened.close()
    opened.close()
    assert freed == [opened]
    with pytest.raises(CudaError, match="closed"):
        opened._call(lambda *_: 0)


@every
def test_in_a_child_process(make: Callable[[], Any], use: Callable[[Any, Any], object]) -> None:
    with make() as opened:
        wanted = use(opened, PLANES[0])
        if child := os.fork():
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        else:
            code = 1
            try:
                code = int(use(opened, PLANES[0]) != wanted)
                opened.close()
            finally:
                os._exit(code)
        assert use(opened, PLANES[0]) == wanted
