from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from epfl_volume import make_epfl

from bundle.data.combine import combine, merged
from bundle.data.epfl import epfl
from bundle.data.fetch import PublicSet
from scripts.io import load_sections, write_section


def write_section_list(folder: Path, parts: dict[str, list[dict]], **more: object) -> str:
    folder.mkdir(exist_ok=True)
    (folder / "datalist.json").write_text(json.dumps({**more, **parts}))
    return str(folder / "datalist.json")


def make_items(folder: Path, *shapes: tuple[int, int], **more: object) -> list[dict]:
    """Sections of given sizes, labelled on their right half."""
    folder.mkdir(exist_ok=True)
    items = []
    for number, shape in enumerate(shapes):
        pixels = np.zeros(shape, np.uint8)
        pixels[shape[0] // 2 :] = 1
        write_section(folder / f"{number}.png", pixels)
        items.append({"image": f"{number}.png", "label": f"{number}.png", **more})
    return items


def test_combine_balances_the_sets(tmp_path: Path, tiny_phantom: Path) -> None:
    """Not by their numbers of sections, which stay as they are, but by their weights."""
    epfl(source=str(make_epfl(tmp_path / "source", stack=False)), output=str(tmp_path / "epfl"))
    lists = [str(tmp_path / "epfl/datalist.json"), str(tiny_phantom / "datalist.json")]
    combine(*lists, output=str(tmp_path / "joint"))
    training, test = (load_sections(tmp_path / "joint/datalist.json", part) for part in ("training", "test"))
    images = [Path(item["image"]).resolve() for item in training]
    assert [image.is_relative_to(tmp_path) for image in images] == [True] * 10 + [False] * 2
    assert len(set(images)) == 12
    assert [item["weight"] for item in training] == pytest.approx([12 / 2 / 10] * 10 + [12 / 2 / 2] * 2)
    assert len(test) == 3 + 2
    combine(*lists, output=str(tmp_path / "joint"))  # the same again is no error
    with pytest.raises(FileExistsError, match=r"joint.datalist\.json is another list"):
        combine(*lists[::-1], output=str(tmp_path / "joint"))
    with pytest.raises(ValueError, match="at least two"):
        combine(lists[0], output=str(tmp_path / "one"))


def test_combine_weighs_sets_and_areas(tmp_path: Path) -> None:
    """Each item keeps what its own list says of it; the terms of all sets are carried along."""
    fine = write_section_list(
        tmp_path / "fine",
        {"training": make_items(tmp_path / "fine", (40, 40), (20, 20))},
        pixel_size_nm=4,
        licence="CC BY 4.0",
        name="fine",
    )
    coarse = make_items(tmp_path / "coarse", (20, 20), (40, 20), label_format="instances")
    coarse[1] |= {"region": [0, 0, 20, 20], "pixel_size_nm": 16}
    coarse = write_section_list(tmp_path / "coarse", {"training": coarse, "test": coarse[:0]}, pixel_size_nm=[8, 8])
    combine(fine, coarse, output=str(tmp_path / "joint"), weights=(1, 0.5))
    items = load_sections(tmp_path / "joint/datalist.json", "training")
    weights = np.array([item["weight"] for item in items])
    np.testing.assert_allclose(weights / weights.sum(), [0.8 * 2 / 3, 0.2 * 2 / 3, 0.2 / 3, 0.8 / 3], rtol=1e-5)
    assert weights.mean() == pytest.approx(1, rel=1e-5)
    assert [item["label_format"] for item in items] == ["mask"] * 2 + ["instances"] * 2
    content = json.loads((tmp_path / "joint/datalist.json").read_text())
    assert [np.mean(item["pixel_size_nm"]) for item in content["training"]] == [4, 4, 8, 16]
    assert content["validation"] == content["test"] == []
    assert content["name"] == "fine + coarse"
    assert content["licence"] == "fine: CC BY 4.0; coarse: not stated"
    # a joint list has weights of its own, which hold among its items when it is joined again
    third = write_section_list(tmp_path / "third", {"training": make_items(tmp_path / "third", (30, 30))})
    combine(str(tmp_path / "joint/datalist.json"), third, output=str(tmp_path / "again"))
    again = np.array([item["weight"] for item in load_sections(tmp_path / "again/datalist.json", "training")])
    np.testing.assert_allclose(again / again.sum(), [*(weights / weights.sum() / 2), 0.5], rtol=1e-5)


@pytest.mark.parametrize("weights", [(1, 0), (1, -1), (1, float("nan")), (1, "a"), (1, True), (1,), (1, 1, 1), 2])
def test_combine_refuses_wrong_weights(tmp_path: Path, tiny_phantom: Path, weights: object) -> None:
    item = make_items(tmp_path / "a", (20, 20))
    lists = [str(tiny_phantom / "datalist.json"), write_section_list(tmp_path / "a", {"training": item})]
    with pytest.raises(ValueError, match=r"one number for each of the 2 lists|a.datalist.json: the weight of a set"):
        combine(*lists, output=str(tmp_path / "joint"), weights=weights)
    assert not (tmp_path / "joint").exists()


def test_combine_refuses_lists_without_training_and_training_on_test(tmp_path: Path) -> None:
    items = make_items(tmp_path / "a", (20, 20), (20, 20))
    whole = write_section_list(tmp_path / "a", {"training": items[:1], "test": items[1:]})
    for part in ({}, {"training": []}, {"test": items[:1]}):
        other = write_section_list(tmp_path / "b", part)
        with pytest.raises(ValueError, match=r"b.datalist.json: its list 'training' is missing or empty"):
            combine(whole, other, output=str(tmp_path / "joint"))
    items = [{**item, **{key: f"../a/{item[key]}" for key in ("image", "label")}} for item in items]
    swapped = write_section_list(tmp_path / "b", {"training": items[1:]})
    with pytest.raises(ValueError, match=r"1.png: region \[0, 0, 20, 20\] would be for training, and .* for test"):
        combine(whole, swapped, output=str(tmp_path / "joint"))


def test_combine_refuses_a_public_set_with_other_terms_or_files(
    tmp_path: Path, public_set: PublicSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights inherit the terms, so the name of a public set has to mean that set."""
    source = tmp_path / "known"
    items = make_items(source, (20, 20))
    known = PublicSet(
        sha256={"0.png": hashlib.sha256((source / "0.png").read_bytes()).hexdigest()},
        datalist={"name": "known", "licence": "CC0", "release": "abc", "training": items},
    )
    for table, entry in (("PUBLIC", known), ("TERMS", known.datalist)):
        monkeypatch.setitem(getattr(sys.modules["bundle.data.combine"], table), "known", entry)
    other = write_section_list(tmp_path / "other", {"training": make_items(tmp_path / "other", (20, 20))})

    def join(**more: object) -> None:
        stated = {**known.datalist, **more}
        path = write_section_list(source, {}, **stated)
        combine(path, other, output=str(tmp_path / stated["name"] / "joint"))

    for key in ("licence", "release"):
        with pytest.raises(
            ValueError, match=rf"known.datalist.json: states for known the {key} 'another', its command"
        ):
            join(**{key: "another"})
    join(description="in other words")
    write_section(source / "0.png", np.eye(20, dtype=np.uint8))
    with pytest.raises(ValueError, match=r"known.0.png is not the published file"):
        join(description="in other words")
    join(name="mine", licence="another")
    with pytest.raises(ValueError, match="'not stated; ask at https"):
        join(name="epfl_hippocampus")


def test_combine_to_refit_joins_regions_that_lie_side_by_side(tmp_path: Path, tiny_phantom: Path) -> None:
    item = json.loads((tiny_phantom / "datalist.json").read_text())["training"][0]
    item = {key: str(tiny_phantom / item[key]) for key in ("image", "label")}
    parts = {
        "training": [{**item, "region": [0, 0, 40, 96]}],
        "validation": [{**item, "region": [40, 0, 60, 96]}],
        "test": [{**item, "region": [70, 0, 96, 96]}],
    }
    small = write_section_list(tmp_path / "a", parts)
    others = make_items(tmp_path / "c", (96, 96), (96, 96), (96, 96))
    other = write_section_list(
        tmp_path / "c", {part: [entry] for part, entry in zip(parts, others, strict=True)}, name="c"
    )
    combine(small, other, output=str(tmp_path), refit=True)
    training = load_sections(tmp_path / "datalist.json", "training")
    assert [item.get("region") for item in training] == [[0, 0, 60, 96], None, None]
    assert [item["weight"] for item in training] == pytest.approx([1.5, 0.75, 0.75])
    test = load_sections(tmp_path / "datalist.json", "test")
    assert {item["image"] for item in test[1:]}.isdisjoint(item["image"] for item in training[1:])
    # regions that leave a gap stay apart
    parts["validation"][0]["region"] = [50, 0, 60, 96]
    combine(write_section_list(tmp_path / "a", parts), other, output=str(tmp_path / "b"), refit=True)
    training = load_sections(tmp_path / "b/datalist.json", "training")
    assert [item.get("region") for item in training[:2]] == [[0, 0, 40, 96], [50, 0, 60, 96]]
    assert [item["weight"] for item in training] == pytest.approx([1.6, 0.4, 1, 1])


def test_only_what_is_labelled_alike_and_tiles_a_rectangle_is_merged() -> None:
    def item(region: list[int] | None, **more: object) -> dict:
        stated = {"image": "a.png", "page": 0, "label": "a_label.png", "weight": 1.0, **more}
        return stated if region is None else {**stated, "region": region}

    left, right, far = [0, 0, 30, 50], [30, 0, 60, 50], [60, 0, 90, 50]
    assert merged([item(left), item(right, weight=2.0)]) == [item([0, 0, 60, 50], weight=3.0)]
    differing = ({"label": "b_label.png"}, {"known": "k.png"}, {"ignore_value": 7}, {"label_format": "instances"})
    for other in (*differing, {"valid": "v.png"}, {"channel": 1}, {"pixel_size_nm": [4.0, 4.0]}):
        apart = [item(left), item(right, **other)]
        assert merged(apart) == apart
    # areas that add up to a rectangle do not fill it where some lie over each other
    assert merged([item(left), item(left), item(far)]) == [item(left, weight=2.0), item(far)]
    over = [item([0, 0, 40, 50]), item([20, 0, 40, 50]), item([60, 0, 80, 50])]
    assert merged(over) == over
    assert merged([item(None), item(None)]) == [item(None, weight=2.0)]


def test_a_list_with_a_byte_order_mark_is_joined_as_without(tmp_path: Path, tiny_phantom: Path) -> None:
    parts = {"training": make_items(tmp_path / "a", (20, 20)), "test": make_items(tmp_path / "a", (20, 20))[:0]}
    lists = [write_section_list(tmp_path / "a", parts, licence="MIT"), str(tiny_phantom / "datalist.json")]
    combine(*lists, output=str(tmp_path / "plain"))
    Path(lists[0]).write_text(Path(lists[0]).read_text(), encoding="utf-8-sig")
    combine(*lists, output=str(tmp_path / "marked"))
    plain, marked = ((tmp_path / name / "datalist.json").read_text() for name in ("plain", "marked"))
    assert marked == plain


def test_validation_items_are_as_heavy_by_area_as_training_items_in_a_refit(tmp_path: Path) -> None:
    items = make_items(tmp_path / "a", (20, 20), (20, 20), (40, 20), (20, 20))
    parts = {
        "training": [{**items[0], "weight": 30}, {**items[1], "weight": 50}],
        "validation": [items[2], {**items[3], "weight": 7}],
    }
    lists = [
        write_section_list(tmp_path / "a", parts),
        write_section_list(tmp_path / "b", {"training": make_items(tmp_path / "b", (20, 20))}),
    ]
    combine(*lists, output=str(tmp_path / "joint"), refit=True)
    weights = np.array([item["weight"] for item in load_sections(tmp_path / "joint/datalist.json", "training")])
    np.testing.assert_allclose(weights / weights.sum(), [*(np.array([30, 50, 80, 7]) / 167 / 2), 0.5], rtol=1e-5)
