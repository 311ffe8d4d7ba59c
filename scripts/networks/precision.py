"""Where mixed precision is worth its rounding."""

from __future__ import annotations

import logging
from functools import lru_cache

import torch

__all__ = ["gains_from_amp"]

logger = logging.getLogger(__name__)

# of x86 processors; that of ARM has not been measured
FAST_BFLOAT16 = ("avx512_bf16", "amx_bf16")


def gains_from_amp(device: str | torch.device) -> bool:
    """Tell whether mixed precision makes the networks faster.

    It does on CUDA devices, and on processors that multiply bfloat16 in hardware: there training takes half of the time
    (`benchmarks/training_cost.py`). Other processors convert back and forth and lose. What is found is logged, once.

    Args:
        device: what the network runs on.

    Returns:
        Whether it gains; False on devices that were not measured.
    """
    return _gains_from_amp(torch.device(device).type)


@lru_cache
def _gains_from_amp(kind: str) -> bool:
    if kind == "cpu":
        found = [name for name in FAST_BFLOAT16 if torch.cpu.get_capabilities().get(name)]
        if found:
            logger.info("Mixed precision in bfloat16: this processor has %s", " and ".join(found))
        else:
            logger.info("No mixed precision: this processor has none of %s", ", ".join(FAST_BFLOAT16))
        return bool(found)
    return kind == "cuda"
