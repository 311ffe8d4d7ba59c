from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from monai.data import load_decathlon_datalist
from public_sets import COMMIT, FILES, Home, make_set, read_files, write_files

from bundle.data.fetch import PublicSet, fetch, pixel_digest
from scripts.io import write_section


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


def test_what_a_person_corrected_is_kept_beside_the_published_file(tmp_path: Path, public_set: PublicSet) -> None:
    fetch(public_set, tmp_path / "output")
    for number in (1, 2):
        (tmp_path / "output/masks/00.png").write_bytes(b"correction %d" % number)
        fetch(public_set, tmp_path / "output")
    written = read_files(tmp_path / "output")
    assert {name: written[name] for name in FILES} == FILES
    assert {name: content for name, content in written.items() if name not in {*FILES, "datalist.json"}} == {
        f"masks/00.png.replaced{number}": b"correction %d" % number for number in (1, 2)
    }


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
