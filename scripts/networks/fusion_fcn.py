from __future__ import annotations
import torch
from torch import nn
from scripts.networks.inception_upsampling import InceptionUpsampling
from scripts.networks.pyramid_pooling import PyramidPooling
from scripts.networks.resnet import DilatedResNet50

class FusionFCN(nn.Module):
    def __init__(self, in_channels=1, out_channels=2, width=1.0, dropout=0.0, pretrained=None, skip_image=False):
        super().__init__()
        def scaled(c): return max(8, 4 * round(width * c / 4))
        stages = [scaled(c) for c in (64, 64, 128, 256, 512)]
        self.skip_image = skip_image
        self.encoder = DilatedResNet50(in_channels, stages)
        c, u4, u2, u1 = scaled(512), scaled(128), scaled(64), scaled(32)
        s4 = scaled(64)
        self.reduce = nn.Sequential(nn.Conv2d(4*stages[4], c, 1, bias=False), nn.BatchNorm2d(c), nn.ReLU(inplace=True))
        self.pyramid = PyramidPooling(c)
        self.skip4 = nn.Sequential(nn.Conv2d(4*stages[1], s4, 1, bias=False), nn.BatchNorm2d(s4), nn.ReLU(inplace=True))
        self.up4 = InceptionUpsampling(2*c, u4)
        self.up2 = InceptionUpsampling(u4+s4, u2)
        self.dropout = nn.Dropout2d(dropout)
        self.up1 = InceptionUpsampling(u2+stages[0], u1)
        self.head = nn.Conv2d(u1 + (in_channels if skip_image else 0), out_channels, 3, padding=1)
        self.to(memory_format=torch.channels_last)
    def forward(self, x):
        w, h = x.shape[2], x.shape[3]
        x = (x - 0.449) / 0.226
        stem, block1, block4 = self.encoder(x)
        y = self.pyramid(self.reduce(block4))
        y = self.up4(y)[:, :, :block1.shape[2], :block1.shape[3]]
        y = torch.cat([y, self.skip4(block1)], 1)
        y = self.up2(y)[:, :, :stem.shape[2], :stem.shape[3]]
        y = torch.cat([y, stem], 1)
        y = self.up1(self.dropout(y))[:, :, :w, :h]
        if self.skip_image: y = torch.cat([y, x], 1)
        return self.head(y)
