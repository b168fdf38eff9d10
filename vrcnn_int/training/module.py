"""Networks as an ``nn.Module``: the three forms a network takes on its way to integers.

float: BReLU with fixed bounds. discretized: forward with round(W / delta) * delta, gradients to W (Eq. 14). bounded: deltas
and bounds frozen by a quantize.Plan, activations rounded to 7 bits. The input is (s - 128) / 255, the output a residual / 255.
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad, unfold

from vrcnn_int.integer.oracle import reads_chroma
from vrcnn_int.network import INPUTS, Architecture, FloatNetwork
from vrcnn_int.quantize.plan import Plan, layer_levels, make_plan
from vrcnn_int.quantize.rounding import round_together, second_moment
from vrcnn_int.requant import LEVELS
from vrcnn_int.sites import luma_of, to_sites
from vrcnn_int.training.brelu import BReLU


class DiscretizedConv(nn.Module):
    """Convolution whose forward weights can be discretized.

    ``step`` None: float weights. 0: delta follows max|W| / levels (Eq. 1). Above 0: that delta, frozen, and W held within
    +-levels delta. ``levels``: 127 for 8-bit weights. Weight [out, in, k, k]; gradients go to the undiscretized weight (straight through).
    """

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.kernel = kernel
        self.weight = nn.Parameter(torch.empty(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs))
        nn.init.kaiming_normal_(self.weight, nonlinearity="relu")
        self.step: float | None = None
        self.levels = LEVELS

    def forward_weight(self) -> Tensor:
        """The weights that the forward pass uses."""
        if self.step is None:
            return self.weight
        delta = self.weight.detach().abs().max() / self.levels if self.step == 0 else self.step
        steps = torch.floor(self.weight.detach() / delta + 0.5).clamp(-self.levels, self.levels)
        return self.weight + (steps * delta - self.weight.detach())

    def forward(self, x: Tensor) -> Tensor:
        return conv2d(x, self.forward_weight(), self.bias)


class Network(nn.Module):
    """A network of concatenated convolutions with BReLU between layers, of the kind luma or joint; forward: x [N, C, H, W] -> residual.

    Kind luma: x is (s - 128) / 255 of a plane, C = 1, and so is the residual / 255. Kind joint: rows and columns are those of sites, C = 6
    channels as in c/SPECIFICATION.md, section 2 (four luma samples, Cb, Cr), and the residual has them for each head, [N, 6 heads, H, W].
    A layer that adds an earlier one does so before its BReLU; as integers both must have one bound (see quantize.bounds.bounds_for).

    ``bounds``: one upper bound per hidden layer. With ``valid=True`` forward pads nothing and gives
    [N, C, H - 2 reach, W - 2 reach] (network.reach): training patches then see no false border. ``inside`` [N, 1, H, W]: 1 within the
    picture, 0 beyond its edges, where each layer reads 0.
    ``weight_limit``: where deltas are not frozen yet, the largest |W| of a branch as a multiple of their root mean square; 0: any.
    """

    def __init__(self, architecture: Architecture, bounds: Sequence[float], qp: int, position: str) -> None:
        super().__init__()
        self.qp, self.position = qp, position
        self.architecture = architecture
        self.plan: Plan | None = None
        self.weight_limit = 0.0
        inputs = INPUTS[architecture.kind]
        layers = []
        for layer in architecture.layers:
            layers.append(nn.ModuleList(DiscretizedConv(inputs, branch.channels, branch.kernel) for branch in layer))
            inputs = sum(branch.channels for branch in layer)
        self.layers = nn.ModuleList(layers)
        self.activations = nn.ModuleList(BReLU(bound) for bound in bounds)
        with torch.no_grad():
            for convolutions, back in zip(self.convolutions(), (*architecture.added[:-1], 1), strict=True):
                for conv in convolutions if back else ():
                    # The last layer starts near "no filter": the first steps cannot blow up; what is added to other values starts small
                    # beside them, or block by block they would grow into their bound, where nothing learns.
                    conv.weight.mul_(0.1)

    def forward(self, x: Tensor, valid: bool = False, inside: Tensor | None = None) -> Tensor:
        outputs: list[Tensor] = []
        *hidden, last = self.convolutions()
        for i, (layer, activation) in enumerate(zip(hidden, self.activations, strict=True)):
            found = _branches(layer, x, valid)
            x = found[0] if len(found) == 1 else torch.cat(found, 1)
            if back := self.architecture.added[i]:
                x = x + middle(outputs[i - back], x.shape[2:])
            x = activation(x)
            x = x if inside is None else x * middle(inside, x.shape[2:])
            outputs.append(x)
        return self.by_heads(_branches(last, x, valid))

    def by_heads(self, branches: Sequence[Tensor]) -> Tensor:
        """What the last layer's branches give, in one tensor or several, with the channels of each head together."""
        heads = self.architecture.heads
        if heads > 1 and len(branches) == 1:
            branches = [branches[0][:, : 4 * heads], branches[0][:, 4 * heads :]]
        return torch.cat([branch.reshape(len(branch), heads, -1, *branch.shape[2:]) for branch in branches], 2).flatten(1, 2)

    def convolutions(self) -> list[list[DiscretizedConv]]:
        """The convolutions by layer and branch."""
        return [[conv for conv in layer if isinstance(conv, DiscretizedConv)] for layer in self.layers if isinstance(layer, nn.ModuleList)]

    def discretize_weights(self, levels: int = LEVELS) -> None:
        """Second training stage: forward with weights discretized to +-levels (first and last layer: 127), delta follows max|W|."""
        for i, layer in enumerate(self.convolutions()):
            for conv in layer:
                conv.step, conv.levels = 0.0, layer_levels(levels, i, len(self.layers))

    def round_first_layer(self, inputs: Iterable[Tensor]) -> None:
        """Round the first layer's weights together, for inputs [N, C, H, W] as these (see rounding.py); delta stays max|W| / levels."""
        batches = list(inputs)
        for conv in self.convolutions()[0]:
            vectors = torch.cat([unfold(batch, conv.kernel).transpose(1, 2).flatten(0, 1) for batch in batches])
            moment = second_moment(vectors.cpu().numpy())
            with torch.no_grad():
                delta = float(conv.weight.abs().max()) / conv.levels
                rows = [round_together(row / delta, moment, conv.levels) for row in conv.weight.flatten(1).double().cpu().numpy()]
                conv.weight.copy_(torch.from_numpy(np.stack(rows) * delta).view_as(conv.weight))

    def round_first_activations(self) -> None:
        """Round the first layer's activations to 0..127 steps of its bound from here on."""
        self.activations[0].levels = LEVELS  # type: ignore[assignment]

    def round_layers(self, inputs: Iterable[Tensor]) -> None:
        """Round all weights of a network with frozen deltas, each layer's together, for inputs [N, C, H, W] as these.

        One layer after the other: each for the inputs that those before it, rounded, give it. Its bias takes over what rounding changes
        in the mean of its outputs, so that only the rest of the error counts.
        """
        batches = list(inputs)
        for layer in self.convolutions():
            for conv, vectors in zip(layer, self.read_by(layer, batches), strict=True):
                assert conv.step
                mean = vectors.mean(0)
                spread = second_moment(vectors - mean)
                exact = conv.weight.detach().flatten(1).double().cpu().numpy() / conv.step
                rounded = np.stack([round_together(row, spread, conv.levels) for row in exact])
                with torch.no_grad():
                    conv.weight.copy_(torch.from_numpy(rounded * conv.step).view_as(conv.weight))
                    conv.bias.sub_(torch.from_numpy((rounded - exact) @ mean * conv.step).to(conv.bias))

    def read_by(self, layer: Sequence[DiscretizedConv], batches: Sequence[Tensor], most: int = 16384) -> list[NDArray[np.float64]]:
        """What each branch of a layer reads for an output, [count, inputs * k * k], of about ``most`` outputs spread over the batches."""
        found: dict[nn.Module, list[Tensor]] = {conv: [] for conv in layer}

        def keep(conv: nn.Module, read: tuple[Tensor, ...]) -> None:
            found[conv].append(read[0])

        hooks = [conv.register_forward_pre_hook(keep) for conv in layer]
        with torch.no_grad():
            for batch in batches:
                self(batch, valid=True)
        for hook in hooks:
            hook.remove()
        vectors = []
        for conv in layer:
            outputs = sum(len(x) * (x.shape[2] - conv.kernel + 1) * (x.shape[3] - conv.kernel + 1) for x in found[conv])
            every = max(1, outputs // most) | 1  # odd, so as not to keep to one column of patches of an even width
            read = (unfold(x, conv.kernel).transpose(1, 2).flatten(0, 1)[::every] for x in found[conv])
            vectors.append(torch.cat(list(read)).double().cpu().numpy())
        return vectors

    def hold_first_layer(self) -> None:
        """Train the first layer's weights no further."""
        for conv in self.convolutions()[0]:
            conv.weight.requires_grad_(False)

    def quantize_bounds(self, plan: Plan | None = None) -> None:
        """Third training stage: freeze deltas and bounds by ``plan`` (made from the weights if None), round activations."""
        self.plan = plan or make_plan(self.export())
        for i, (layer, rescales) in enumerate(zip(self.convolutions(), self.plan.branches, strict=True)):
            for conv, rescale in zip(layer, rescales, strict=True):
                conv.step, conv.levels = float(rescale.delta), layer_levels(self.plan.weight_levels, i, len(self.layers))
        for activation, bound in zip(self.activations, self.plan.bounds, strict=True):
            assert isinstance(activation, BReLU)
            activation.bound, activation.levels = float(bound), self.plan.levels
        self.clamp_weights()

    def clamp_weights(self) -> None:
        """Keep W within +-levels delta once deltas are frozen, within the weight limit before; call after every optimizer step."""
        with torch.no_grad():
            for layer in self.convolutions():
                for conv in layer:
                    if conv.step:
                        conv.weight.clamp_(-conv.levels * conv.step, conv.levels * conv.step)
                    elif self.weight_limit:
                        limit = conv.weight.square().mean().sqrt() * self.weight_limit
                        conv.weight.clamp_(-limit, limit)

    def export(self) -> FloatNetwork:
        """The weights as numpy data."""
        return FloatNetwork(
            tuple(tuple(conv.weight.detach().float().cpu().contiguous().numpy().copy() for conv in layer) for layer in self.convolutions()),
            tuple(tuple(conv.bias.detach().float().cpu().numpy().copy() for conv in layer) for layer in self.convolutions()),
            tuple(float(activation.bound) for activation in self.activations),  # type: ignore[arg-type]
            self.qp,
            self.position,
            self.plan.to_json() if self.plan else None,
            kind=self.architecture.kind,
            size=self.architecture.size,
            heads=self.architecture.heads,
            added=self.architecture.added,
        )


def _branches(layer: Sequence[DiscretizedConv], x: Tensor, valid: bool) -> list[Tensor]:
    """What each convolution of a layer makes of its input, of equal size."""
    reach = max(conv.kernel for conv in layer) // 2
    if not valid:
        x = pad(x, (reach,) * 4)
    height, width = x.shape[2] - 2 * reach, x.shape[3] - 2 * reach
    return [conv(middle(x, (height + conv.kernel - 1, width + conv.kernel - 1))) for conv in layer]  # a smaller kernel needs less border


def middle(x: Tensor, size: Sequence[int]) -> Tensor:
    """Rows and columns of x around its centre, [N, C, *size]."""
    top, left = (x.shape[2] - size[0]) // 2, (x.shape[3] - size[1]) // 2
    return x if not top + left else x[:, :, top : top + size[0], left : left + size[1]]


def module_from(network: FloatNetwork) -> Network:
    """An nn.Module with the weights of ``network`` (in its bounded form if it carries a plan)."""
    module = Network(network.architecture, network.bounds, network.qp, network.position)
    with torch.no_grad():
        for layer, weights, biases in zip(module.convolutions(), network.weights, network.biases, strict=True):
            for conv, weight, bias in zip(layer, weights, biases, strict=True):
                conv.weight.copy_(torch.from_numpy(weight))
                conv.bias.copy_(torch.from_numpy(bias))
    if network.tuning:
        module.quantize_bounds(Plan.from_json(network.tuning))
    return module


def watch_activations(network: Network, batches: Iterable[Tensor], reduce: Callable[[Tensor], float]) -> list[list[float]]:
    """``reduce`` of the values before each activation, one a batch of inputs [N, C, H, W]: by hidden layer and batch."""
    found: list[list[float]] = [[] for _ in network.activations]

    def watch(values: list[float]) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        return lambda _module, inputs: values.append(reduce(inputs[0]))

    hooks = [a.register_forward_pre_hook(watch(values)) for a, values in zip(network.activations, found, strict=True)]
    with torch.no_grad():
        for batch in batches:
            network(batch, valid=True)
    for hook in hooks:
        hook.remove()
    return found


def filter_plane_float(network: FloatNetwork, plane: NDArray[np.integer], bit_depth: int) -> NDArray[np.integer]:
    """Filter one luma plane (uint8 or uint16, [H, W]) with the float network in fp32, rounded to samples at the end.

    The float variant of evaluations: not bit-exact between machines. 8 <= bit_depth <= 10; the input is not reduced to 8 bits.
    """
    return _corrected(plane, _residuals(network, _as_input(plane, bit_depth)[None])[0], bit_depth)


def filter_planes_float(
    network: FloatNetwork, planes: Sequence[NDArray[np.integer]], bit_depths: tuple[int, int], chroma_format: str = "420"
) -> tuple[NDArray[np.integer], ...]:
    """The same for a picture's planes, and networks of either kind: the float twin of vrcnn_int.integer.filter_planes, heads as trained."""
    if network.kind == "luma":
        return filter_plane_float(network, planes[0], bit_depths[0]), *planes[1:]
    chroma = reads_chroma(planes, bit_depths, chroma_format)
    read = planes if chroma else planes[:1]
    values = to_sites([_as_input(plane, bit_depths[number > 0]) for number, plane in enumerate(read)])
    found = _residuals(network, values).reshape(network.heads, *values.shape).sum(0)
    filtered = (_corrected(planes[0], luma_of(found, planes[0].shape), bit_depths[0]),)
    if not chroma:
        return *filtered, *planes[1:]
    return *filtered, *(_corrected(plane, r, bit_depths[1]) for plane, r in zip(planes[1:], found[4:], strict=True))


def _as_input(plane: NDArray[np.integer], bit_depth: int) -> NDArray[np.float32]:
    """x of each sample, unrounded."""
    values: NDArray[np.float32] = (plane.astype(np.float32) / np.float32(1 << (bit_depth - 8)) - np.float32(128)) / np.float32(255)
    return values


def _residuals(network: FloatNetwork, values: NDArray[np.float32]) -> NDArray[np.float64]:
    """[C, H, W] -> [C heads, H, W], for 8-bit samples."""
    with torch.no_grad():
        found: NDArray[np.float64] = module_from(network).eval()(torch.from_numpy(values)[None])[0].double().numpy() * 255
    return found


def _corrected(plane: NDArray[np.integer], residual: NDArray[np.float64], bit_depth: int) -> NDArray[np.integer]:
    """Sample plus residual, rounded, limited to the bit depth, in the plane's dtype."""
    unit = 1 << (bit_depth - 8)
    filtered: NDArray[np.integer] = np.clip(np.floor(plane + residual * unit + 0.5), 0, 256 * unit - 1).astype(plane.dtype)
    return filtered
