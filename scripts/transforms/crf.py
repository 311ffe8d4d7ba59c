"""The fully connected CRF as a dictionary transform."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

from monai.config import KeysCollection, NdarrayOrTensor
from monai.data import MetaTensor
from monai.transforms import MapTransform
from monai.utils import ImageMetaKey, TransformBackends, convert_to_dst_type, ensure_tuple

from scripts.crf import check_parameters, dense_crf


class DenseCRFd(MapTransform):
    """Refine probabilities by the section they belong to: :func:`scripts.crf.dense_crf` for dictionaries.

    It runs on whole sections, on probabilities, by the method "grid" where the probabilities are, by "permutohedral"
    on the CPU. Each result has the type, data type, device and metadata of the probabilities that it comes from.

    Args:
        keys: keys of the probabilities, each (C, W, H), as :func:`scripts.crf.dense_crf` takes them.
        image_key: key of the section, (1, W, H) in [0, 1], as the network saw it.
        output_keys: where to write, one key for each of ``keys``, for results with and without the CRF from one forward
            pass; in place if None.
        gaussian_sxy: this and the following are the parameters of :func:`scripts.crf.dense_crf`, with its defaults.
        gaussian_compat: weight of the smoothness kernel.
        bilateral_sxy: width of the appearance kernel in space, in pixels.
        bilateral_srgb: width of the appearance kernel in intensity, in 8-bit grey levels.
        bilateral_compat: weight of the appearance kernel.
        iterations: number of mean-field iterations.
        method: "grid" or "permutohedral".
        overwrite: whether probabilities that are replaced may be used as memory, which saves 4 bytes a pixel.
        allow_missing_keys: whether to pass over keys that the data lacks instead of raising.

    Raises:
        ValueError: if a parameter is out of its range, or ``output_keys`` are not as many as ``keys``; when called, if
            an item is not as above, with its key and, where it is known, its file.
    """

    backend = [TransformBackends.NUMPY, TransformBackends.TORCH]  # noqa: RUF012 (as MONAI declares it)

    def __init__(
        self,
        keys: KeysCollection,
        image_key: Hashable = "image",
        output_keys: KeysCollection | None = None,
        gaussian_sxy: float = 3.0,
        gaussian_compat: float = 0.5,
        bilateral_sxy: float = 5.0,
        bilateral_srgb: float = 20.0,
        bilateral_compat: float = 1.0,
        iterations: int = 5,
        method: str = "grid",
        overwrite: bool = False,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.image_key = image_key
        self.output_keys = self.keys if output_keys is None else ensure_tuple(output_keys)
        if len(self.output_keys) != len(self.keys):
            raise ValueError(f"output_keys {self.output_keys} must be as many as keys {self.keys}")
        self.parameters = {
            "gaussian_sxy": gaussian_sxy,
            "gaussian_compat": gaussian_compat,
            "bilateral_sxy": bilateral_sxy,
            "bilateral_srgb": bilateral_srgb,
            "bilateral_compat": bilateral_compat,
            "iterations": iterations,
            "method": method,
        }
        self.overwrite = overwrite
        check_parameters(**self.parameters)  # now, not after the first section has gone through the network

    def __call__(self, data: Mapping[Hashable, NdarrayOrTensor]) -> dict[Hashable, NdarrayOrTensor]:
        """Add the refined probabilities.

        Args:
            data: the item with the probabilities and their section.

        Returns:
            A shallow copy of the item with the results under the output keys.
        """
        d = dict(data)
        for key, output_key in self.key_iterator(d, self.output_keys):
            image = d[self.image_key]
            overwrite = self.overwrite and output_key == key
            try:
                refined = dense_crf(_plain(d[key]), _plain(image), **self.parameters, overwrite=overwrite)
            except ValueError as error:
                meta = image.meta if isinstance(image, MetaTensor) else {}
                file = meta.get(ImageMetaKey.FILENAME_OR_OBJ, "an unknown file")
                raise ValueError(f"CRF of {key!r}, {file}: {error}") from error
            d[output_key] = convert_to_dst_type(refined, dst=d[key])[0]
        return d


def _plain(array: NdarrayOrTensor) -> NdarrayOrTensor:
    return array.as_tensor() if isinstance(array, MetaTensor) else array
