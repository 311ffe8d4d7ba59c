"""What a step of a training costs on this machine, and what mixed precision and its company save.

Run from the root of the bundle: `python -m benchmarks.training_cost`. A step is the forward pass, the loss, the
backward pass and the optimiser, on 4 patches of 256x256 pixels. "Plain" is float32, with torch's own deconvolutions in
the pyramid and an AdamW that is not fused; "config" is what `configs/train.json` does on this machine. The two take
turns, so that other work on the machine meets both. The last column is what the moving average of the weights adds.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from types import SimpleNamespace

import torch
from ignite.handlers import EMAHandler
from monai.losses import DiceCELoss
from torch import nn

from scripts.inference import SimpleInferer
from scripts.networks import FusionFCN, UNet, gains_from_amp

BATCH = 4
PATCH = 256
REPEATS = 15
THREADS = (1, 2)
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "Fusion FCN, width 0.5, downsampling 2": lambda: FusionFCN(width=0.5, dropout=0.1, downsampling=2),
    "U-Net, width 0.25, downsampling 2": lambda: UNet(width=0.25, dropout=0.1, downsampling=2),
    "Fusion FCN, width 0.25": lambda: FusionFCN(width=0.25, dropout=0.1),
    "U-Net, width 0.25": lambda: UNet(width=0.25, dropout=0.1),
}


class TorchDeconvolution(nn.ConvTranspose2d):
    """The deconvolution of a level of the pyramid as torch makes it."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__(channels, channels, 2 * stride, stride, padding=stride // 2, groups=channels, bias=False)

    def forward(self, x: torch.Tensor, width: int, height: int) -> torch.Tensor:
        """Enlarge features to a size."""
        return super().forward(x)[:, :, :width, :height]


class Training:
    """A training on patches of noise.

    Args:
        network: the network.
        amp: whether to compute in mixed precision.
        fused: whether the optimiser is fused.
    """

    def __init__(self, network: nn.Module, amp: bool, fused: bool) -> None:
        self.network = network.to(memory_format=torch.channels_last).train()
        self.inferer = SimpleInferer(amp=amp)
        self.loss = DiceCELoss(include_background=False, to_onehot_y=True, softmax=True, batch=True)
        self.optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=1e-4, fused=fused)
        self.images = torch.rand(BATCH, 1, PATCH, PATCH)
        self.labels = (torch.rand(BATCH, 1, PATCH, PATCH) > 0.9).float()

    def step(self) -> None:
        """Make a step."""
        self.optimizer.zero_grad(set_to_none=True)
        self.loss(self.inferer(self.images, self.network), self.labels).backward()
        self.optimizer.step()


def plain(network: nn.Module) -> nn.Module:
    """Give the pyramid of a network, if it has one, torch's deconvolutions."""
    for level in getattr(getattr(network, "pyramid", None), "levels", []):
        level.deconvolution = TorchDeconvolution(level.reduce.out_channels, level.window)
    return network


def seconds(*actions: Callable[[], None]) -> list[float]:
    """Return the median time of each of several actions that take turns."""
    times: list[list[float]] = [[] for _ in actions]
    for i in range(REPEATS + 2):
        for action, measured in zip(actions, times, strict=True):
            start = time.perf_counter()
            action()
            if i >= 2:  # after warming up
                measured.append(time.perf_counter() - start)
    return [statistics.median(measured) for measured in times]


def main() -> None:
    """Measure all networks and print a table."""
    torch.manual_seed(0)
    amp = gains_from_amp("cpu")
    capabilities = torch.cpu.get_capabilities()
    fast = [name for name in ("avx512_f", "avx512_bf16", "amx_bf16") if capabilities.get(name)]
    print(f"{capabilities.get('cpu_name', 'CPU')} ({capabilities['architecture']}): {', '.join(fast) or 'no AVX-512'}")
    print(f"config: {'bfloat16' if amp else 'float32'}; {BATCH} patches of {PATCH}x{PATCH}, medians of {REPEATS} steps")
    print(f"{'':40}{'threads':>8}{'plain s':>10}{'config s':>10}{'ratio':>8}{'average s':>12}")
    for name, make in NETWORKS.items():
        old = Training(plain(make()), amp=False, fused=False)
        new = Training(make(), amp=amp, fused=True)
        ema = EMAHandler(new.network, momentum=0.001, handle_buffers="update")
        engine = SimpleNamespace(state=SimpleNamespace(ema_momentum=0.001))
        for threads in THREADS:
            torch.set_num_threads(threads)
            before, after, average = seconds(
                old.step, new.step, lambda ema=ema, engine=engine: ema._update_ema_model(engine, "ema_momentum")
            )
            print(f"{name:40}{threads:8}{before:10.3f}{after:10.3f}{after / before:8.2f}{average:12.3f}", flush=True)


if __name__ == "__main__":
    main()
