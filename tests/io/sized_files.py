"""Small files that state a pixel size, in all formats, and files that state none or one that is none."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import tifffile

from scripts.io import write_section

PIXELS = np.random.default_rng(0).integers(0, 200, (30, 20), np.uint8)


def tiff(**options: Any) -> Any:
    return lambda path: tifffile.imwrite(path, PIXELS, **{"photometric": "minisblack", "metadata": None, **options})


def tiff_with_tag(code: int, kind: int, value: Any) -> Any:
    return tiff(extratags=[(code, kind, len(value), value, True)])


def png(x: int, y: int, unit: int) -> Any:
    def write(path: Path) -> None:
        write_section(path, PIXELS.T)
        content, chunk = path.read_bytes(), b"pHYs" + struct.pack(">IIB", x, y, unit)
        path.write_bytes(
            content[:33] + struct.pack(">I", 9) + chunk + struct.pack(">I", zlib.crc32(chunk)) + content[33:]
        )

    return write


def nifti(unit: str, x: float, y: float) -> Any:
    def write(path: Path) -> None:
        image = nib.Nifti1Image(PIXELS.T, np.diag([x, y, 1, 1]))
        image.header.set_xyzt_units(unit)
        nib.save(image, path)

    return write


def nrrd(*fields: str) -> Any:
    def write(path: Path) -> None:
        lines = ["NRRD0004", "type: uint8", "dimension: 2", "sizes: 20 30", "encoding: raw", *fields]
        path.write_bytes("\n".join(lines).encode() + b"\n\n" + PIXELS.tobytes())

    return write


def mrc(mode: int, pixels: np.ndarray, cell: tuple[float, float]) -> Any:
    def write(path: Path) -> None:
        depth = pixels.shape[0] if pixels.ndim == 3 else 1
        header = bytearray(1024)
        struct.pack_into("<4i", header, 0, 20, 30, depth, mode)
        struct.pack_into("<3i", header, 28, 20, 30, depth)
        struct.pack_into("<6f", header, 40, *cell, 100, 90, 90, 90)
        struct.pack_into("<3i", header, 64, 1, 2, 3)
        header[208:216] = b"MAP \x44\x44\0\0"
        path.write_bytes(bytes(header) + pixels.tobytes())

    return write


def ome(**sizes: Any) -> Any:
    return tiff(ome=True, metadata={"axes": "YX", **sizes})


FEI = "[User]\r\nUser=x\r\n[Scan]\r\nPixelWidth=4e-09\r\nPixelHeight=5e-09\r\n\0"
ZEISS = "\r\n".join(["0"] * 70) + "\r\nAP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = 4.5 nm\r\n\0"

STATED = {
    "centimetre": (".tif", tiff(resolution=(2.5e6, 2e6), resolutionunit="CENTIMETER"), (4, 5)),
    "inch": (".tif", tiff(resolution=(6.35e6, 5.08e6), resolutionunit="INCH"), (4, 5)),
    "millimetre": (".tif", tiff(resolution=(250000, 200000), resolutionunit=4), (4, 5)),
    "micrometre": (".tif", tiff(resolution=(250, 200), resolutionunit=5), (4, 5)),
    "imagej nm": (".tif", tiff(imagej=True, resolution=(0.25, 0.2), metadata={"unit": "nm"}), (4, 5)),
    "imagej micron": (".tif", tiff(imagej=True, resolution=(250, 200), metadata={"unit": "micron"}), (4, 5)),
    "imagej µm": (".tif", tiff(imagej=True, resolution=(250, 200), metadata={"unit": "\\u00B5m"}), (4, 5)),
    "ome nm": (
        ".ome.tif",
        ome(PhysicalSizeX=4.0, PhysicalSizeXUnit="nm", PhysicalSizeY=5.0, PhysicalSizeYUnit="nm"),
        (4, 5),
    ),
    "ome without unit": (".ome.tif", ome(PhysicalSizeX=0.004, PhysicalSizeY=0.005), (4, 5)),
    "fei": (".tif", tiff_with_tag(34682, 2, FEI), (4, 5)),
    "fei sfeg": (".tif", tiff_with_tag(34680, 2, FEI.replace("[Scan]", "[EScan]")), (4, 5)),
    "zeiss": (".tif", tiff_with_tag(34118, 2, ZEISS), (4.5, 4.5)),
    "png": (".png", png(250_000_000, 200_000_000, 1), (4, 5)),
    "nifti mm": (".nii", nifti("mm", 4e-6, 5e-6), (4, 5)),
    "nifti micron": (".nii.gz", nifti("micron", 4e-3, 5e-3), (4, 5)),
    "nrrd units": (".nrrd", nrrd("spacings: 4 5", 'units: "nm" "nm"'), (4, 5)),
    "nrrd space units": (
        ".nrrd",
        nrrd("space dimension: 2", "space directions: (0.004,0) (0,0.005)", 'space units: "um" "um"'),
        (4, 5),
    ),
    "imagej 1 nm": (".tif", tiff(imagej=True, resolution=(1, 1), metadata={"unit": "nm"}), (1, 1)),
    "mrc": (".mrc", mrc(6, PIXELS.astype("<u2"), (800, 1500)), (4, 5)),
}

NOT_BELIEVED = {
    "72 dpi": (".tif", tiff(resolution=(72, 72), resolutionunit="INCH")),
    "300 dpi": (".tif", tiff(resolution=(300, 300), resolutionunit="INCH")),
    "1 inch": (".tif", tiff(resolution=(1, 1), resolutionunit="INCH")),
    "1 per centimetre": (".tif", tiff(resolution=(1, 1), resolutionunit="CENTIMETER")),
    "imagej inch": (".tif", tiff(imagej=True, resolution=(72, 72), metadata={"unit": "inch"})),
    "imagej one micron": (".tif", tiff(imagej=True, resolution=(0.1, 0.1), metadata={"unit": "micron"})),
    "ome one µm": (".ome.tif", ome(PhysicalSizeX=10.0, PhysicalSizeY=10.0)),
    "png 72 dpi": (".png", png(2835, 2835, 1)),
    "nifti one mm": (".nii", nifti("mm", 1, 1)),
    "nifti 1 micron": (".nii", nifti("micron", 1, 1)),
    "imagej 1 um": (".tif", tiff(imagej=True, resolution=(1, 1), metadata={"unit": "um"})),
    "ome 1 µm": (".ome.tif", ome(PhysicalSizeX=1.0, PhysicalSizeY=1.0)),
    "mrc 1 angstrom": (".mrc", mrc(6, PIXELS.astype("<u2"), (20, 30))),
    "too oblong": (".tif", tiff(resolution=(2.5e6, 1e5), resolutionunit="CENTIMETER")),
}

NO_UNIT = {
    "none": (".tif", tiff()),
    "unit none": (".tif", tiff(resolution=(0.25, 0.2), resolutionunit="NONE")),
    "imagej pixels": (".tif", tiff(imagej=True, resolution=(0.25, 0.25), metadata={"unit": "pixel"})),
    "imagej nothing": (".tif", tiff(imagej=True, resolution=(0.25, 0.25), metadata={})),
    "png aspect": (".png", png(5, 4, 0)),
    "nifti unknown": (".nii", nifti("unknown", 4e-6, 5e-6)),
    "nrrd": (".nrrd", nrrd("spacings: 4 5")),
}
