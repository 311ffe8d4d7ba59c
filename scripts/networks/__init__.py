"""Networks for mitochondria."""

from __future__ import annotations

from .ensemble import Ensemble
from .fusion_fcn import FusionFCN
from .inception_upsampling import InceptionUpsampling
from .precision import gains_from_amp
from .pretrained import load_pretrained
from .pyramid_pooling import PyramidPooling
from .resnet import DilatedResNet50
from .unet import UNet

__all__ = [
    "DilatedResNet50",
    "Ensemble",
    "FusionFCN",
    "InceptionUpsampling",
    "PyramidPooling",
    "UNet",
    "gains_from_amp",
    "load_pretrained",
]
