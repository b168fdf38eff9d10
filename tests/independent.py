"""An implementation of c/SPECIFICATION.md of its own: Python's integers, written from that text, nothing of the project imported. Slow."""

import hashlib
import struct
from collections import namedtuple
from operator import mul
from typing import Any

Plane = list[list[int]]


class Refused(Exception):
    """The argument is the error's name: sections 4.1 and 6.5."""


Branch = namedtuple("Branch", "k s1 m bias weight")  # bias[output channel], weight[output channel][input channel, row, column]
Network = namedtuple("Network", "nominal_qp position kind size_class heads layers added")  # layers: lists of branches; added: by layer


def need(condition: bool, error: str) -> None:
    if not condition:
        raise Refused(error)


def read_model(data: bytes) -> list[Network]:
    """Section 4."""
    need(data[:8] == b"VRCNNINT"[: len(data)], "NOT_A_MODEL")
    need(len(data) >= 16, "TRUNCATED")
    version, count, size = struct.unpack_from("<HHI", data, 8)
    need(version in (1, 2), "VERSION")
    need(len(data) >= size, "TRUNCATED")
    need(len(data) == size >= 48, "SIZE")
    need(hashlib.sha256(data[:-32]).digest() == data[-32:], "CHECKSUM")
    need(1 <= count <= 32, "LIMIT")
    at, networks = 16, list[Network]()

    def take(layout: str) -> tuple[int, ...]:
        nonlocal at
        at += struct.calcsize("<" + layout)
        need(at <= size - 32, "SIZE")
        return struct.unpack_from("<" + layout, data, at - struct.calcsize("<" + layout))

    for _ in range(count):
        qp, position, layers, *more = take("bBBB" if version == 1 else "bBBBBBH")
        kind, size_class, heads, zero = more if version == 2 else [0, 1, 1, *more]
        need(-12 <= qp <= 51 and position <= 1 and 2 <= layers <= 32 and kind <= 1 and size_class <= 1 and zero == 0, "LIMIT")
        need(1 <= heads <= 1 + kind, "LIMIT")
        networks.append(Network(qp, position, kind, size_class, heads, [], []))
        channels = [6 if kind else 1]
        for number in range(layers):
            branches, added = take("BB") if version == 2 else (*take("B"), 0)
            final = ([[1], [4 * heads, 2 * heads]][kind]) if number == layers - 1 else []
            need(added <= (0 if final else min(number, 4)), "LIMIT")
            need(branches == len(final) if final else 1 <= branches <= (1 if added else 4), "LIMIT")
            layer = list[Branch]()
            for j in range(branches):
                kernels = [layer[0].k] if final and j else [1, 3, 5]
                layer.append(read_branch(take, channels[-1], 0 if number else -128, kernels, final[j : j + 1]))
            channels.append(sum(len(branch.bias) for branch in layer))
            need(channels[-1] <= 256 and (not added or channels[-1] == channels[-1 - added]), "LIMIT")
            networks[-1].layers.append(layer)
            networks[-1].added.append(added)
    need(at == size - 32, "SIZE")
    need(version == 1 or any(n.kind or n.size_class == 0 or any(n.added) for n in networks), "LIMIT")
    return networks


def read_branch(take: Any, inputs: int, a: int, kernels: list[int], final: list[int]) -> Branch:
    """a: the least input (section 3); kernels: sizes that it may have; final: the channels that it must have, in the last layer."""
    k, s1, m, outputs, zero = take("BBHHH")
    need(k in kernels and zero == 0, "LIMIT")
    hidden = s1 <= 15 and 1 <= m <= 32767 and outputs in range(16, 257, 16)
    need(2 <= s1 <= 15 and 512 <= m <= 1023 and [outputs] == final if final else hidden, "LIMIT")
    taps = inputs * k * k
    values = take(f"{outputs}i{outputs * taps}b")
    branch = Branch(k, s1, m, values[:outputs], [values[outputs + o * taps : outputs + (o + 1) * taps] for o in range(outputs)])
    for bias, weight in zip(branch.bias, branch.weight, strict=True):
        need(min(weight) >= -127, "LIMIT")
        low, high = (bias + sum(best(w * a, w * 127) for w in weight) for best in (min, max))
        need(low >= -(2**31) and high + ((1 << s1) >> 1) <= 2**31 - 1, "OVERFLOW")
    return branch


def choose(networks: list[Network], position: int, qp: int, kind: int = 0, size: int = 1) -> int:
    """Section 5."""
    found = [(abs(n.nominal_qp - qp), i, n.size_class) for i, n in enumerate(networks) if (n.position, n.kind) == (position, kind)]
    return min([one for one in found if one[2] == size] or found)[1]


def accumulators(branch: Branch, values: list[Plane]) -> list[Plane]:
    """acc of section 2: [output channel][row][column]."""
    height, width, k, p = len(values[0]), len(values[0][0]), branch.k, (branch.k - 1) // 2
    outside = [[0] * (width + 2 * p)] * p
    padded = [outside + [[0] * p + row + [0] * p for row in plane] + outside for plane in values]
    acc: list[Plane] = [[[] for _ in range(height)] for _ in branch.bias]
    for y in range(height):
        for x in range(width):
            window = [value for plane in padded for row in plane[y : y + k] for value in row[x : x + k]]
            for o, weight in enumerate(branch.weight):
                acc[o][y].append(branch.bias[o] + sum(map(mul, weight, window)))
    return acc


def shifted(acc: int, shift: int) -> int:
    return min(max((acc + ((1 << shift) >> 1)) >> shift, -32768), 32767)


def reads_chroma(network: Network, depths: list[int], chroma_format: int) -> bool:
    return network.kind == 1 and chroma_format == 420 and (8 <= depths[1] <= 10 or depths == [12, 12])


def first_input(network: Network, planes: list[Plane], depths: list[int], chroma_format: int) -> list[Plane]:
    """The input of the first layer: [channel][row][column]."""

    def x(plane: int, row: int, column: int) -> int:
        s, depth = planes[plane], depths[plane > 0]
        if row >= len(s) or column >= len(s[0]):
            return 0
        return (s[row][column] if depth == 8 else min(255, (s[row][column] + (1 << (depth - 9))) >> (depth - 8))) - 128

    height, width = len(planes[0]), len(planes[0][0])
    if network.kind == 0:
        return [[[x(0, row, column) for column in range(width)] for row in range(height)]]
    across, down, chroma = range((width + 1) // 2), range((height + 1) // 2), reads_chroma(network, depths, chroma_format)
    luma = [[[x(0, 2 * row + dy, 2 * column + dx) for column in across] for row in down] for dy in (0, 1) for dx in (0, 1)]
    return luma + [[[x(plane, row, column) if chroma else 0 for column in across] for row in down] for plane in (1, 2)]


def hidden_layers(network: Network, values: list[Plane]) -> list[list[Plane]]:
    """v of every hidden layer, from the input of the first: [layer][channel][row][column]."""
    outputs: list[list[Plane]] = []
    for layer, added in zip(network.layers[:-1], network.added, strict=False):
        v: list[Plane] = []
        for b, plane in [(branch, plane) for branch in layer for plane in accumulators(branch, values)]:
            a = outputs[-added][len(v)] if added else [[0] * len(row) for row in plane]
            v.append(
                [
                    [min(max(((shifted(z, b.s1) * b.m + 16384) >> 15) + n, 0), 127) for z, n in zip(*rows, strict=True)]
                    for rows in zip(plane, a, strict=True)
                ]
            )
        outputs.append(v)
        values = v
    return outputs


def residuals(branch: Branch, values: list[Plane], depth: int, c: list[int]) -> list[Plane]:
    """r of the last layer, for each output channel of a head."""
    q, n, height, width = branch.s1 - (depth - 8), len(branch.bias) // len(c), range(len(values[0])), range(len(values[0][0]))
    t = [[[shifted(z, q) for z in row] for row in plane] for plane in accumulators(branch, values)]

    def r(i: int, y: int, x: int) -> int:
        return (sum(t[h * n + i][y][x] * ((branch.m * weight) >> 3) for h, weight in enumerate(c)) + 16384) >> 15

    return [[[r(i, y, x) for x in width] for y in height] for i in range(n)]


def filter_planes(network: Network, planes: list[Plane], depths: list[int], chroma_format: int, *c: list[int]) -> list[Plane]:
    """c: c_h of luma, c_h of chroma."""
    values = hidden_layers(network, first_input(network, planes, depths, chroma_format))[-1]
    r, step = residuals(network.layers[-1][0], values, depths[0], c[0]), 1 + network.kind
    size = [range(len(planes[0])), range(len(planes[0][0]))]
    found = [[[r[step * (y % step) + x % step][y // step][x // step] for x in size[1]] for y in size[0]]]
    if reads_chroma(network, depths, chroma_format):
        found += residuals(network.layers[-1][1], values, depths[1], c[1])
    out = list(planes)
    for n, r_plane in enumerate(found):
        top = (1 << depths[n > 0]) - 1
        out[n] = [[min(max(a + b, 0), top) for a, b in zip(*rows, strict=True)] for rows in zip(planes[n], r_plane, strict=True)]
    return out


def filter_picture(network: Network, s: Plane, depth: int, c: int) -> Plane:
    """The luma plane alone."""
    return filter_planes(network, [s], [depth], 400, [c])[0]


class Bits:
    def __init__(self, data: bytes) -> None:
        self.bits, self.at = "".join(f"{byte:08b}" for byte in data), 0

    def u(self, n: int, ahead: bool = False) -> int:
        need(ahead or self.at + n <= len(self.bits), "TRUNCATED")
        self.at += n
        return int(self.bits[self.at - n : self.at].ljust(n, "0"), 2)


def read_sideinfo(data: bytes, irap: bool, width: int, height: int, version: int = 1) -> dict[str, Any]:
    """Section 6: the syntax elements that are there, by name; UnitSize and unit_choice (a list) of maps.

    Of version 2 also heads and weights: lists of numbers and of lists, by filter. version: SideInfoVersion of other pictures than irap.
    """
    bits, info = Bits(data), dict[str, Any]()
    if irap:
        need(data[:2] == b"\x56\x4e", "FOREIGN")
        bits.at = 16
        version = bits.u(8)
        need(version in (1, 2), "VERSION")
        info["model_set_identity"] = bits.u(32 if version == 1 else 24)
    need(len(data) <= 256, "SYNTAX")
    if version == 1:
        luma_filters(bits, info, width, height)
    elif bits.at < 8 * len(data):
        plane_filters(bits, info, width, height)
    else:
        info |= {"luma_mode": 0, "chroma_mode": 0}
    while bits.at % 8:
        need(bits.u(1) == 0, "SYNTAX")
    need(bits.at == len(bits.bits), "SYNTAX")
    return info


def luma_filters(bits: Bits, info: dict[str, Any], width: int, height: int) -> None:
    mode = info["filter_mode"] = bits.u(2)
    info["filter_position"] = bits.u(1)
    need(mode != 3 and (mode != 0 or info["filter_position"] == 0), "SYNTAX")
    if mode:
        networks = info["network_index"] = list[int]()
        count = bits.u(2) + 1 if mode == 2 else 1
        need(count <= 3, "SYNTAX")
        for _ in range(count):
            networks.append(bits.u(5))
            need(len(set(networks)) == len(networks), "SYNTAX")
        info["output_scale"] = bits.u(4)
        need(1 <= info["output_scale"] <= 10, "SYNTAX")
    if mode == 2:
        info["UnitSize"], info["unit_choice"] = unit_map(bits, count, width, height, False)


def plane_filters(bits: Bits, info: dict[str, Any], width: int, height: int) -> None:
    luma = info["luma_mode"] = bits.u(2)
    need(luma != 3, "SYNTAX")
    chroma = info["chroma_mode"] = bits.u(2)
    need((chroma != 3 or luma == 2) and luma + chroma > 0, "SYNTAX")
    info["filter_position"] = bits.u(1)
    count = bits.u(2) + 1 if 2 in (luma, chroma) else 1
    need(count <= 3, "SYNTAX")
    filters = list[tuple[Any, ...]]()
    for _ in range(count):
        index, heads, trained = bits.u(5), bits.u(1) + 1, bits.u(1)
        weights = list[list[int] | None]()
        for mode in (luma, chroma):
            weights.append([8] * heads if mode else None)
            for head in range(heads if mode and not trained else 0):
                weights[-1][head] = bits.u(4) - 5  # type: ignore[index]
                need(heads == 2 or weights[-1][0] >= 1, "SYNTAX")  # type: ignore[index]
        need((index, *weights) not in filters, "SYNTAX")
        filters.append((index, *weights))
    info["network_index"] = [index for index, *_ in filters]
    info["heads"] = [len(a or b) for _, a, b in filters]
    for place, mode, name in ((1, luma, "luma_weights"), (2, chroma, "chroma_weights")):
        if mode:
            info[name] = [one[place] for one in filters]
    if luma == 2:
        info["luma_UnitSize"], info["luma_unit_choice"] = unit_map(bits, count, width, height, chroma == 2)
    if chroma == 2:
        info["chroma_UnitSize"], info["chroma_unit_choice"] = unit_map(bits, count, width, height, False)


def unit_map(bits: Bits, count: int, width: int, height: int, followed: bool) -> tuple[int, list[int]]:
    size = 64 << bits.u(2)
    across = -(-width // size)
    choices = [0] * (across * -(-height // size))
    if bits.u(1):
        for unit in range(len(choices)):
            choices[unit] = bits.u(1 if count == 1 else 2)
            need(choices[unit] <= count, "SYNTAX")
    else:
        coded_map(bits, count, across, choices, followed)
    need(any(choices), "SYNTAX")
    return size, choices


def coded_map(bits: Bits, networks: int, across: int, choices: list[int], followed: bool) -> None:
    """Section 6.4: fills choices."""
    span, value = 65536, bits.u(16, ahead=True)
    ctx = [[[3, 1], [1, 3], [1, 5]], [[3, 1], [2, 2], [1, 3]], [[3, 1], [2, 2], [1, 3]]]
    for unit in range(len(choices)):
        around = ([choices[unit - 1]] if unit % across else []) + ([choices[unit - across]] if unit >= across else [])
        k, found = 0, 1
        while k < networks and found:
            votes = sum((a > k) - (a == k) for a in around)
            n = ctx[k][1 + (votes > 0) - (votes < 0)]
            zero = span * n[0] // (n[0] + n[1])
            found = int(value >= zero)
            span, value = (span - zero, value - zero) if found else (zero, value)
            n[found] += 2
            if n[0] + n[1] > 256:
                n[:] = [(n[0] + 1) // 2, (n[1] + 1) // 2]
            while span < 32768:
                span, value = 2 * span, 2 * value + bits.u(1, ahead=True)
            k += found
        choices[unit] = k
    bits.at -= 14 if followed else 15
    need(bits.at <= len(bits.bits), "TRUNCATED")


def decoded(info: dict[str, Any], networks: list[Network], depth: int, rec: Plane, deblocked: Plane, sao: Plane, kept: Plane) -> Plane:
    """Section 8. kept: 1 where a sample belongs to a block, lossless or PCM, that keeps its samples."""
    if info["filter_mode"] == 0:
        return sao
    source, other = (sao, sao) if info["filter_position"] else (rec, deblocked)
    planes = [other, *(filter_picture(networks[n], source, depth, info["output_scale"]) for n in info["network_index"])]
    size, choice = info.get("UnitSize", 16384), info.get("unit_choice", [1])
    across = -(-len(rec[0]) // size)
    unit = [[choice[y // size * across + x // size] for x in range(len(row))] for y, row in enumerate(rec)]
    return [[z if kept[y][x] else planes[unit[y][x]][y][x] for x, z in enumerate(row)] for y, row in enumerate(rec)]


def decoded_planes(
    info: dict[str, Any],
    networks: list[Network],
    depths: list[int],
    chroma_format: int,
    rec: list[Plane],
    deblocked: list[Plane],
    sao: list[Plane],
    kept: list[Plane],
) -> list[Plane]:
    """Section 8, of version 2. kept, for each plane: 1 where a sample belongs to a block, lossless or PCM, that keeps its samples."""
    modes = [info["luma_mode"], info["chroma_mode"], info["chroma_mode"]][: len(rec)]
    if not any(modes):
        return sao
    source, other = (sao, sao) if info["filter_position"] else (rec, deblocked)
    results = [other]
    for n, index in enumerate(info["network_index"]):
        heads = networks[index].heads
        weights = [info[name][n] if name in info else [8] * heads for name in ("luma_weights", "chroma_weights")]
        results.append(filter_planes(networks[index], source, depths, chroma_format, *weights))
    out = list[Plane]()
    for number, mode in enumerate(modes):
        name, step = ("chroma", 2) if number and mode != 3 else ("luma", 2 if number else 1)
        size, choice = (info[f"{name}_UnitSize"], info[f"{name}_unit_choice"]) if mode > 1 else (16384, [1])
        across = -(-len(rec[0][0]) // size)
        out.append(
            [
                [
                    sample
                    if mode == 0
                    else rec[number][y][x]
                    if kept[number][y][x]
                    else results[choice[step * y // size * across + step * x // size]][number][y][x]
                    for x, sample in enumerate(row)
                ]
                for y, row in enumerate(sao[number])
            ]
        )
    return out
