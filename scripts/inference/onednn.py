"""Convolutions that add and rectify while their result is still in the cache."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import torch
from monai.networks.nets.resnet import ResNetBottleneck
from torch import nn

__all__ = ["fuse_activations"]


def fuse_activations(network: nn.Module) -> None:
    """Let convolutions do, on the CPU, what follows them: ReLU, and in residual blocks the addition before it.

    On processors that multiply bfloat16 fast, a third of the time of a ResNet goes into reading and writing features
    only to add and to rectify them. oneDNN, which computes PyTorch's convolutions, can do both as it writes the result;
    `torch.compile` makes use of that too, but needs a compiler, and most of a minute. Where PyTorch lacks the operation
    nothing is changed.

    Args:
        network: on the CPU, in evaluation mode, its batch normalisations folded (`fuse_conv_bn`); changed in place.
            Residual blocks of MONAI's ResNet are replaced, and convolutions that a ReLU follows in an `nn.Sequential`.
    """
    if not hasattr(torch.ops.mkldnn, "_convolution_pointwise"):
        return
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, ResNetBottleneck):
                setattr(module, name, _Bottleneck(child))
        if isinstance(module, nn.Sequential):
            layers = [(name, child) for name, child in module.named_children() if not isinstance(child, nn.Identity)]
            for (name, convolution), (after, activation) in pairwise(layers):
                if type(convolution) is nn.Conv2d and isinstance(activation, nn.ReLU):
                    setattr(module, name, _Convolution(convolution, relu=True))
                    setattr(module, after, nn.Identity())


@cache
def _computes(dtype: torch.dtype) -> bool:
    """Whether oneDNN computes in a type on this processor: without AVX-512, PyTorch's own convolutions do."""
    operations = torch.ops.mkldnn
    if dtype == torch.bfloat16:
        return operations._is_mkldnn_bf16_supported()
    return dtype == torch.float32 or (dtype == torch.float16 and operations._is_mkldnn_fp16_supported())


class _Convolution(nn.Module):
    """A convolution, plus features where they are given, rectified or not."""

    def __init__(self, convolution: nn.Conv2d, relu: bool) -> None:
        super().__init__()
        self.convolution, self.activation = convolution, "relu" if relu else "none"
        self.geometry = (
            list(convolution.padding),
            list(convolution.stride),
            list(convolution.dilation),
            convolution.groups,
        )
        self.packed: torch.Tensor | None = None

    def forward(self, x: torch.Tensor, other: torch.Tensor | None = None) -> torch.Tensor:
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
        x = x.to(dtype)
        if not _computes(dtype):
            return self._plain(x, other)
        if self.packed is None or self.dtype != dtype:
            self._pack(dtype, x.shape)
        weights = (self.packed, self.bias, *self.geometry)
        if other is None:
            return torch.ops.mkldnn._convolution_pointwise(x, *weights, self.activation, [], "")
        return torch.ops.mkldnn._convolution_pointwise(
            x, other.to(dtype), *weights, "add", 1.0, self.activation, [], ""
        )

    def _plain(self, x: torch.Tensor, other: torch.Tensor | None) -> torch.Tensor:
        bias = self.convolution.bias
        bias = None if bias is None else bias.to(x.dtype)
        y = self.convolution._conv_forward(x, self.convolution.weight.to(x.dtype), bias)
        y = y if other is None else y.add_(other)
        return y.relu_() if self.activation == "relu" else y

    def _pack(self, dtype: torch.dtype, shape: torch.Size) -> None:
        """Lay the weights out as oneDNN wants them, once for all sections."""
        weight = self.convolution.weight.detach().to(dtype).to(memory_format=torch.channels_last)
        self.packed = torch._C._nn.mkldnn_reorder_conv2d_weight(weight.to_mkldnn(), *self.geometry, list(shape))
        bias = self.convolution.bias
        self.bias, self.dtype = (None if bias is None else bias.detach().to(dtype)), dtype


class _Bottleneck(nn.Module):
    """MONAI's residual block of three convolutions."""

    def __init__(self, block: ResNetBottleneck) -> None:
        super().__init__()
        self.conv1, self.conv2 = (_Convolution(layer, relu=True) for layer in (block.conv1, block.conv2))
        self.conv3 = _Convolution(block.conv3, relu=True)
        self.downsample = block.downsample

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        residual = x if self.downsample is None else self.downsample(x)
        return self.conv3(self.conv2(self.conv1(x)), residual)
