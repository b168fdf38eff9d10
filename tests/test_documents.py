"""Documents: links lead somewhere, README stays short, the index is complete, and model sets are named as they are."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from codec_bridge.cli.commands import app as codec_bridge
from vrcnn_int.cli.commands import app as vrcnn_int
from vrcnn_int.integer import ModelSet
from vrcnn_int.models import builtin_path, set_names

ROOT = Path(__file__).parent.parent
LINK = re.compile(r"\]\(([^()\s#]*)(#[^()\s]*)?\)")
COLUMNS = 140


def documents() -> list[str]:
    """Every Markdown file outside what was built and fetched."""
    rooms = [path for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".") and path.name != "build"]
    files = [*ROOT.glob("*.md"), *(file for room in rooms for file in room.rglob("*.md"))]
    return sorted(file.relative_to(ROOT).as_posix() for file in files)


def prose(name: str) -> str:
    """A document without its blocks and spans of code."""
    text = re.sub(r"^(    |```).*$", "", (ROOT / name).read_text(encoding="utf-8"), flags=re.M)
    return re.sub(r"`[^`\n]*`", "", text)


def heading(line: str) -> str:
    """The anchor of a heading, as GitHub forms it."""
    return re.sub(r"[^\w\- ]", "", line.lstrip("#").strip().lower()).replace(" ", "-")


def broken(name: str) -> list[str]:
    """The relative links of a document that lead nowhere."""
    found = []
    for target, anchor in LINK.findall(prose(name)):
        if re.match(r"[a-z]+:", target):
            continue
        path = (ROOT / name).parent / target if target else ROOT / name
        lines = path.read_text(encoding="utf-8").splitlines() if anchor and path.is_file() else []
        if not path.exists() or (anchor and anchor[1:] not in {heading(line) for line in lines if line.startswith("#")}):
            found.append(target + anchor)
    return found


@pytest.mark.parametrize("name", documents())
def test_relative_links_lead_somewhere(name: str) -> None:
    assert not broken(name)


def test_a_link_that_leads_nowhere_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    (tmp_path / "other.md").write_text("# A heading: here\n")
    good = "[a](other.md), [b](other.md#a-heading-here), [c](https://example.org/x), `[d](code)`\n\n    [e](block)\n"
    (tmp_path / "page.md").write_text(good + "[f](missing.md) [g](other.md#none) ![h](missing.png)\n")
    assert broken("page.md") == ["missing.md", "other.md#none", "missing.png"]


def test_readme_has_at_most_90_lines() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert sum(max(1, -(-len(line) // COLUMNS)) for line in lines) <= 90


def test_the_index_names_every_document() -> None:
    linked = {((ROOT / "docs") / target).resolve() for target, _ in LINK.findall(prose("docs/README.md")) if ":" not in target}
    missing = [name for name in documents() if name != "docs/README.md" and (ROOT / name).resolve() not in linked]
    assert not missing


def test_results_name_the_shipped_sets() -> None:
    """When another set ships, its figures are measured again, or the pages say of which set they are."""
    said = (ROOT / "docs/RESULTS.md").read_text(encoding="utf-8").split("Today's sets are", 1)[1].split(";", 1)[0]
    for name in set_names():
        assert f"**{ModelSet.load(builtin_path(name)).identity[:16]}** (`{name}`" in said


@pytest.mark.parametrize(
    "path",
    ["README.md", "c/tools/options.c", "c/tools/vrcnn_filter.1", "codec_bridge/codecs/hm/README.md", "codec_bridge/codecs/x265/README.md"],
)
def test_lists_of_the_shipped_sets_are_whole(path: str) -> None:
    text = (ROOT / path).read_text(encoding="utf-8")
    assert [name for name in set_names() if name not in text] == []


PROVENANCE = ("set", "clips", "encoder", "command", "revision", "kMAC", "decoding")
"""What is said below a table of results."""


def unproven(text: str) -> list[str]:
    """Of each table but that of the clips, what the paragraph below it does not say: its first line, and the words."""
    wrong = []
    for table in re.finditer(r"^(?:\|.*\n)+", text, re.M):
        head, below = table[0].splitlines()[0], text[table.end() :].lstrip("\n").split("\n\n")[0]
        said = dict(part.split(": ", 1) for part in " ".join(below.split()).removeprefix("Provenance: ").split("; ") if ": " in part)
        lacking = [word for word in PROVENANCE if not said.get(word)] if below.startswith("Provenance: ") else ["Provenance"]
        if not re.search("[0-9a-f]{7}|in its column", said.get("revision", "")):
            lacking.append("a revision")
        if not head.startswith("| clip | pictures | public source") and lacking:
            wrong.append(f"{head}: {', '.join(lacking)}")
    return wrong


def test_every_table_of_results_says_how_it_came_to_be() -> None:
    text = (ROOT / "docs/RESULTS.md").read_text(encoding="utf-8")
    assert not unproven(text)
    below = next(line for line in text.splitlines() if line.startswith("Provenance: "))
    assert len(unproven(text.replace(below, "", 1))) == 1, "one that says nothing is seen"
    assert (
        "a revision"
        in unproven(text.replace("revision: ", "revision: none, ", 1).replace("724f24d", "").replace("8cc8365", "").replace("5b5f9c9", ""))[
            0
        ]
    )


def test_results_name_every_clip_with_its_md5() -> None:
    text = (ROOT / "docs/RESULTS.md").read_text(encoding="utf-8")
    clips = text.split("## Clips\n")[1].split("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in clips.splitlines() if line.startswith("| ")][1:]
    assert len(rows) == 10
    assert all(re.fullmatch("[0-9a-f]{32}", row[4]) and row[2] and row[3] for row in rows)
    by_clip = text.split("| clip, HM-18.0, all intra |")[1].split("| **mean**")[0]
    assert {line.split("|")[1].strip() for line in by_clip.splitlines()[2:] if line.startswith("| ")} == {row[0] for row in rows}


@pytest.mark.parametrize(("program", "app"), [("codec-bridge", codec_bridge), ("vrcnn-int", vrcnn_int)])
def test_manual_pages_have_every_command(program: str, app: Any) -> None:
    path = ROOT / f"docs/{program}.1"
    commands = path.read_text(encoding="ascii").replace("\\-", "-").split(".SH COMMANDS")[1].split(".SH OPTIONS")[0]
    assert re.findall(r"^\.B ([\w-]+)$", commands, re.M) == list(get_command(app).commands)  # type: ignore[attr-defined]
    if shutil.which("groff"):
        done = subprocess.run(["groff", "-man", "-ww", "-Tascii", "-z", path], capture_output=True)
        assert (done.returncode, done.stderr) == (0, b"")
