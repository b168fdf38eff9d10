"""What others build on: exports are reproducible, and the C library's ABI does not change unnoticed."""

import hashlib
import importlib.util
import re
import subprocess
import sys
import sysconfig
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from codec_bridge.library._vrcnn import ffi

from tests.support.models import random_network, shipped
from tests.tools.abi import GOLDEN, describe, is_unreleased, soversion, verdict, version
from vrcnn_int.export import c_header, write_c_header
from vrcnn_int.integer import Branch, IntegerNetwork, ModelSet
from vrcnn_int.models import builtin_path, float_path, set_names
from vrcnn_int.network import load_float_networks
from vrcnn_int.quantize.plan import to_integer
from vrcnn_int.version import __version__

ROOT = Path(__file__).parent.parent
QUANTIZED = "f539a0a8bf82699439372dba6115ff764283804141b0336e852e1c0cffa4050b"


def test_shipped_set_is_canonical() -> None:
    assert shipped().to_bytes() == builtin_path().read_bytes()


def test_quantization_gives_the_same_bytes_everywhere() -> None:
    """Of the shipped float networks, by plans made from their weights."""
    networks, _ = load_float_networks(float_path(builtin_path()))
    data = ModelSet(tuple(to_integer(network) for network in networks)).to_bytes()
    assert hashlib.sha256(data).hexdigest() == QUANTIZED


def test_bytes_do_not_depend_on_how_arrays_lie_in_memory(tmp_path: Path) -> None:
    network = random_network(np.random.default_rng(2))

    def otherwise(branch: Branch) -> Branch:
        weights = np.asfortranarray(branch.weights)
        return Branch(branch.kernel, branch.shift, branch.multiplier, weights, np.repeat(branch.bias, 2)[::2])

    other = IntegerNetwork(tuple(tuple(map(otherwise, layer)) for layer in network.layers), network.qp, network.position)
    models = ModelSet((network,)), ModelSet((other,))
    assert models[0].to_bytes() == models[1].to_bytes()
    assert c_header(models[0], "name") == c_header(models[1], "name")
    write_c_header(models[1], "name", tmp_path / "name.h")
    assert (tmp_path / "name.h").read_bytes() == c_header(models[0], "name").encode("ascii")


@pytest.mark.skipif(ffi.sizeof("void *") != 8, reason="c/abi.txt is of machines with 64-bit pointers")
def test_abi_is_the_recorded_one() -> None:
    old, new = GOLDEN.read_text(), describe()
    problem = verdict(old, new, is_unreleased(old))
    changed = [line for line in (*old.splitlines(), *new.splitlines()) if (line in old.splitlines()) != (line in new.splitlines())]
    what_to_do = f"{problem}, then `make generated`" if problem else "run `make generated`"
    assert old == new, f"the ABI is not that of c/abi.txt ({'; '.join(changed[:4])}): {what_to_do}"


def test_rule_of_the_abi() -> None:
    old = "soversion 1\nversion 1.2.0\nA = 1\nf: int(*)(int)\n"
    assert "raise SOVERSION" in verdict(old, old.replace("A = 1", "A = 2"), False)
    assert "raise SOVERSION" in verdict(old, old.replace("A = 1\n", "").replace("1.2.0", "1.3.0"), False)
    assert "raise VRCNN_VERSION_MINOR" in verdict(old, (old + "g: int(*)(int)\n").replace("1.2.0", "1.2.1"), False)
    assert verdict(old, (old + "g: int(*)(int)\n").replace("1.2.0", "1.3.0"), False) == ""
    assert verdict(old, old.replace("A = 1", "A = 2").replace("soversion 1", "soversion 2"), False) == ""
    assert verdict(old, old.replace("A = 1", "A = 2"), True) == ""


@pytest.fixture
def project_setup(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """setup.py, which builds nothing here."""
    monkeypatch.setattr("setuptools.setup", lambda **_: None)
    spec = importlib.util.spec_from_file_location("project_setup", ROOT / "setup.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "project_setup", module)
    spec.loader.exec_module(module)
    return module


def test_the_library_has_exactly_the_model_files(tmp_path: Path) -> None:
    subprocess.run(["make", "-s", "-C", str(ROOT / "c"), f"BUILD={tmp_path}", str(tmp_path / "builtin_sets.inc")], check=True)
    text = (tmp_path / "builtin_sets.inc").read_text()
    numbers = text.split("{", 1)[1].split("}", 1)[0].replace("\n", "").rstrip(",").split(",")
    compiled_in = bytes(map(int, numbers))
    table = re.findall(r'\{"(\w+)", (\d+), (\d+)\}', text)
    assert tuple(name for name, *_ in table) == set_names()
    for name, offset, size in table:
        assert compiled_in[int(offset) :][: int(size)] == builtin_path(name).read_bytes()
    assert len(compiled_in) == sum(int(size) for *_, size in table)


def test_versions_agree() -> None:
    assert version() == __version__
    elsewhere = {
        "CITATION.cff": r"^version: (.*)$",
        "CHANGELOG.md": r"^## ([\d.]+)",
        "packaging/debian/changelog": r"^vrcnn-int \((.*)-\d+\)",
        "packaging/vcpkg/vrcnn/vcpkg.json": r'"version": "(.*)"',
    }
    for name, pattern in elsewhere.items():
        found = re.search(pattern, (ROOT / name).read_text(), re.M)
        assert found, name
        assert found.group(1) == __version__, name
    # The conda recipe reads it from a file.
    recipe = (ROOT / "packaging/conda/meta.yaml").read_text()
    place, pattern = re.findall(r"load_file='(.*?)', regex_pattern='(.*?)'", recipe)[0]
    found = re.search(pattern, (ROOT / "packaging/conda" / place).read_text())
    assert found, place
    assert found.group(1) == __version__
    assert GOLDEN.read_text().startswith(f"soversion {soversion()}\nversion {version()}\n")


@pytest.mark.parametrize(
    ("platform", "machine"),
    [
        ("linux-x86_64", "x86_64"),
        ("win-amd64", "x86_64"),
        ("freebsd-14.1-release-amd64", "x86_64"),
        ("macosx-14.0-arm64", "aarch64"),
        ("linux-aarch64", "aarch64"),
        ("linux-riscv64", ""),
    ],
)
def test_kernels_are_compiled_with_their_flags_whatever_the_machine_is_called(
    platform: str, machine: str, project_setup: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sysconfig, "get_platform", lambda: platform)
    lines = [line.split() for line in (ROOT / "c/kernel_flags.txt").read_text().splitlines() if line and line[0] != "#"]
    assert project_setup.kernel_flags() == {f"c/{file}": flags for file, target, *flags in lines if target == machine}
