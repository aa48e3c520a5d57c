from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from synbt_aug.errors import SynBTError
from synbt_aug.support.files import (
    check_output_folder,
    open_npz,
    read_json,
    read_json_list,
    write_json,
    written_whole,
)


def test_a_failed_write_leaves_the_earlier_file(tmp_path: Path) -> None:
    path = tmp_path / "a.nii.gz"
    path.write_text("earlier")
    with pytest.raises(RuntimeError), written_whole(path) as unfinished:
        unfinished.write_text("half")
        raise RuntimeError
    assert path.read_text() == "earlier"
    assert list(tmp_path.iterdir()) == [path]


def test_the_temporary_name_keeps_the_whole_ending(tmp_path: Path) -> None:
    with written_whole(tmp_path / "a.nii.gz") as unfinished:
        unfinished.touch()
        assert unfinished.name.endswith(".nii.gz")


def test_a_folder_under_a_file_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SynBTError, match="output folder must be writable.*Name another one"):
        check_output_folder(tmp_path / "file" / "folder")


def test_an_output_folder_is_made_with_its_parents(tmp_path: Path) -> None:
    assert check_output_folder(tmp_path / "a" / "b").is_dir()
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_json_round_trips_and_its_errors_say_what_it_was_to_be(tmp_path: Path) -> None:
    path = write_json(tmp_path / "a.json", {"n": 1})
    assert read_json(path) == {"n": 1}
    with pytest.raises(SynBTError, match="was to be a recipe"):
        read_json(tmp_path / "b.json", "a recipe")
    path.write_text("{")
    with pytest.raises(SynBTError, match="cannot be read"):
        read_json(path, "a recipe")


@pytest.mark.parametrize("text", ["[]", '"text"', "3", "null", "true"])
def test_json_of_another_kind_is_told_with_what_it_holds(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(SynBTError, match=r"a\.json was to be a recipe, an object .* but holds"):
        read_json(tmp_path / "a.json", "a recipe")


def test_a_list_is_read_where_one_is_asked_for(tmp_path: Path) -> None:
    assert read_json_list(write_json(tmp_path / "a.json", [1, 2])) == [1, 2]
    with pytest.raises(SynBTError, match="a list, but holds an object"):
        read_json_list(write_json(tmp_path / "a.json", {}))


def test_json_that_no_parser_takes_is_told(tmp_path: Path) -> None:
    for text in ("[" * 100_000, "1" * 10_000, "\udcff"):
        (tmp_path / "a.json").write_bytes(text.encode("utf-8", "surrogateescape"))
        with pytest.raises(SynBTError, match="was to be a recipe"):
            read_json(tmp_path / "a.json", "a recipe")


def test_an_archive_of_arrays_is_no_single_array(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.arange(3))
    with open_npz(tmp_path / "a.npz") as arrays:
        assert arrays["x"].tolist() == [0, 1, 2]
    np.save(tmp_path / "b.npy", np.arange(3))
    with pytest.raises(zipfile.BadZipFile), open_npz(tmp_path / "b.npy"):
        pass


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("[" * 100_000, "nested more than 64 deep"),
        ("[" * 65 + "]" * 65, "nested more than 64 deep"),
        ('{"a":' * 70 + "1" + "}" * 70, "nested more than 64 deep"),
        ('"' + "a" * 16_000_000 + '"', "larger than 16 MB"),
        ('{"a": ' + "9" * 5000 + "}", "digits"),
        ("\xe9", "utf-8"),
    ],
)
def test_json_that_no_file_of_ours_looks_like_is_refused(
    tmp_path: Path, content: str, why: str
) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(SynBTError, match=f"was to be a contract, but cannot be read: .*{why}"):
        read_json(path, "a contract")


def test_brackets_within_strings_are_no_nesting(tmp_path: Path) -> None:
    deep = "[" * 200 + '\\"['
    path = write_json(tmp_path / "a.json", [[deep]] * 3)
    assert read_json_list(path) == [[deep]] * 3
    path.write_text("[" * 64 + "]" * 64)
    assert len(read_json_list(path)) == 1


def test_a_file_without_an_end_is_not_read_to_it() -> None:
    with pytest.raises(SynBTError, match="larger than 16 MB"):
        read_json("/dev/zero")
