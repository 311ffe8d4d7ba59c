"""The brain stack of CDeep3M."""

from __future__ import annotations

from typing import Any

from .fetch import PublicSet, get_set, parse_digests, pixel_digest

__all__ = ["SBEM", "sbem"]


def _items(first: int, last: int) -> list[dict[str, Any]]:
    return [
        {"image": f"images/{section:03d}.png", "label": f"labels/{section:03d}.png"}
        for section in range(first, last + 1)
    ]


# of the pixels, since the pictures may have been compressed anew
_SHA256 = """
77ab21cc9f6d410afcb564d1034ab546cabf6e3e7ead551bf9a4cd9e34289b9c  images/010.png
8589a341049db9db9d4ca473eb67090bf897faed38195eac39ed6b5e2e0e478c  images/011.png
f18159d71c4f4cdcfb9bb94840b6570f8e94cf29d648eed636885551477e15a8  images/012.png
35ad46c2893a97ae3d384f9dd99ca055ad0a7e376f2fb838add72f9c104dfba8  images/013.png
e068caba8104cec6897ef92270bf3741e13c357a857116f1a4917370eb865f5b  images/014.png
46aff8e1131989fbd464b32cef364cb0d40ecacc6076a5399818f5c9589905a0  images/015.png
bb33825543fbc826e505f3fc4b2ca4a5991f856e4934056def9179dadc1c6734  images/016.png
51ed528217c8d490fa755a84b9a75f7fd0c799aad26da7ebc2778a748740b940  images/017.png
b4aa470796f8dafae312212256c521af59a068bc69aac0d4a4a4b65593b9e6a8  images/018.png
c290c1583bff877070a28cb9ec29842e701f89ca74f4045d256cfb56eb2c0581  images/019.png
e8187d7e828257a89a9fa3986d1519da90d33f65212b46db1f7636e7b508c295  images/020.png
53285a5e0695f48fe65f2a176d0c3f32169a3cd602264a8b05a34b84c0b961bd  images/021.png
343ae31a3ecd97d0d0d3bd190e0b0dd1801903bbc944ada940b98a3cea3c0e77  images/022.png
f70009e8a0a5490b78bdc44fbe88d890177e3fc10b93c2707e0daa757e40163b  images/023.png
4e08c2e302569463951ae16f7f97a12b5d04f3c86ead1ddddd3b3d7ea103c172  images/024.png
a5c89f4db177e1ea742ec420b23ae4b60d0e4865622f4f90603c5b820a802bfc  images/025.png
96bc04819682e16b2fd4aae9482caa6257fe18db650a81502abb97425f8b6c7b  images/026.png
4d68d5011ae10ea1d4e7883889209601e977cfcbe30fe2d8bd64f31469334cdb  images/027.png
ae445feac0883a15f414167d31ecc51960c26a81f34dda6e2a0cac51edef1d9f  images/028.png
e3e9a6f8ceeb3f4e979a6923cfa8c4412612865e4eb3ea331700248f3fe9f0f1  images/029.png
627fd4664bbc52ae08e198eb05647fadd6e1908830daa8e67c6bfe8c0d5e5469  labels/010.png
c9a3740507d1a6a0c1267a350620b0832274c6270bfa15598febac418cd0fffc  labels/011.png
88248c8c4c8a6d02ae0de4bcf8188b092151bc4ecc5309065407cde09de82528  labels/012.png
4263a19d00aacf44cb7c52f0a725bcddbe06a49eba7f148304751f260622362b  labels/013.png
e149e9c1daa98e5f7f7b2f0a38be3e2d607f4a24bc3c96d6ed77252bbc9f234e  labels/014.png
d77659214bb80f0aa5d6d8d5558f207999629298f615d9af3f3dc81e93919662  labels/015.png
2eeb507344b864dfb3415fb729cf11792e3ad0171af6fa2c44f0c78d36a56e6b  labels/016.png
44d70ebcbf2fe1a1f6f32924d74478648aacbcd89c9df3c170dc4c7994a354d3  labels/017.png
790cb7f4a8ab576e761e7ac11fca1786362da679f3cc445843d07e0433100ec2  labels/018.png
f392f5471e956171a69743ca1919e5bc4aa22b539714c7de5330a2e8bf0af548  labels/019.png
aefee53620d294abc6cf08e1d6f1e76a288093349149f0d61fac09c575eb4a84  labels/020.png
e085b7beabf3392fdd1a01aabdbc3693816c51d2dcdd9a5b83a4cb2cc89a94e2  labels/021.png
ca668bbeb1ec312a79427f3d74d3c6a75fc8b3b22530d3ae3e09a8704ecc299f  labels/022.png
46e8d6123c330baeac96d209dd59ad49a1326709425c892346a10d2a445ad01c  labels/023.png
a9e8ebc2648db008800d4409fbc785defca0e2d86d3dbd8beea4d251bb312f9f  labels/024.png
606eb927671157f3b551b91ca4ebba64dfbf7e5a52c0d750ce71c16f1142c263  labels/025.png
098ac6aba852643783579aa827a640468576c2a6068e122776d632c1c19708e3  labels/026.png
6411b40058fe7ae6c6c77d89ee847410d3286e1b68c3b59e176ffb49f453da5f  labels/027.png
99c282b5903300e26ea50bd52c951fca2a008e8da803ba73c1d87ef8959d424c  labels/028.png
c146999f3180d79c88dfa29682a1aeb58b360cae60845748dfc9704b161c4bd2  labels/029.png
"""

_COMMIT = "abf9958"

SBEM = PublicSet(
    repository="https://github.com/CRBS/cdeep3m.git",
    commit=_COMMIT,
    url=f"https://raw.githubusercontent.com/CRBS/cdeep3m/{_COMMIT}",
    sha256=parse_digests(_SHA256),
    digest=pixel_digest,
    home={
        **{f"images/{i:03d}.png": f"mito_testsample/training/images/images.{i:03d}.png" for i in range(10, 30)},
        **{f"labels/{i:03d}.png": f"mito_testsample/training/labels/mitos_3D.{i:03d}.png" for i in range(10, 30)},
    },
    datalist={
        "name": "sbem_brain",
        "description": (
            "Serial block-face SEM of brain, 20 consecutive sections of 1024 x 1024 pixels, the training part of the"
            " example of CDeep3M. The split is by section; choose hyper-parameters on the validation part. The pixel"
            " size is not published; by the size of its mitochondria it is about 7 nm."
        ),
        "licence": "Regents of the University of California: educational, research and non-profit use",
        "reference": (
            "M. G. Haberl et al.: CDeep3M - plug-and-play cloud-based deep learning for image segmentation. Nature"
            " Methods 15, 677-680, 2018. https://doi.org/10.1038/s41592-018-0106-z"
        ),
        "release": _COMMIT,
        "modality": {"0": "EM"},
        "labels": {"0": "background", "1": "mitochondrion"},
        "pixel_size_nm": 7,
        "pixel_size_estimated": True,
        "training": _items(10, 21),
        "validation": _items(22, 24),
        "test": _items(25, 29),
    },
)


def sbem(output: str = "data/sbem_brain", source: str | None = None) -> str:
    """Fetch the SBEM brain stack of CDeep3M (Haberl et al., 2018; 12 MB) and write its list of sections.

    Its terms allow educational, research and non-profit use only. An interrupted run resumes.

    Args:
        output: folder to fill; `datalist.json` in it lists the sections for training, validation and test.
        source: root of a local copy, the folder that holds `images` and `labels`, or a clone of CDeep3M's repository;
            taken instead of the network.

    Returns:
        What was written, its licence and how to cite it.

    Raises:
        ValueError: if an argument is not a path, or a file is not the published one.
        OSError: if a file cannot be fetched, read or written.
    """
    return get_set(SBEM, output, source)
