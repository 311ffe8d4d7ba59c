"""Small sets of other tissues than brain, prepared by hand from published examples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .fetch import PublicSet, describe, fetch, parse_digests, pixel_digest, require_folders

__all__ = ["SMALL", "small"]

# of the pixels, since the pictures were cut or converted from the published files
_SHA256 = parse_digests(
    """
fca8fa67265b9e4e979ac7950738f553ead569b61a29d225d75fa1ed5dcabf4f  liver_fibsem/images/liver_ins_handlabel.png
53db7b0eff734a585e0b40f664d408d2e6e4636dedcf6a589f8648cce997f79a  liver_fibsem/images/liver_pan.png
bf3092dd36dbb8fb4d77e47018de2c74746ecd4a92d50967290c16063c2d68df  liver_fibsem/labels/liver_ins_handlabel.png
f8d21b8fee91a7c6e9842a37106335be35fec4c9b770c56361466c46d60a94a3  liver_fibsem/labels/liver_pan.png
d534c71a7d16ee8cea5091f3b70462384853e053f8ba3dff105884030fa074dc  platelet_sbf/images/platelet24_z00.png
37b69f14bd79043413cf2ac233a43ddf3ff60a14750e5c10e033f981201420b1  platelet_sbf/images/platelet50_z00.png
138f7371c8465906ba8bacefcf20441e6562084d28911d824f2a608df6077d99  platelet_sbf/labels/platelet24_z00.png
ac12447117132b32acdee0acf818ac5ec0a5088fb5661e5d0e3d4acdfbf4544e  platelet_sbf/labels/platelet50_z00.png
62a6aadc380207e7fb202153215db30fb7b33281ddd826a1fb239cb43f1794b0  cem_patches/images/cem_er_handlabel.png
d15e3348592976c18477db5eead8ffe0dc33d4baee93ba598d8e4f372f73f91e  cem_patches/images/cem_mito2.png
2b9d91f9bd3e7166451fffa16aecb459c961b8838c5ab0bd2cfcf5cf1621086c  cem_patches/images/cem_mito3.png
7205d4d87f4ce3b0437678db583dad2a2ce7b116684be294f364e0201e8db662  cem_patches/images/cem_mito5.png
6ee78deb6a6abbcff41cd48747c1193786a069002791f18331ea33852118ee64  cem_patches/labels/cem_er_handlabel.png
e1afb4e353ad7c9891c6513a29a745c5b5d3e34c1e93350bbc96f48251a59ac8  cem_patches/labels/cem_mito2.png
74c5d543a6c609eeac470ed738f07b97e4eb8439862cfe80f951ce754a23ac9d  cem_patches/labels/cem_mito3.png
169903d28b400925c89abf9519a698d66f5afa1dd6db2638b35cc23e3218fc5b  cem_patches/labels/cem_mito5.png
75144362ed457dce242b28605ece7c0661f18627e431c41431e45b680b50016e  ratcortex_mitoemR/images/r001_z400.png
9c874176f7298f1b7dfd5ebcfc99a23a95cccb7cbb00e887d053cda764dc4b93  ratcortex_mitoemR/images/r001_z405.png
fef53b7cca26bd3d47d9187b8d7b1ac12e901b2d1b8041cdd1f1f707e6e7a4c1  ratcortex_mitoemR/images/r001_z410.png
6054d339c1a34c0276ec8150dcbd13d28e80aa4991b47a806d9f8655e8d2ab4a  ratcortex_mitoemR/images/r001_z415.png
bd791e100af68b37bde6ce70f99c7c27384eba67ee65a985e888c81db86f03d7  ratcortex_mitoemR/images/r961_z400.png
a10832015aa1380c6983e0ca1b851dcc8b51e42daa164a93dd52cfaf6f5ca604  ratcortex_mitoemR/images/r961_z403.png
845af457a606a3f22ac8e9e9b68f362f0fd2b141492af72c3f9e1e300293e7e1  ratcortex_mitoemR/images/r961_z406.png
22794f69686a4af0204616695c2766dace739cacfd468269a0ad49f153d9a964  ratcortex_mitoemR/images/r961_z409.png
c5c1241e654e8a40a0c11e2c63e9d7b83b04a98a8b063555f2da398b1d88a813  ratcortex_mitoemR/images/r961_z412.png
e4009bbecdf9065bc729cfbbf91b97e96ec5b22f02da2d1083d84195d7284c6c  ratcortex_mitoemR/images/r961_z415.png
f627ca4c2c322f15db26152df306bd4f983f0146409b81a4341b9b340c365a16  ratcortex_mitoemR/labels/r001_z400.png
f627ca4c2c322f15db26152df306bd4f983f0146409b81a4341b9b340c365a16  ratcortex_mitoemR/labels/r001_z405.png
f627ca4c2c322f15db26152df306bd4f983f0146409b81a4341b9b340c365a16  ratcortex_mitoemR/labels/r001_z410.png
4b8c20b61c29a0db76c6c30f2283aacc2ce666728c351dcaa47fad1896a5f969  ratcortex_mitoemR/labels/r001_z415.png
a97871eea9ff6cd8e447b8b89bfa0463604c6aded9d481b67b764868b5a4985b  ratcortex_mitoemR/labels/r961_z400.png
85fe59f2587690b15f1d978d6d41a8461aa516fc579babc6c2373bfeba06be4c  ratcortex_mitoemR/labels/r961_z403.png
ccc2daac886556afe111ceded5333b49ac448cc3ed85e179ae01b3cd6908b760  ratcortex_mitoemR/labels/r961_z406.png
4e8eb621ae870249e7b962d085beec2b911a79dd7425c77e7aa0eb0ae9bd0acb  ratcortex_mitoemR/labels/r961_z409.png
2daaf01a1d062322dc77e26cdf159b6d47ae4cb569a0566ac7a8b18822bc5913  ratcortex_mitoemR/labels/r961_z412.png
c73f7429b782c23eb212f7d75d6e4525e28ecfeededafbd811110a5df7c064b1  ratcortex_mitoemR/labels/r961_z415.png
2c9cc4ee1e7e0ed733b7c74fb8c58e6e3c5171e34746fecab07613ef31fdaad4  nerve_tem_handlabel/images/hpf1_A.png
8b9903e8f6edc376b311cef2bf19769b7b3f37d8863e80764d641aeac0df71db  nerve_tem_handlabel/images/hpf1_B.png
99ae58eff4269a8ff7219e9e9f0b152767142bd8d6ec6daa70110cd0f289fb85  nerve_tem_handlabel/images/hpf1_C.png
200cdcca7e50708441e9071d4749ffbc5fc544b7579217f2e86605d98f01cff6  nerve_tem_handlabel/images/hpf4_D.png
3cc46874f35c8883b9ffa224a6ef6f9f3c1f965f2fbaa26ea491945e07082dd6  nerve_tem_handlabel/images/hpf4_E.png
6b593d4816899729135c705f9446915f2fa7dbaa9f2392d83598582d91293b3d  nerve_tem_handlabel/images/hpf4_F.png
7610a1aa2d0111a53227772f9eb02de27819ae2e42102a8efcda2675d8ec8f8b  nerve_tem_handlabel/labels/hpf1_A.png
d30beb49240327ae2ff9e710e5f5a7cc36a14ee0b360fb06f74b0e70803d1cf4  nerve_tem_handlabel/labels/hpf1_B.png
f7853a192ab2b857f0b1f925e607e0b32396fef79112399af770084d2fdd2a61  nerve_tem_handlabel/labels/hpf1_C.png
f7b64561faeb066a7197122456a499f5c71de3112a70680c4ce88069d5ec9e5c  nerve_tem_handlabel/labels/hpf4_D.png
9eb2800f7d9dc2be08e02119a026d648d2b7e813570c5e0cdad120feef5e52a0  nerve_tem_handlabel/labels/hpf4_E.png
e9b9fdf44c4dc331c541f5770fddb6bf951e9733cd6d69d25919593346d08770  nerve_tem_handlabel/labels/hpf4_F.png
"""
)

_BY_HAND = (
    " The labels of *_handlabel were drawn by eye for this project, not by an expert: for training, never a score."
)


def _set(name: str, **about: Any) -> PublicSet:
    sha256 = {path.removeprefix(f"{name}/"): digest for path, digest in _SHA256.items() if path.startswith(f"{name}/")}
    images = sorted(path for path in sha256 if path.startswith("images/"))
    training = [{"image": image, "label": image.replace("images/", "labels/")} for image in images]
    datalist = {"name": name, **about, "modality": {"0": "EM"}, "labels": {"0": "background", "1": "mitochondrion"}}
    return PublicSet(sha256=sha256, datalist={**datalist, "training": training}, digest=pixel_digest)


SMALL = {
    public_set.datalist["name"]: public_set
    for public_set in (
        _set(
            "liver_fibsem",
            description=(
                "FIB-SEM of a liver cell, 2 crops from the test data of Empanada. The pixel size is not published; by"
                " the size of its mitochondria it is 12 to 16 nm." + _BY_HAND
            ),
            licence=(
                "GNU GPL 2.0, the LICENSE of the repository (its setup.cfg says BSD 3-Clause), which names none for its"
                " test data"
            ),
            reference=(
                "R. Conrad, K. Narayan: Instance segmentation of mitochondria in electron microscopy images with a"
                " generalist deep learning model trained on a diverse dataset. Cell Systems 14, 58-71, 2023."
                " https://doi.org/10.1016/j.cels.2022.12.006"
            ),
            source="https://github.com/volume-em/empanada",
            release="01c6e7a",
            pixel_size_nm=14,
            pixel_size_estimated=True,
        ),
        _set(
            "platelet_sbf",
            description=(
                "Serial block-face SEM of human platelets, the first sections of both volumes, 800 x 800 pixels. There"
                " are few mitochondria; the granules look like them and are none."
            ),
            licence="MIT, the licence of the repository; the data is cleared for public release by the NIBIB",
            reference=(
                "M. D. Guay, Z. A. S. Emam, A. B. Anderson, M. A. Aronova, I. D. Pokrovskaya, B. Storrie, R. D."
                " Leapman: Dense cellular segmentation for EM using 2D-3D neural network ensembles. Scientific Reports"
                " 11, 2561, 2021. https://doi.org/10.1038/s41598-021-81590-0"
            ),
            source="https://github.com/bio3d-vision/bio3d-vision.github.io",
            release="94cbfd7",
            pixel_size_nm=10,
            section_thickness_nm=40,
        ),
        _set(
            "cem_patches",
            description=(
                "Volume EM of cultured and other cells, 4 example patches of the CEM dataset of about 224 x 224 pixels."
                " Their pixel sizes are not published; by the size of the mitochondria they are 10 to 20 nm." + _BY_HAND
            ),
            licence="BSD 3-Clause, Copyright (c) 2020 volume-em, the licence of the repository",
            reference=(
                "R. Conrad, K. Narayan: CEM500K, a large-scale heterogeneous unlabeled cellular electron microscopy"
                " image dataset for deep learning. eLife 10, e65894, 2021. https://doi.org/10.7554/eLife.65894"
            ),
            source="https://github.com/volume-em/cem-dataset",
            release="3f308d2",
            pixel_size_nm=15,
            pixel_size_estimated=True,
        ),
        _set(
            "ratcortex_mitoemR",
            description=(
                "Multibeam SEM of rat cortex (MitoEM-R), 10 crops of 320 x 320 pixels from two places. The labels are"
                " loose by 1 to 2 pixels; three crops hold no mitochondria."
            ),
            licence=(
                "none stated by the repositories; the data is that of the MitoEM challenge, whose authors' own copy"
                " says MIT (pytc/MitoEM on Hugging Face)"
            ),
            reference=(
                "D. Wei et al.: MitoEM dataset: large-scale 3D mitochondria instance segmentation from EM images."
                " MICCAI 2020, LNCS 12265, 66-76. https://doi.org/10.1007/978-3-030-59722-1_7"
            ),
            source=(
                "https://github.com/nguyen14ck/mito_3d_clstm (r961_*),"
                " https://github.com/MizzouCERI-research/mito_seg_pipeline (r001_*)"
            ),
            release="edeeded, 5d14351",
            pixel_size_nm=8,
            section_thickness_nm=30,
        ),
        _set(
            "nerve_tem_handlabel",
            description=(
                "TEM of myelinated axons, 6 crops of 170 to 530 pixels; thick myelin as negatives. The pixel size is"
                " not published; by the size of mitochondria and myelin it is 7 to 10 nm. All labels were drawn by eye"
                " for this project, not by an expert: for training, never a score."
            ),
            licence="none stated; ask the owner of the repository before any use beyond research",
            reference="https://github.com/Zoiie/Segmentation-of-myelin-in-electron-microscopy-images",
            source="https://github.com/Zoiie/Segmentation-of-myelin-in-electron-microscopy-images",
            release="c394fb8",
            pixel_size_nm=8.5,
            pixel_size_estimated=True,
        ),
    )
}


def small(*names: str, source: str, output: str = "data") -> str:
    """List five small sets of liver, platelets, cultured cells, rat cortex and nerve, for training only.

    They were cut, converted and in part labelled by hand from examples in public repositories, so that no address
    serves them as they are: they are taken from a local copy, and only if each picture is the one that this project
    trained on, pixel by pixel.

    Args:
        *names: which of `liver_fibsem`, `platelet_sbf`, `cem_patches`, `ratcortex_mitoemR` and `nerve_tem_handlabel`;
            all by default.
        source: folder that holds a folder of each set, with its `images` and `labels`.
        output: folder to fill; each set gets a folder in it, with its `datalist.json`.

    Returns:
        What was written, the licences and how to cite the sets.

    Raises:
        FileNotFoundError: if a file is missing in `source`.
        FileExistsError: if there is another `datalist.json`.
        ValueError: if a name is not known, an argument is not a path, or a picture is another one.
        OSError: if a file cannot be read or written.
    """
    require_folders(output=output, source=source)
    for name in names:
        if name not in SMALL:
            raise ValueError(f"{name!r} is none of the small sets {', '.join(SMALL)}")
    sets = [SMALL[name] for name in names or SMALL]
    said = []
    for public_set in sets:
        name = public_set.datalist["name"]
        path = fetch(public_set, Path(output) / name, Path(source) / name)
        said.append(describe(path, public_set.datalist))
    return "\n\n".join(said)
