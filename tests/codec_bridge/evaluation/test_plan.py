"""Plan files: what they say is what is run, and a bad one is one line with the file and the key."""

from pathlib import Path

import pytest

from codec_bridge.evaluation import plan
from codec_bridge.evaluation.settings import Settings
from codec_bridge.video.files import write_y4m
from tests.support import media
from tests.support import stubs as stub_tools
from tests.support.models import shipped
from vrcnn_int.errors import VrcnnError
from vrcnn_int.integer import ModelSet
from vrcnn_int.models import builtin_path

WHOLE = """
sequences = ["chelsea", "clips"]
qps = [22, 27, 32, 37, 42]
codecs = ["hm", "x265"]
configurations = { x265 = ["ai"], hm = ["ai", "ra"] }
frames = 2
model = "model.vrcnn"
kernel = "scalar"
position = "before_deblocking"
preset = "fast"
method = "akima"
check = true
transfer = "upload"
keep_streams = true

[variants]
hm = ["anchor", "none"]

[programs]
hm = "hm"

[slurm]
jobs = 3
cores = 2
memory = "4GB"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "clips").mkdir()
    write_y4m(tmp_path / "clips" / "cat.y4m", media.pictures(2), 25)
    (tmp_path / "model.vrcnn").write_bytes(builtin_path().read_bytes())
    ModelSet(shipped().networks[:1]).save(tmp_path / "before.vrcnn")
    stub_tools.install(tmp_path / "hm")
    (tmp_path / "hm/cfg/encoder_randomaccess_main.cfg").write_text("")
    return tmp_path


def written(folder: Path, text: str) -> Path:
    path = folder / "plan.toml"
    path.write_text(text)
    return path


def test_everything(folder: Path) -> None:
    named: list[str] = []
    found = plan.load(written(folder, WHOLE), lambda texts: not named.extend(texts))  # type: ignore[func-returns-value]
    assert named == [f"programs.hm = {folder / 'hm'}"]
    assert [sequence.name for sequence in found.sequences] == ["chelsea", "cat"]
    common = {
        "qps": (22, 27, 32, 37, 42), "frames": 2, "model": folder / "model.vrcnn", "kernel": "scalar", "preset": "fast", "check": True,
        "folders": {"hm": folder / "hm"},
    }  # fmt: skip
    assert found.runs == (
        Settings("hm", variants=("anchor", "none"), configuration="ai", **common),
        Settings("hm", variants=("anchor", "none"), configuration="ra", **common),
        Settings("x265", variants=("anchor", "none", "integer"), configuration="ai", **common),
    )
    assert (found.method, found.transfer, found.keep_streams, found.file) == ("akima", "upload", True, "plan.toml")
    assert found.slurm == {"jobs": 3, "cores": 2, "memory": "4GB"}


def test_defaults(folder: Path) -> None:
    found = plan.load(written(folder, 'sequences = ["clips/cat.y4m"]'))
    assert found.runs == (Settings(),)
    assert (found.method, found.transfer, found.keep_streams, found.slurm) == ("pchip", "shared", False, {})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "sequences: name at least one"),
        ("sequences = [", "is not TOML"),
        ("sequences = " + "[" * 100000, "is not TOML"),
        ("qps = [" + "9" * 5000 + "]", "is not TOML"),
        ("slurm" + ".a" * 100 + " = 1", "more than 32 lists and tables in each other"),
        ('sequences = ["clips"]\nqps = [inf]', "qps[0]: inf is not a whole number"),
        ('sequences = ["clips"]\nframes = 99999999999999999999', "is neither"),
        ('sequences = ["clips"]\nvariant = ["none"]', "transfer, keep_streams, stream_cache, search_path, size, format, programs, slurm"),
        ('sequences = ["clips"]\n[variants]\nx265 = "none"', "is not a list"),
        ('sequences = ["clips"]\nsize = "' + "9" * 5000 + '"', "is not a size"),
        ('sequences = "clips"', "sequences: 'clips' is not a list"),
        ("sequences = [1]", "sequences[0]: 1 is not text"),
        ('sequences = ["nothing"]', "'nothing' is neither a file or folder nor a known name"),
        ('sequences = ["clips", "clips"]', "2 sequences are called cat"),
        ('sequences = ["clips"]\nqp = [22]', "unknown key qp; there are sequences, qps, codecs"),
        ('sequences = ["clips"]\nqps = [22, "27"]', "qps[1]: '27' is not a whole number"),
        ('sequences = ["clips"]\nqps = [22, true]', "qps[1]: True is not a whole number"),
        ('sequences = ["clips"]\nqps = [52]', "QP 52 is not in 0..51"),
        ('sequences = ["clips"]\nframes = 0', 'frames: 0 is neither "auto" nor a number'),
        ('sequences = ["clips"]\nframes = true', "frames: True is not a whole number or text"),
        ('sequences = ["clips"]\ncheck = 1', "check: 1 is not true or false"),
        ('sequences = ["clips"]\ncodecs = ["x264"]', "codecs: there is no 'x264'; there are x265, hm, x265-loop"),
        ('sequences = ["clips"]\nconfigurations = ["ra"]', "x265 is evaluated all-intra only"),
        ('sequences = ["clips"]\nvariants = ["anchor", "map"]', "unknown variant 'map'"),
        ('sequences = ["clips"]\n[variants]\nhm = ["anchor"]', "unknown key variants.hm; there are x265"),
        ('sequences = ["clips"]\ncodecs = []', "no codec, or no configuration"),
        ('sequences = ["clips"]\ncodecs = ["x265", "x265"]', "x265 ai is given twice"),
        ('sequences = ["clips"]\nmethod = "spline"', "unknown method 'spline'"),
        ('sequences = ["clips"]\ntransfer = "post"', "unknown transfer 'post'; there are shared, upload"),
        ('sequences = ["clips"]\npreset = "quick"', "unknown preset 'quick'"),
        ('sequences = ["clips"]\nkernel = "mmx"', "mmx"),
        ('sequences = ["clips"]\nmodel = "none.vrcnn"', "none.vrcnn"),
        ('sequences = ["clips"]\nmodel = "before.vrcnn"\nposition = "after_sao"', "after_sao"),
        ('sequences = ["clips"]\nmodel = "a\\u0000b"', "model holds a zero byte"),
        ('sequences = ["clips", "a\\u0000"]', "sequences[1] holds a zero byte"),
        ('sequences = ["clips"]\nstream_cache = "\\u0000"', "stream_cache holds a zero byte"),
        ('sequences = ["clips"]\nsearch_path = ["/a", "\\u0000"]', "search_path[1] holds a zero byte"),
        ('sequences = ["clips"]\nformat = "yuv420p\\u0000"', "format holds a zero byte"),
        ('sequences = ["clips"]\n[programs]\nhm = "a\\u0000"', "programs.hm holds a zero byte"),
        ('sequences = ["clips"]\n[programs]\n"h\\u0000" = "a"', "a key of programs holds a zero byte"),
        ('sequences = ["clips"]\nsize = "16"', "'16' is not a size"),
    ],
)
def test_mistakes_are_named_with_the_file(folder: Path, text: str, said: str) -> None:
    path = written(folder, text)
    with pytest.raises(VrcnnError) as raised:
        plan.load(path)
    assert str(raised.value).startswith(str(path))
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_what_a_plan_would_run_is_named_and_asked_for(folder: Path) -> None:
    """Before anything is looked at, also where no job needs it."""
    texts = {
        'sequences = ["clips"]\n[programs]\nhm = "clips"': f"programs.hm = {folder / 'clips'}",
        'sequences = ["clips"]\n[slurm]\njobs = 1\npython = "sh x"': "slurm.python = 'sh x'",
        'sequences = ["clips"]\n[slurm]\njob_script_prologue = ["true"]': """slurm.job_script_prologue = "['true']\"""",
        'sequences = ["clips"]\n[slurm]\nqueue = "a\\ntrue"': "slurm.queue = 'a\\ntrue'",
        'sequences = ["clips"]\n[slurm]\nmemory = "1GB; true"': "slurm.memory = '1GB; true'",
    }
    for key in plan.SLURM_PLAIN:
        for value in (
            "5; true #",
            "$(true)",
            "`true`",
            "a b",
            "a&b",
            "a|b",
            "a>b",
            "a*",
            "~",
            "-x",
            "--wrap=true",
            "a'b",
            'a\\"b',
            "a\\n",
            "",
            "{a,b}",
        ):
            texts[f'sequences = ["clips"]\n[slurm]\n{key} = "{value}"'] = f"slurm.{key} = "
        texts[f'sequences = ["clips"]\n[slurm]\n{key} = ["true"]'] = f"slurm.{key} = "
    for text, named in texts.items():
        with pytest.raises(VrcnnError) as refused:
            plan.load(written(folder, text))
        assert f"names what is to run here: {named}" in str(refused.value)
        assert str(refused.value).endswith("; give --allow-programs if you trust it")
    with pytest.raises(VrcnnError, match="has no built TAppEncoder"):
        plan.load(written(folder, 'sequences = ["clips"]\ncodecs = ["hm"]\n[programs]\nhm = "clips"'), lambda _: True)
    plain = 'queue = "video,long"\nmemory = "4.5 GB"\nwalltime = "1-02:00:00"\ninterface = "eth0.1"\nprotocol = "tls://"\n'
    plain += 'death_timeout = 60.5\naccount = "a/b@c"\nnanny = false\njobs = 3\ncores = 4'
    assert plan.load(written(folder, f'sequences = ["clips"]\n[slurm]\n{plain}')).slurm["queue"] == "video,long"
    for jobs in ("0", "true", "1.5", '"3"', "10001"):
        with pytest.raises(VrcnnError, match=r"slurm\.jobs: .* is not a number of jobs, 1 to 10000"):
            plan.load(written(folder, f'sequences = ["clips"]\n[slurm]\njobs = {jobs}'))


def test_a_byte_order_mark_is_no_mistake(folder: Path) -> None:
    path = folder / "plan.toml"
    path.write_bytes(b"\xef\xbb\xbf" + b'sequences = ["clips"]')
    assert [sequence.name for sequence in plan.load(path).sequences] == ["cat"]


def test_a_plan_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(VrcnnError, match="cannot read the plan"):
        plan.load(tmp_path / "plan.toml")


def test_curves_need_an_anchor_and_four_points(folder: Path) -> None:
    with pytest.raises(VrcnnError, match="needs the variant anchor"):
        plan.load(written(folder, 'sequences = ["clips"]\nvariants = ["none"]')).check_curves()
    with pytest.raises(VrcnnError, match="at least four QPs, not 2"):
        plan.load(written(folder, 'sequences = ["clips"]\nqps = [22, 27]')).check_curves()
