"""Plans become jobs, jobs become rows: what is kept, what is done again, and what no gate lets through."""

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codec_bridge.bitstream.errors import CodecError
from codec_bridge.codecs import decoder, pyav
from codec_bridge.codecs.programs import Programs
from codec_bridge.evaluation import cluster, jobs, keys
from codec_bridge.evaluation.plan import Plan
from codec_bridge.evaluation.settings import Settings
from codec_bridge.evaluation.store import Store
from codec_bridge.provenance import without_paths
from codec_bridge.report.document import Flag
from codec_bridge.video.catalogue import resolve
from codec_bridge.video.files import write_y4m
from codec_bridge.video.picture import Picture
from tests.support import stubs as stub_tools
from tests.support.documents import as_json, summary_of
from vrcnn_int.errors import VrcnnError
from vrcnn_int.integer import ModelSet
from vrcnn_int.models import builtin_path

ROOT = Path(__file__).parents[3]


def moving(count: int = 2, width: int = 80, height: int = 64) -> list[Picture]:
    """A photograph that moves by two samples a picture."""
    (picture,) = resolve("chelsea")[0].open(1)
    found = []
    for n in range(count):
        planes = [
            np.ascontiguousarray(plane[80 // s : (80 + height) // s, (96 + 2 * n) // s : (96 + 2 * n + width) // s])
            for plane, s in zip(picture.planes, (1, 2, 2), strict=True)
        ]
        found.append(Picture(tuple(planes), 8, "420"))
    return found


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clips" / "cat.y4m"
    path.parent.mkdir()
    write_y4m(path, moving(), 25)
    return path


def plan_of(*clips: Path, **changes: Any) -> Plan:
    return Plan(tuple(sequence for clip in clips for sequence in resolve(clip)), (replace(Settings(preset="ultrafast"), **changes),))


def figures(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows without what takes its time."""
    return [{key: value for key, value in row.items() if "seconds" not in key} for row in rows]


def test_what_is_done_is_not_done_again(clip: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "results")
    first = cluster.evaluate(plan_of(clip), store)
    assert first.timing["jobs"] == {"cached": 0, "failed": 0, "done": 12}
    events: list[Any] = []
    again = cluster.evaluate(plan_of(clip), store, listen=events.append)
    assert again.timing["jobs"] == {"cached": 12, "failed": 0, "done": 0}
    assert again.rows == first.rows
    assert [event["event"] for event in events] == ["start", *["cached"] * 12, "planned"]
    assert again.timing["overhead_percent"] is None
    # One more QP, one variant less, another order: only what is new is done.
    other = cluster.evaluate(plan_of(clip, qps=(37, 32, 27, 22, 40), variants=("none", "anchor")), store)
    assert other.timing["jobs"] == {"cached": 8, "failed": 0, "done": 2}
    alone = cluster.evaluate(plan_of(clip, qps=(37, 32, 27, 22, 40), variants=("none", "anchor")), Store(tmp_path / "other"))
    assert figures(as_json(alone.rows)) == figures(as_json(other.rows))
    assert alone.timing["jobs"]["done"] == 10


def test_the_key_holds_what_determines_the_figures(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def keys_of(plan: Plan) -> dict[str, str]:
        return {job.variant: job.key for job in jobs.expand(plan)}

    base = keys_of(plan_of(clip, qps=(32,)))
    assert len(set(base.values())) == 3
    assert keys_of(plan_of(clip, qps=(32,))) == base
    # Its name and place are nothing to a result, its samples are.
    elsewhere = tmp_path / "renamed.y4m"
    shutil.copy(clip, elsewhere)
    assert keys_of(plan_of(elsewhere, qps=(32,))) == base
    write_y4m(elsewhere, [*moving()[:1], *moving()[:1]], 25)
    changed = keys_of(plan_of(elsewhere, qps=(32,)))
    assert not set(changed.values()) & set(base.values())
    write_y4m(elsewhere, moving(), 30)
    assert keys_of(plan_of(elsewhere, qps=(32,)))["anchor"] != base["anchor"]
    for change in ({"qps": (33,)}, {"preset": "superfast"}, {"frames": 1}):
        assert not set(keys_of(plan_of(clip, **{"qps": (32,), **change})).values()) & set(base.values()), change
    model = tmp_path / "turned.vrcnn"
    ModelSet(ModelSet.load(builtin_path()).networks[::-1]).save(model)
    for change in ({"kernel": "scalar"}, {"check": True}, {"model": model}):
        other = keys_of(plan_of(clip, **{"qps": (32,), **change}))
        assert other["integer"] != base["integer"], change
        assert (other["anchor"], other["none"]) == (base["anchor"], base["none"]), "the network is nothing to them"
    same = tmp_path / "same.vrcnn"
    shutil.copy(builtin_path(), same)
    assert keys_of(plan_of(clip, qps=(32,), model=same)) == base, "a model set is its identity, not its path"
    monkeypatch.setattr(keys.metrics, "VERSION", 99)
    assert not set(keys_of(plan_of(clip, qps=(32,))).values()) & set(base.values())
    monkeypatch.undo()
    monkeypatch.setattr(pyav.X265, "programs", lambda *_: Programs("x265", {"libx265.so": "another"}))
    assert not set(keys_of(plan_of(clip, qps=(32,))).values()) & set(base.values())


def test_damaged_results_are_noticed_named_and_made_again(clip: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "results")
    plan = plan_of(clip)
    first = cluster.evaluate(plan, store)
    files = sorted((tmp_path / "results/jobs").glob("*.json"))
    content = json.loads(files[0].read_text())
    content["row"]["bits"] += 1
    files[0].write_text(json.dumps(content))
    files[1].write_bytes(files[1].read_bytes()[:200])
    files[2].write_text("[]")
    shutil.copy(files[4], files[3])
    events: list[Any] = []
    again = cluster.evaluate(plan, store, listen=events.append)
    damaged = {event["key"]: event["text"] for event in events if event["event"] == "damaged"}
    assert sorted(damaged) == [path.stem for path in files[:4]]
    assert all(key in text for key, text in damaged.items())
    assert again.timing["jobs"] == {"cached": 8, "failed": 0, "done": 4}
    assert figures(as_json(again.rows)) == figures(as_json(first.rows))


def below_each_other(picture: Picture) -> Any:
    """Y, U and V of a picture of 80 columns, as crops hold them."""
    return np.concatenate([np.pad(plane, ((0, 0), (0, 80 - plane.shape[1]))) for plane in picture.planes])


def test_metrics_are_measured_where_they_are_asked_for(clip: Path, tmp_path: Path) -> None:
    pytest.importorskip("imageio_ffmpeg", reason="needs imageio-ffmpeg: pip install 'vrcnn-int[metrics]'")
    store = Store(tmp_path / "results")
    without = cluster.evaluate(plan_of(clip, qps=(22, 37), variants=("anchor",)), store)
    asked = plan_of(clip, qps=(22, 37), variants=("anchor",), metrics=("ssim", "vmaf"))
    found = cluster.evaluate(asked, store)
    assert found.timing["jobs"]["cached"] == 0, "other figures have other keys"
    assert cluster.evaluate(asked, store).timing["jobs"]["cached"] == 2
    fine, coarse = (row.figures for row in found.rows)
    assert fine
    assert coarse
    for metric in ("ssim_u", "ssim_v", "vmaf"):
        levels = fine.level(metric), coarse.level(metric)
        assert levels[0] is not None
        assert levels[1] is not None
        assert levels[0] > levels[1]
    assert fine.more
    assert "vmaf_v0.6.1" in fine.more.measured_by
    assert [row.figures and row.figures.more for row in without.rows] == [None, None]
    with pytest.raises(VrcnnError, match=r"MS-SSIM needs pictures of at least 176x176 samples; .* has 80x64"):
        plan_of(clip, metrics=("ms_ssim",))
    with pytest.raises(VrcnnError, match="unknown metric 'mos'; there are ssim, ms_ssim, vmaf"):
        plan_of(clip, metrics=("mos",))


def test_logs_crops_and_streams_are_kept(clip: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "results")
    found = cluster.evaluate(replace(plan_of(clip, qps=(22, 37)), keep_streams=True), store)
    from PIL import Image

    for row in as_json(found.rows):
        assert f"qp={row['qp']}" in (store.folder / f"logs/{row['key']}.log").read_text()
        stream = (store.folder / f"streams/{row['key']}.hevc").read_bytes()
        recon = list(decoder.decode(stream, cropping=True))
        crop = row["crop"]
        assert (crop["picture"], crop["width"], crop["height"], crop["units"], crop["chroma_format"]) == (1, 80, 64, None, "420")
        shown = np.asarray(Image.open(store.folder / crop["file"]))
        assert np.array_equal(np.asarray(Image.open(store.folder / crop["original"])), below_each_other(moving()[1]))
        assert np.array_equal(shown, below_each_other(recon[1])) == (row["variant"] != "integer")
    assert str(tmp_path) not in json.dumps(as_json(found.rows))
    cluster.evaluate(plan_of(clip, qps=(22, 37)), Store(tmp_path / "none kept"))
    assert not (tmp_path / "none kept/streams").exists()


def test_equal_sequences_are_coded_once_and_unreadable_ones_are_told_apart(clip: Path, tmp_path: Path) -> None:
    twin = clip.with_name("twin.y4m")
    shutil.copy(clip, twin)
    gone, lost = clip.with_name("gone.y4m"), clip.with_name("lost.y4m")
    for path in (gone, lost):
        shutil.copy(clip, path)
    plan = plan_of(clip, twin, gone, lost, qps=(32,))
    gone.unlink()
    lost.write_bytes(clip.read_bytes()[:-7])
    events: list[Any] = []
    rows = as_json(cluster.evaluate(plan, Store(tmp_path / "results"), listen=events.append).rows)
    assert [row["sequence"] for row in rows] == [name for name in ("cat", "twin", "gone", "lost") for _ in range(3)]
    assert [event["event"] for event in events].count("done") == 3
    assert [row["stream_md5"] for row in rows[:3]] == [row["stream_md5"] for row in rows[3:6]]
    assert all(row["flag"] is None for row in rows[:6])
    assert all("gone.y4m" in row["flag"] for row in rows[6:9])
    assert all("lost.y4m" in row["flag"] for row in rows[9:])
    assert str(clip.parent) not in json.dumps(rows)


def test_a_truncated_sequence_is_not_saved_by_what_was_done_of_it_before(clip: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "results")
    assert [row.flag for row in cluster.evaluate(plan_of(clip, qps=(32,)), store).rows] == [None] * 3
    found = cluster.evaluate(plan_of(clip, qps=(32,), frames=3), store)
    assert [row.flag for row in found.rows] == ["the sequence ends after 2 of 3 pictures"] * 3
    assert found.timing["jobs"] == {"done": 0, "failed": 3, "cached": 0}


def test_a_stream_that_failed_is_not_coded_again_for_the_next_variant(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def broken(*_: Any, **named: Any) -> None:
        calls.append(named["filters"])
        raise CodecError("it failed")

    monkeypatch.setattr("codec_bridge.codecs.pyav.encode", broken)
    rows = as_json(cluster.evaluate(plan_of(clip, qps=(32,)), Store(tmp_path / "results")).rows)
    assert [row["flag"] for row in rows] == ["it failed"] * 3
    assert sorted(calls) == [False, True]


def test_two_runs_do_not_share_a_folder(clip: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "results")
    with store.locked(), pytest.raises(VrcnnError, match="another run works on"):
        cluster.evaluate(plan_of(clip), store)
    (tmp_path / "file").write_text("")
    with pytest.raises(VrcnnError, match="cannot write into"), Store(tmp_path / "file").locked():
        pass


# ---- gates ----


def test_no_gate_lets_a_wrong_stream_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted faults: each is a flagged row that says why, none is a number, and the other sequence has all of its figures."""
    clips = [tmp_path / name for name in ("sound.y4m", "short.y4m")]
    write_y4m(clips[0], moving(3), 25)
    write_y4m(clips[1], moving(2), 25)
    planted = {
        "off 22": "wrong reconstruction",
        "off 27": "encoder fails",
        "off 32": "decoder loses a picture",
        "off 37": "decoder finds a wrong hash",
        "off 40": "decoder is killed",
        "off 42": "picture missing in the reconstruction",
    }
    monkeypatch.setenv(stub_tools.FAULTS, json.dumps(planted))
    tools = stub_tools.install(tmp_path / "hm")
    plan = plan_of(*clips, codec="hm", folders={"hm": tools}, variants=("anchor", "none"), qps=(22, 27, 32, 37, 40, 42), frames=3)
    store = Store(tmp_path / "results")
    found = cluster.evaluate(plan, store)
    rows = {(row["sequence"], row["variant"], row["qp"]): row for row in as_json(found.rows)}
    said = {
        22: "picture 2: encoder and decoder differ in plane Y at sample (7, 5)",
        27: "HM's encoder failed (exit code 3): it cannot be: no memory",
        32: "3 pictures coded, 2 decoded, 2 hashes verified",
        37: "the decoder finds 1 of 3 picture hashes missing or wrong: POC 0 (ERROR)",
        40: "HM's decoder failed (signal 9)",
        42: "its reconstruction 2",
    }
    for qp, text in said.items():
        assert text in rows["sound", "none", qp]["flag"]
        assert rows["sound", "anchor", qp]["flag"] is None
        assert rows["sound", "anchor", qp]["psnr_y"] > 20
        for variant in ("anchor", "none"):
            assert rows["short", variant, qp]["flag"] == "the sequence ends after 2 of 3 pictures"
    measured = ("bits", "kbps", "psnr_y", "psnr_u", "psnr_v", "psnr_yuv", "ssim_y", "encode_seconds", "stream_md5")
    for row in as_json(found.rows):
        assert (row["flag"] is None) == all(row[key] is not None for key in measured)
        assert (row["flag"] is not None) == all(row[key] is None for key in measured)
    summary = summary_of(as_json(found.rows))
    for entry in summary["sequences"]:
        comparison = entry["variants"]["none"]
        assert all(value is None for values in comparison["methods"].values() for value in values.values())
        assert comparison["error"]
    assert summary["means"][0]["variants"]["none"]["unflagged"] is None
    assert len(summary["flags"]) == 6 + 12
    assert str(Flag(**summary["flags"][0])).startswith("sound, hm ai, none, QP 22: picture 2")
    # The log of a failure has the command and what the program said.
    log = (store.folder / f"logs/{rows['sound', 'none', 27]['key']}.log").read_text()
    assert "TAppEncoderStatic" in log
    assert "it cannot be: no memory" in log
    assert log.rstrip().splitlines()[-1].startswith("failed: HM's encoder failed")
    # Failures are not results: the next run tries again, and only them.
    monkeypatch.delenv(stub_tools.FAULTS)
    assert found.timing["jobs"] == {"cached": 0, "failed": 18, "done": 6}
    assert cluster.evaluate(plan, store).timing["jobs"] == {"cached": 6, "failed": 12, "done": 6}


def test_curves_without_overlap_are_flagged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = tmp_path / "clip.y4m"
    write_y4m(clip, moving(1), 25)
    qps = (5, 7, 9, 11)
    monkeypatch.setenv(stub_tools.FAULTS, json.dumps({f"off {qp}": "coarse" for qp in qps}))
    plan = plan_of(clip, codec="hm", folders={"hm": stub_tools.install(tmp_path / "hm")}, variants=("anchor", "none"), qps=qps)
    rows = as_json(cluster.evaluate(plan, Store(tmp_path / "results")).rows)
    assert [row["flag"] for row in rows] == [None] * 8
    summary = summary_of(rows)
    assert [flag["severity"] for flag in summary["flags"]].count("error") == 1
    assert "no PSNR in common" in summary["flags"][0]["text"]
    assert summary["sequences"][0]["variants"]["none"]["bd_rate_y"] is None
    assert summary["means"][0]["variants"]["none"]["bd_rate_y"] is None


def test_the_command_line_ends_with_an_error_that_names_them(tmp_path: Path) -> None:
    """All else is done and written."""
    clips = tmp_path / "clips"
    clips.mkdir()
    write_y4m(clips / "long.y4m", moving(2), 25)
    write_y4m(clips / "short.y4m", moving(1), 25)
    arguments = ["bdrate", "--sequences", clips, "--frames", 2, "--json", tmp_path / "r.json", "--csv", tmp_path / "r.csv"]
    done = command(*arguments)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "error: 12 results are missing: short, x265 ai, anchor, QP 22: the sequence ends after 1 of 2 pictures (more above)"
    ]
    assert "error: short, x265 ai, integer, QP 37: the sequence ends after 1 of 2 pictures" in done.stdout
    document = json.loads((tmp_path / "r.json").read_text())
    assert document["means"][0]["variants"]["integer"]["bd_rate_y"] is None
    assert document["means"][0]["variants"]["integer"]["unflagged"]["sequences"] == 1
    assert document["means"][0]["variants"]["integer"]["unflagged"]["bd_rate_y"] < 0
    assert len((tmp_path / "r.csv").read_text().splitlines()) == 25


# ---- interruptions ----


def start(*words: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "codec_bridge.cli", *map(str, words)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # What a shell starts in the background ignores SIGINT, and so would its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def command(*words: object) -> subprocess.CompletedProcess[str]:
    process = start(*words)
    out, errors = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, out, errors)


def events_until(process: subprocess.Popen[str], kind: str, count: int) -> list[dict[str, Any]]:
    """The events of a running evaluation up to so many of a kind."""
    assert process.stdout
    found: list[dict[str, Any]] = []
    for line in process.stdout:
        found.append(json.loads(line))
        if sum(event["event"] == kind for event in found) == count:
            return found
    raise AssertionError(f"the evaluation ended early: {process.communicate()}")


def test_killed_twice_and_resumed(tmp_path: Path) -> None:
    """SIGINT, then SIGKILL, then to the end: the same numbers as without, and no job is done twice."""
    clips = tmp_path / "clips"
    clips.mkdir()
    for n in range(3):
        write_y4m(clips / f"clip{n}.y4m", moving(2, 192 + 16 * n, 160), 25)
    arguments = ["bdrate", "--sequences", clips, "--results", tmp_path / "results", "--workers", 1, "--json-lines"]
    done: list[str] = []
    for number, way in ((4, signal.SIGINT), (5, signal.SIGKILL)):
        process = start(*arguments)
        events = events_until(process, "done", number)
        process.send_signal(way)
        rest, errors = process.communicate(timeout=60)
        events += [json.loads(line) for line in rest.splitlines() if line.endswith("}")]
        assert process.returncode == (130 if way == signal.SIGINT else -way)
        if way == signal.SIGINT:
            assert "results are kept in" in errors
            assert errors.strip().endswith("interrupted")
        assert {event["key"] for event in events if event["event"] == "cached"} >= set(done)
        done += [event["key"] for event in events if event["event"] == "done"]
    kept = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "results/jobs").glob("[0-9a-f]*.json")}
    assert 9 <= len(done) <= len(kept) < 36
    last = command(*arguments, "--json", tmp_path / "resumed.json")
    assert last.returncode == 0, last.stderr
    finished = [json.loads(line) for line in last.stdout.splitlines()]
    done += [event["key"] for event in finished if event["event"] == "done"]
    assert len(done) == len(set(done)), "nothing twice"
    assert finished[-1]["event"] == "summary"
    counts = finished[-1]["timing"]["jobs"]
    assert counts["cached"] == len(kept)
    assert counts["done"] == 36 - len(kept)
    for name, time in kept.items():
        assert (tmp_path / "results/jobs" / name).stat().st_mtime_ns == time
    assert command(*arguments[:3], "--json", tmp_path / "whole.json").returncode == 0
    resumed, whole = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("resumed", "whole"))
    assert figures(resumed["rows"]) == figures(whole["rows"])
    for part in ("sequences", "classes", "means"):
        for entry, other in zip(resumed[part], whole[part], strict=True):
            for variant, result in entry["variants"].items():
                assert result["methods"] == other["variants"][variant]["methods"] if part == "sequences" else True
                assert result["bd_rate_y"] == other["variants"][variant]["bd_rate_y"]


def test_dry_run_lists_the_jobs(clip: Path, tmp_path: Path) -> None:
    arguments = ["bdrate", "--sequences", clip, "--results", tmp_path / "results", "--dry-run"]
    before = command(*arguments)
    assert before.returncode == 0, before.stderr
    assert "12 jobs, 0 of them done; 12 need 8 streams" in before.stdout
    cluster.evaluate(Plan(tuple(resolve(clip)), (Settings(qps=(22, 27)),)), Store(tmp_path / "results"))
    after = command(*arguments)
    assert "12 jobs, 6 of them done; 6 need 4 streams" in after.stdout
    key = next((tmp_path / "results/jobs").glob("*.json")).stem
    assert any(line.startswith(f"{key[:16]}  cat, x265 ai, QP ") and line.endswith(": done") for line in after.stdout.splitlines())


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("cannot read /home/me/clips/a.y4m: it ends", "cannot read a.y4m: it ends"),
        ("[Errno 2] No such file: '/x/y.yuv'", "[Errno 2] No such file: 'y.yuv'"),
        ("see https://example.org/a/b.html", "see https://example.org/a/b.html"),
        ("30000/1001 pictures a second, 5 kbit/s, a/b/c", "30000/1001 pictures a second, 5 kbit/s, a/b/c"),
    ],
)
def test_flags_name_no_folders(text: str, left: str) -> None:
    assert without_paths(text) == left
