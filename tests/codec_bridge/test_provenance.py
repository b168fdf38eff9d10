"""What a result says of how it came to be."""

from codec_bridge.provenance import COMMAND_LINE, WORD, command_line


def test_command_lines() -> None:
    assert command_line([]) == []
    assert command_line(["/usr/bin/codec-bridge", "--out=/a/b.json", "--qp", "/x/22,/y/27"]) == [
        "codec-bridge",
        "--out=b.json",
        "--qp",
        "22,27",
    ]
    (word,) = command_line(["a" * WORD + "b" * 4000 + "end"])
    assert len(word) == WORD
    assert word.startswith("aaa")
    assert word.endswith("bbbend")
    for words in (["ab"] * 5000, ["x" * 150] * 40, ["y" * 10**6] * 12, [""] * 10**5):
        kept = command_line(["codec-bridge", *words])
        assert kept[0] == "codec-bridge"
        assert sum(map(len, kept)) <= COMMAND_LINE + 20
        assert kept[-1] == f"... ({len(words) + 2 - len(kept)} more)"
