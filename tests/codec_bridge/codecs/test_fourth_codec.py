"""A new codec is one class and one entry: a codec that copies samples, added here, is evaluated like the others."""

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from codec_bridge import codecs
from codec_bridge.cli.commands import app
from codec_bridge.codecs.base import Codec, Coded, Decoded, Loop, Request
from codec_bridge.codecs.gates import compare_coded
from codec_bridge.codecs.programs import Programs
from codec_bridge.video.files import write_y4m
from codec_bridge.video.picture import Picture
from tests.codec_bridge.evaluation.test_jobs import moving


class RawCopy(Codec):
    """Samples, quantized by QP, as they are; without the filters in the loop, a sixteenth of the samples is lost."""

    name = "raw"
    origin = "this file"
    inside = False
    variants = ("anchor", "none", "integer")
    default_variants = ("anchor", "none", "integer")
    configurations = ("ai",)
    cropped = False

    def check(self, configuration: str) -> None:
        """There is nothing to look for."""

    def programs(self, request: Request) -> Programs:
        """None."""
        return Programs("raw 1", {})

    def loop_options(self, loop: Loop) -> tuple[str, ...]:
        """One word."""
        return () if loop.deblocking else ("lossy",)

    def arguments(self, request: Request) -> list[str]:
        """All that determines the samples."""
        return ["step", str(self.step(request)), *self.loop_options(request.loop)]

    def code(self, request: Request, pictures: Iterable[Picture]) -> Coded:
        """Write every plane as bytes, after each the next."""
        recon = [self.quantized(picture, request) for picture in pictures]
        data = b"".join(plane.tobytes() for picture in recon for plane in picture.planes)
        bits = 8 * len(data) // self.step(request)
        return Coded(data, bits, len(recon), "raw 1", " ".join(self.arguments(request)), 0.25, recon=recon)

    def decode(self, request: Request, coded: Coded) -> Decoded:
        """Read them again."""
        samples, pictures, at = np.frombuffer(coded.data, np.uint8), [], 0
        for like in coded.recon:
            planes = []
            for plane in like.planes:
                planes.append(samples[at : at + plane.size].reshape(plane.shape))
                at += plane.size
            pictures.append(Picture(tuple(planes), like.bit_depth, like.chroma_format))
        compare_coded(coded.recon, pictures, [(number, "OK") for number in range(len(pictures))])
        return Decoded(list(pictures), 0.5)

    def lagrangian(self, qp: int, bit_depth: int) -> float:
        """Of no use without decisions."""
        return 1.0

    @staticmethod
    def step(request: Request) -> int:
        """Doubles every six QPs, as in HEVC."""
        return round(2 ** (request.qp / 6)) // 2

    def quantized(self, picture: Picture, request: Request) -> Picture:
        """What a decoder shall have."""
        step = self.step(request)
        planes = [np.clip(plane // step * step + step // 2, 0, 255).astype(np.uint8) for plane in picture.planes]
        if not request.loop.deblocking:
            for plane in planes:
                plane[::4, ::4] = 128
        return replace(picture, planes=tuple(planes))


@pytest.fixture
def clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setitem(codecs.CODECS, "raw", RawCopy)
    write_y4m(tmp_path / "cat.y4m", moving(2), 25)
    return tmp_path / "cat.y4m"


def run(*words: object) -> str:
    """In this process: no other one knows the codec."""
    result = CliRunner().invoke(app, [*map(str, words)])
    assert result.exit_code == 0, result.output + repr(result.exception)
    return result.output


def test_bdrate_evaluates_it(clip: Path, tmp_path: Path) -> None:
    """Every row has its figures, every curve its BD-rate; what is done is found done."""
    words = ("bdrate", "--sequences", clip, "--codec", "raw", "--results", tmp_path / "results", "--json", tmp_path / "r.json", "--check")
    output = run(*words, "--variants", "anchor,none", "--workers", 1)
    document = json.loads((tmp_path / "r.json").read_text())
    assert [row["flag"] for row in document["rows"]] == [None] * 8
    assert {(row["codec"], row["encoder"]) for row in document["rows"]} == {("raw", "raw 1")}
    assert document["provenance"]["programs"] == {"raw": {"encoder": "raw 1", "files": {}}}
    for (variant, qp), row in {(row["variant"], row["qp"]): row for row in document["rows"]}.items():
        assert row["command"] == f"step {round(2 ** (qp / 6)) // 2}" + (" lossy" if variant == "none" else "")
    comparison = document["sequences"][0]["variants"]["none"]
    assert comparison["error"] is None
    assert comparison["bd_rate_y"] > 0, "a lost sample costs"
    assert "8 jobs done" in output
    assert "8 done before" in run(*words, "--variants", "anchor,none", "--workers", 1)
    assert "unknown variant 'map'; raw has anchor, none, integer" in repr(
        CliRunner().invoke(app, ["bdrate", "--sequences", str(clip), "--codec", "raw", "--variants", "anchor,map"]).exception
    )


def test_networks_filter_what_it_decodes(clip: Path, tmp_path: Path) -> None:
    run("bdrate", "--sequences", clip, "--codec", "raw", "--json", tmp_path / "r.json", "--workers", 1)
    rows = {(row["variant"], row["qp"]): row for row in json.loads((tmp_path / "r.json").read_text())["rows"]}
    assert all(rows["integer", qp]["psnr_y"] > rows["none", qp]["psnr_y"] for qp in (22, 27, 32, 37))
    assert all(rows["integer", qp]["filtered_share"] == 1 for qp in (22, 27, 32, 37))


def test_a_plan_names_it(clip: Path, tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text('sequences = ["cat.y4m"]\ncodecs = ["raw", "x265"]\nqps = [22, 27, 32, 37]\n')
    assert "24 jobs, 0 of them done" in run("bdrate", "--plan", tmp_path / "plan.toml", "--dry-run")
