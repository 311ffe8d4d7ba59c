from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from monai.data import load_decathlon_datalist

from bundle.__main__ import main
from bundle.data.combine import combine
from bundle.data.epfl import epfl
from bundle.data.fetch import PublicSet, fetch, pixel_digest
from bundle.data.sbem import SBEM, sbem
from bundle.data.small import SMALL, small
from bundle.data.vnc import VNC, vnc
from scripts.io import check_sections, load_sections, write_section

DATA = Path(__file__).parents[3] / "shared" / "data"

FILES = {"raw/00.tif": b"section 0", "raw/01.tif": b"section 1", "masks/00.png": b"mask 0", "masks/01.png": b"mask 1"}
COMMIT = "0123456789abcdef"


class Home(ThreadingHTTPServer):
    """Serves a folder on this machine in place of the home of a set, and notes what was asked of it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.requested: list[str] = []
        self.cuts_off = False
        super().__init__(("127.0.0.1", 0), partial(_Handler, directory=str(root)))


class _Handler(SimpleHTTPRequestHandler):
    def send_header(self, keyword: str, value: str) -> None:
        if keyword == "Content-Length" and self.server.cuts_off:
            value = str(int(value) + 1)
        super().send_header(keyword, value)

    def log_message(self, *_: object) -> None:
        self.server.requested.append(self.path.removeprefix("/"))


def write_files(root: Path) -> Path:
    for name, content in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def read_files(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def make_set(url: str) -> PublicSet:
    items = [{"image": f"raw/0{i}.tif", "label": f"masks/0{i}.png", "region": [0, 0, 8, 8]} for i in range(2)]
    return PublicSet(
        repository="https://example.org/set.git",
        commit=COMMIT,
        url=url,
        sha256={name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()},
        datalist={"name": "small", "licence": "L", "reference": "R", "training": items, "validation": [], "test": []},
    )


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Home(write_files(tmp_path / "home")) as server:
        thread = Thread(target=partial(server.serve_forever, poll_interval=0.01))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def public_set(home: Home) -> PublicSet:
    return make_set(f"http://127.0.0.1:{home.server_port}")


@pytest.fixture
def unreachable() -> PublicSet:
    """A set whose home answers nobody: its port is bound and closed again."""
    with ThreadingHTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler) as server:
        port = server.server_port
    return make_set(f"http://127.0.0.1:{port}")


def test_fetch_gives_the_published_files_and_a_list_that_monai_reads(tmp_path: Path, public_set: PublicSet) -> None:
    output = tmp_path / "new" / "output"
    datalist = fetch(public_set, output)
    written = read_files(output)
    assert json.loads(written.pop("datalist.json")) == public_set.datalist
    assert written == FILES
    items = load_decathlon_datalist(datalist, data_list_key="training")
    assert [Path(item["image"]).read_bytes() for item in items] == [b"section 0", b"section 1"]
    assert [Path(item["label"]).read_bytes() for item in items] == [b"mask 0", b"mask 1"]
    assert items[0]["region"] == [0, 0, 8, 8]


def test_fetch_again_asks_only_for_what_is_missing_or_wrong(
    tmp_path: Path, home: Home, public_set: PublicSet, caplog: pytest.LogCaptureFixture
) -> None:
    fetch(public_set, tmp_path / "output")
    (tmp_path / "output/raw/01.tif").unlink()
    (tmp_path / "output/masks/00.png").write_bytes(b"half a m")
    (tmp_path / "output/raw/notes.txt").write_bytes(b"of the user")
    home.requested.clear()
    fetch(public_set, tmp_path / "output")
    assert home.requested == ["raw/01.tif", "masks/00.png"]
    written = read_files(tmp_path / "output")
    assert {name: written[name] for name in FILES} == FILES
    assert written["raw/notes.txt"] == b"of the user"
    assert [record.args[0].name for record in caplog.records] == ["00.png"]


def test_an_interrupted_fetch_leaves_whole_files_only_and_resumes(
    tmp_path: Path, home: Home, public_set: PublicSet
) -> None:
    content = (home.root / "masks/00.png").read_bytes()
    (home.root / "masks/00.png").unlink()
    with pytest.raises(ConnectionError, match=r"masks/00\.png.*404"):
        fetch(public_set, tmp_path / "output")
    assert read_files(tmp_path / "output") == {name: FILES[name] for name in ("raw/00.tif", "raw/01.tif")}
    (home.root / "masks/00.png").write_bytes(content)
    home.requested.clear()
    fetch(public_set, tmp_path / "output")
    assert home.requested == ["masks/00.png", "masks/01.png"]


def test_a_connection_cut_off_is_an_error_of_the_connection(tmp_path: Path, home: Home, public_set: PublicSet) -> None:
    home.cuts_off = True
    with pytest.raises(ConnectionError, match=r"raw/00\.tif.*1 more expected"):
        fetch(public_set, tmp_path / "output")
    assert not (tmp_path / "output").exists()


def test_a_file_cut_off_while_written_does_not_get_its_final_name(
    tmp_path: Path, public_set: PublicSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill_the_disk(path: Path, data: bytes) -> None:
        with path.open("wb") as file:
            file.write(data[:3])
        raise OSError("No space left on device")

    with monkeypatch.context() as context:
        context.setattr(Path, "write_bytes", fill_the_disk)
        with pytest.raises(OSError, match="No space left"):
            fetch(public_set, tmp_path / "output")
    assert not (tmp_path / "output/raw/00.tif").exists()
    fetch(public_set, tmp_path / "output")
    assert set(read_files(tmp_path / "output")) == {*FILES, "datalist.json"}


def test_fetch_refuses_what_is_not_the_published_file(tmp_path: Path, home: Home, public_set: PublicSet) -> None:
    (home.root / "raw/00.tif").write_bytes(b"<html>log in to this network</html>")
    with pytest.raises(ValueError, match=rf"{public_set.url}/raw/00\.tif is not the published file"):
        fetch(public_set, tmp_path / "output")
    assert not (tmp_path / "output").exists()


def test_without_a_network_the_error_names_the_address_and_the_ways_out(tmp_path: Path, unreachable: PublicSet) -> None:
    with pytest.raises(ConnectionError) as raised:
        fetch(unreachable, tmp_path / "output")
    message = str(raised.value)
    for part in (f"{unreachable.url}/raw/00.tif", f"git clone {unreachable.repository}", COMMIT, "--source"):
        assert part in message
    assert "\n" not in message


def test_source_needs_no_network(tmp_path: Path, unreachable: PublicSet) -> None:
    source = write_files(tmp_path / "source")
    fetch(unreachable, tmp_path / "output", source)
    written = read_files(tmp_path / "output")
    del written["datalist.json"]
    assert written == FILES == read_files(source)


def test_source_may_be_the_output(tmp_path: Path, unreachable: PublicSet) -> None:
    folder = write_files(tmp_path / "clone")
    fetch(unreachable, folder, folder)
    assert set(read_files(folder)) == {*FILES, "datalist.json"}


def damage(path: Path) -> None:
    path.write_bytes(b"other")


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [(damage, ValueError, "not the published file"), (Path.unlink, FileNotFoundError, "missing")],
)
def test_source_error_names_the_file(
    tmp_path: Path, unreachable: PublicSet, spoil: Callable[[Path], None], error: type[Exception], message: str
) -> None:
    source = write_files(tmp_path / "source")
    spoil(source / "masks/01.png")
    with pytest.raises(error, match=rf"masks.01\.png.*{message}") as caught:
        fetch(unreachable, tmp_path / "output", source)
    assert str(source) in str(caught.value)
    assert not (tmp_path / "output/datalist.json").exists()


def test_another_datalist_is_not_overwritten(tmp_path: Path, home: Home, public_set: PublicSet) -> None:
    output = tmp_path / "output"
    output.mkdir()
    (output / "datalist.json").write_text('{"name": "of the user"}')
    with pytest.raises(FileExistsError, match=r"datalist\.json .* \(licence, name, reference, test, training, val"):
        fetch(public_set, output)
    assert read_files(output) == {"datalist.json": b'{"name": "of the user"}'}
    (output / "datalist.json").write_text(json.dumps({**public_set.datalist, "licence": "none"}))
    with pytest.raises(FileExistsError, match=r"datalist\.json is another list than the one to be written \(licence\)"):
        fetch(public_set, output)
    assert not home.requested


def test_vnc_lists_every_section_in_disjoint_regions() -> None:
    columns = {"training": (0, 384), "validation": (384, 512), "test": (544, 1024)}
    for part, (left, right) in columns.items():
        items = VNC.datalist[part]
        assert [item["region"] for item in items] == [[left, 0, right, 1024]] * 20
        assert {item[key] for item in items for key in ("image", "label")} == set(VNC.sha256)
        assert all(Path(item["image"]).stem == Path(item["label"]).stem for item in items)
    assert len(VNC.sha256) == len(set(VNC.sha256.values())) == 40


def test_vnc_says_what_it_wrote_and_the_licence(
    tmp_path: Path, unreachable: PublicSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        sys.modules["bundle.data.vnc"], "VNC", replace(VNC, url=unreachable.url, sha256=unreachable.sha256)
    )
    said = vnc(output=str(tmp_path / "output"), source=str(write_files(tmp_path / "source")))
    assert str(tmp_path / "output" / "datalist.json") in said
    assert "20 training, 20 validation, 20 test" in said
    assert "CC BY-NC-SA 3.0: non-commercial" in said
    assert "10.6084/m9.figshare.856713" in said


def test_sbem_lists_every_section_once() -> None:
    names = [item["image"] for part in ("training", "validation", "test") for item in SBEM.datalist[part]]
    assert names == [f"images/{i:03d}.png" for i in range(10, 30)]
    assert len(SBEM.datalist["test"]) == 5
    assert set(SBEM.sha256) == set(SBEM.home) == {*names, *(name.replace("images", "labels") for name in names)}


def test_pixels_count_not_their_compression(tmp_path: Path, section: np.ndarray, home: Home) -> None:
    """A set that is known by its pixels takes any file with these pixels, under its name here or at home."""
    write_section(tmp_path / "a.tif", section)
    write_section(tmp_path / "a.png", section)
    write_section(tmp_path / "b.png", section + 1)
    digest = pixel_digest((tmp_path / "a.tif").read_bytes(), "a.tif")
    assert pixel_digest((tmp_path / "a.png").read_bytes(), "a.png") == digest
    public_set = replace(
        make_set("http://127.0.0.1:1"),
        sha256={"images/0.png": digest},
        home={"images/0.png": "a.png"},
        digest=pixel_digest,
    )
    fetch(public_set, tmp_path / "output", tmp_path)
    assert (tmp_path / "output/images/0.png").read_bytes() == (tmp_path / "a.png").read_bytes()
    (tmp_path / "b.png").rename(tmp_path / "a.png")
    with pytest.raises(ValueError, match="is not the published file"):
        fetch(public_set, tmp_path / "other", tmp_path)
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match="is not the published file"):
        fetch(public_set, tmp_path / "other", tmp_path)


def test_small_sets_are_listed_whole_with_their_terms() -> None:
    assert [len(public_set.datalist["training"]) for public_set in SMALL.values()] == [2, 2, 4, 10, 6]
    for name, public_set in SMALL.items():
        datalist = public_set.datalist
        assert {item[key] for item in datalist["training"] for key in ("image", "label")} == set(public_set.sha256)
        assert datalist["name"] == name
        assert all(datalist[key] for key in ("licence", "release", "source", "reference", "pixel_size_nm"))
        assert datalist.get("pixel_size_estimated", False) == ("not published" in datalist["description"])


def test_small_sets_come_from_a_local_copy_only(
    tmp_path: Path, section: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "source/mine"
    for name in ("images/a.png", "labels/a.png"):
        write_section(source / name, section)
    digest = pixel_digest((source / "images/a.png").read_bytes(), "a.png")
    item = {"image": "images/a.png", "label": "labels/a.png"}
    mine = PublicSet(
        sha256=dict.fromkeys(item.values(), digest),
        datalist={"name": "mine", "licence": "L", "reference": "R", "training": [item]},
        digest=pixel_digest,
    )
    monkeypatch.setitem(SMALL, "mine", mine)
    said = small("mine", source=str(source.parent), output=str(tmp_path / "data"))
    assert "mine/datalist.json: 1 training, 0 validation, 0 test regions" in said
    assert len(load_sections(tmp_path / "data/mine/datalist.json", "training")) == 1
    with pytest.raises(ValueError, match="mine is not served by any address"):
        fetch(mine, tmp_path / "other")
    write_section(source / "labels/a.png", section + 1)
    with pytest.raises(ValueError, match=r"labels/a.png of .*mine is not the published file"):
        small("mine", source=str(source.parent), output=str(tmp_path / "other"))
    with pytest.raises(ValueError, match="'yours' is none of the small sets liver_fibsem, "):
        small("yours", source=str(source.parent))


@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_dir(), reason="needs the real data sets in ../shared/data")
def test_real_sets(tmp_path: Path) -> None:
    """Every set at hand is the one that its command knows, and joins the others."""
    vnc(output=str(tmp_path / "drosophila_vnc"), source=str(DATA / "drosophila_vnc"))
    sbem(output=str(tmp_path / "sbem_brain"), source=str(DATA / "sbem_brain"))
    epfl(output=str(tmp_path / "epfl"), source=str(DATA / "epfl_hippocampus"), dense=True, label_format="instances")
    small(output=str(tmp_path), source=str(DATA / "small"))
    lists = [str(path) for path in sorted(tmp_path.glob("*/datalist.json"))]
    assert len(lists) == 8
    combine(*lists, output=str(tmp_path / "joint"), weights=[1] * 8)
    parts = {part: load_sections(tmp_path / "joint/datalist.json", part) for part in ("training", "validation", "test")}
    assert {part: len(items) for part, items in parts.items()} == {"training": 84, "validation": 27, "test": 34}
    for name in (path.parent.name for path in map(Path, lists)):
        folder = (DATA / "epfl_hippocampus" if name == "epfl" else tmp_path / name).resolve()
        weight = sum(
            item["weight"] for item in parts["training"] if Path(item["image"]).resolve().is_relative_to(folder)
        )
        assert weight == pytest.approx(84 / 8, rel=1e-4)


def make_epfl(folder: Path, stack: bool, starts: tuple[int, ...] = (0,)) -> Path:
    pixels = np.random.default_rng(0).integers(0, 255, (20, 30, 165), dtype=np.uint8)
    if stack:
        write_section(folder / "training.tif", pixels)
        write_section(folder / "training_groundtruth.tif", (pixels > 128).astype(np.uint8))
    else:
        for number in (number for number in range(165) if number % 11 in starts):
            write_section(folder / f"images/{number:03d}.png", pixels[..., number])
            write_section(folder / f"labels/{number:03d}.png", (pixels[..., number] > 128).astype(np.uint8))
            write_section(folder / f"instances/{number:03d}.png", pixels[..., number] // 100)
    return folder


def listed_epfl(folder: Path) -> dict[str, list[dict]]:
    return {part: load_sections(folder / "datalist.json", part) for part in ("training", "validation", "test")}


@pytest.mark.parametrize("stack", [True, False])
def test_epfl_lists_every_eleventh_slice(tmp_path: Path, stack: bool) -> None:
    said = epfl(source=str(make_epfl(tmp_path / "source", stack)), output=str(tmp_path / "output"))
    assert "10 training, 2 validation, 3 test" in said
    items = [item for part in listed_epfl(tmp_path / "output").values() for item in part]
    assert [item["page"] if stack else int(Path(item["image"]).stem) for item in items] == list(range(0, 155, 11))


@pytest.mark.parametrize("stack", [True, False])
def test_dense_epfl_keeps_its_parts_as_far_apart(tmp_path: Path, stack: bool) -> None:
    said = epfl(source=str(make_epfl(tmp_path / "source", stack, (0, 4, 8))), output=str(tmp_path), dense=True)
    assert "28 training, 4 validation, 9 test" in said
    parts = [
        [item["page"] if stack else int(Path(item["image"]).stem) for item in items]
        for items in listed_epfl(tmp_path).values()
    ]
    assert parts[0][:5] == [0, 4, 8, 11, 15]
    assert [after[0] - before[-1] for before, after in pairwise(parts)] == [11, 11]


def test_epfl_instances(tmp_path: Path) -> None:
    source = make_epfl(tmp_path / "source", stack=False)
    epfl(source=str(source), output=str(tmp_path), label_format="instances")
    item = listed_epfl(tmp_path)["test"][0]
    assert item["label_format"] == "instances"
    assert Path(item["label"]).resolve() == (source / "instances/132.png").resolve()
    check_sections([item])
    with pytest.raises(ValueError, match=r"training_groundtruth\.tif is a mask, not numbered instances"):
        epfl(source=str(make_epfl(source, stack=True)), output=str(tmp_path / "b"), label_format="instances")
    with pytest.raises(ValueError, match="label_format has to be one of mask, instances, got 'classes'"):
        epfl(source=str(source), output=str(tmp_path / "b"), label_format="classes")
    with pytest.raises(ValueError, match="dense has to be True or False, got 45"):
        epfl(source=str(source), output=str(tmp_path / "b"), dense=45)


def test_epfl_says_where_the_volume_is_to_be_had(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"neither training\.tif nor images/; .* https://www\.epfl\.ch"):
        epfl(source=str(tmp_path), output=str(tmp_path / "output"))


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


@pytest.mark.parametrize("command", [vnc, sbem, epfl])
@pytest.mark.parametrize("arguments", [{"output": True}, {"output": ""}, {"output": "x", "source": 5}])
def test_paths_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Callable, arguments: dict) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="must be the path of a folder, got"):
        command(**{"source": ".", **arguments})


def test_the_command_line_ends_an_error_as_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "sys.argv", ["bundle", "data", "vnc", f"--output={tmp_path / 'out'}", f"--source={tmp_path / 'nowhere'}"]
    )
    with pytest.raises(SystemExit, match=r"error: .*nowhere.stack1.raw.00\.tif is missing"):
        main()
