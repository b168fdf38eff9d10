"""The refusals of the C library in Python: every code, its message, and its way through a pickle."""

import pickle

import pytest
from codec_bridge.library._vrcnn import ffi, lib

from codec_bridge.library.errors import ErrorCode, FilterError, check, refuse
from tests.support.errors import refused_as
from vrcnn_int.errors import VrcnnError
from vrcnn_int.integer import UNIT_SCALE

CODES = {name.removeprefix("VRCNN_ERROR_"): int(getattr(lib, name)) for name in dir(lib) if name.startswith("VRCNN_ERROR_")}


def test_every_c_error_has_its_code() -> None:
    assert {code.name: code.value for code in ErrorCode if code < 0} == CODES
    assert [code.name for code in ErrorCode if code > 0] == ["SAMPLE", "BACKEND", "FILE"]


@pytest.mark.parametrize("code", [code for code in ErrorCode if code < 0])
def test_every_c_error_says_what_the_library_says(code: ErrorCode) -> None:
    text = ffi.string(lib.vrcnn_strerror(code)).decode()
    with refused_as(code, match=f"^subject: {text}"):
        check(int(code), "subject")
    with refused_as(code, match=rf"^subject: {text} \(detail\); advice$"):
        refuse(code, "subject", "detail", "advice")


def test_what_is_no_error_is_returned() -> None:
    assert [check(code, "subject") for code in (0, 3)] == [0, 3]


def test_the_scale_that_leaves_the_residual_as_trained_is_the_c_library_s() -> None:
    assert lib.VRCNN_SCALE_TRAINED == UNIT_SCALE
    with refused_as(ErrorCode.SCALE, match="; 8 leaves the residual as trained"):
        refuse(ErrorCode.SCALE, "scale 11")


def test_an_error_of_a_job_in_another_process_arrives_whole() -> None:
    error = FilterError("plane: too large", ErrorCode.PLANE)
    copy = pickle.loads(pickle.dumps(error))
    assert isinstance(copy, FilterError)
    assert isinstance(copy, VrcnnError)
    assert (str(copy), copy.code) == ("plane: too large", ErrorCode.PLANE)
