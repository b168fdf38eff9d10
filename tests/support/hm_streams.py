"""Streams for tests of what HM's adapter carries: built from bits, or with another extension in a slice header."""

from codec_bridge.bitstream import nal, slices


class BitWriter:
    """Writes u(n), ue(v) and se(v)."""

    def __init__(self) -> None:
        self.text = ""

    def u(self, value: int, bits: int) -> "BitWriter":
        self.text += f"{value:0{bits}b}" if bits else ""
        return self

    def ue(self, *values: int) -> "BitWriter":
        for value in values:
            text = f"{value + 1:b}"
            self.text += "0" * (len(text) - 1) + text
        return self

    def se(self, *values: int) -> "BitWriter":
        for value in values:
            self.ue(2 * value - 1 if value > 0 else -2 * value)
        return self

    def data(self) -> bytes:
        """With rbsp_trailing_bits or byte_alignment, which are the same."""
        text = self.text + "1"
        text += "0" * (-len(text) % 8)
        return int(text, 2).to_bytes(len(text) // 8, "big")


def escaped(rbsp: bytes) -> bytes:
    """With emulation prevention bytes."""
    out = bytearray()
    zeros = 0
    for byte in rbsp:
        if zeros >= 2 and byte <= 3:
            out.append(3)
            zeros = 0
        out.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return bytes(out)


def unit(kind: int, rbsp: bytes) -> bytes:
    """A NAL unit with its start code."""
    return b"\0\0\0\1" + bytes([kind << 1, 1]) + escaped(rbsp)


def with_extension(stream: bytes, picture: int, extension: bytes) -> bytes:
    """The stream with another slice header extension in the first slice segment of a picture, counted in decoding order."""
    found = slices.segments(stream)
    out = bytearray()
    number, pictures = -1, -1
    for part in nal.split(stream):
        data = part.data
        if part.type < 10 or 16 <= part.type <= 21:
            number += 1
            pictures += found[number].first_in_picture
            if pictures == picture and found[number].first_in_picture:
                old = found[number]
                text = "".join(f"{byte:08b}" for byte in part.rbsp)
                end = old.extension_at + old.extension_bits
                rest = part.rbsp[-(-(end + 1) // 8) :]  # after byte_alignment( )
                writer = BitWriter()
                writer.text = text[: old.extension_at]
                writer.ue(len(extension))
                for byte in extension:
                    writer.u(byte, 8)
                data = part.data[:2] + escaped(writer.data() + rest)
        out += b"\0\0\0\1" + data
    return bytes(out)
