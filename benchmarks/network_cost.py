"""What the networks cost: parameters, operations and time of a 512x512 tile on this machine.

Run from the root of the bundle: `python -m benchmarks.network_cost`. Times are medians of `REPEATS` forward passes of a
single grey tile; "folded" is the form that inference uses, eager with the batch normalisations folded. A multiply-add
counts as two operations. Pixels are those that the network sees: at the 10 nm of the shipped weights a megapixel is 100
square micrometres, whatever the pixel size of the section. On the CPU, two threads are used; the share of convolutions
is that of the profiler's own times of all operators, in a separate pass.
"""

from __future__ import annotations

import statistics
import time

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from scripts.inference import fuse_conv_bn
from scripts.networks import FusionFCN, UNet

TILE = 512
REPEATS = 7
THREADS = 2


def make_networks() -> dict[str, nn.Module]:
    """Return the networks to compare, by name."""
    fusion_fcn = FusionFCN()
    return {
        "Fusion FCN": fusion_fcn,
        "Fusion FCN, folded": fuse_conv_bn(fusion_fcn),
        "Fusion FCN, width 0.25, folded": fuse_conv_bn(FusionFCN(width=0.25)),
        "as shipped, folded": fuse_conv_bn(FusionFCN(width=0.5)),
        # the layers and, but for batch normalisation and padding, the size of Ronneberger et al. 2015
        "U-Net": UNet(),
        "U-Net as shipped": UNet(width=0.25),
    }


def count_flops(network: nn.Module, x: torch.Tensor) -> int:
    """Count the floating point operations of a forward pass."""
    with FlopCounterMode(display=False) as counter:
        network(x)
    return counter.get_total_flops()


def measure_seconds(network: nn.Module, x: torch.Tensor) -> float:
    """Return the median time of a forward pass."""
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        network(x)
        if x.is_cuda:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def measure_convolutions(network: nn.Module, x: torch.Tensor) -> float:
    """Return the median share of a forward pass's time that convolutions and deconvolutions take."""
    shares = []
    for _ in range(REPEATS):
        with profile(activities=[ProfilerActivity.CPU]) as profiler:
            network(x)
        own = {event.key: event.self_cpu_time_total for event in profiler.key_averages()}
        shares.append(sum(us for name, us in own.items() if "conv" in name) / sum(own.values()))
    return statistics.median(shares)


@torch.inference_mode()
def main() -> None:
    """Measure all networks and print a table."""
    torch.set_num_threads(THREADS)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    x = torch.rand(1, 1, TILE, TILE, device=device)
    print(f"{'':32}{'M params':>10}{'GFLOP':>10}{'ms':>10}{'ms / MP':>10}{'conv %':>10}{'rest %':>10}   on {device}")
    for name, network in make_networks().items():
        network = network.to(device).eval()
        flops = count_flops(network, x)  # warms up, too
        seconds = measure_seconds(network, x)
        share = measure_convolutions(network, x) if device.type == "cpu" else float("nan")
        parameters = sum(parameter.numel() for parameter in network.parameters())
        print(
            f"{name:32}{parameters / 1e6:10.2f}{flops / 1e9:10.1f}{seconds * 1e3:10.0f}"
            f"{seconds * 1e9 / TILE**2:10.0f}{share * 100:10.0f}{100 - share * 100:10.0f}"
        )


if __name__ == "__main__":
    main()
