"""Digits and image folders as tensors."""

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; pip install 'outthink[adapt]'")
pytest.importorskip("sklearn", reason="scikit-learn is not installed; pip install 'outthink[adapt]'")
image = pytest.importorskip("PIL.Image", reason="pillow is not installed; pip install 'outthink[adapt]'")

from outthink.adapt.data import digits, read_folder  # noqa: E402
from outthink.core.errors import DataError  # noqa: E402


def test_digits_split_into_all_of_them():
    train, test = digits(seed=3, train=1000)
    assert train.inputs.shape == (1000, 1, 8, 8)
    assert len(test) == 797
    assert train.inputs.min() == 0
    assert train.inputs.max() == 1
    assert sorted(torch.cat([train.labels, test.labels]).tolist()) == sorted(digits(seed=4)[0].labels.tolist() + digits(seed=4)[1].labels.tolist())
    assert torch.equal(digits(seed=3, train=1000)[0].inputs, train.inputs)
    assert not torch.equal(digits(seed=4, train=1000)[0].inputs, train.inputs)
    with pytest.raises(ValueError, match="train must be 1 to 1796"):
        digits(train=1797)


def painted(path, colour, size=(6, 5)):
    path.parent.mkdir(parents=True, exist_ok=True)
    image.new("RGB", size, colour).save(path)


def test_a_folder_is_read_by_class_and_what_does_not_decode_is_named(tmp_path):
    painted(tmp_path / "red" / "a.png", (255, 0, 0))
    painted(tmp_path / "blue" / "b.png", (0, 0, 255))
    painted(tmp_path / "red" / "large.png", (255, 0, 0), size=(12, 10))
    whole = (tmp_path / "blue" / "b.png").read_bytes()
    (tmp_path / "red" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "blue" / "notes.txt").write_text("no image")
    (tmp_path / "blue" / "empty.jpg").write_bytes(b"")
    (tmp_path / "red" / ".hidden").write_text("")
    told = []
    found = read_folder(tmp_path, progress=lambda done, of: told.append((done, of)))
    assert found.classes == ("blue", "red")
    assert found.labels.tolist() == [0, 1, 1]
    assert found.inputs.shape == (3, 3, 5, 6)
    assert found.inputs[:, :, 0, 0].tolist() == [[0, 0, 1], [1, 0, 0], [1, 0, 0]]
    assert sorted(name.rsplit("/")[-1] for name, _ in found.skipped) == ["cut.png", "empty.jpg", "notes.txt"]
    assert all(reason for _, reason in found.skipped)
    assert told[-1] == (6, 6)
    assert read_folder(tmp_path, size=(3, 4), channels=1).inputs.shape == (3, 1, 3, 4)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda place: None, "no subfolders"),
        (lambda place: (place / "a").mkdir(), "1 empty subfolders"),
        (lambda place: ((place / "a").mkdir(), (place / "a" / "x.png").write_text("?")), "none of the 1 files"),
    ],
)
def test_an_empty_folder_is_refused(tmp_path, make, said):
    make(tmp_path)
    with pytest.raises(DataError, match=said):
        read_folder(tmp_path)
    with pytest.raises(DataError, match="no folder"):
        read_folder(tmp_path / "nothing")


def test_bad_channels_are_refused(tmp_path):
    with pytest.raises(ValueError, match="channels"):
        read_folder(tmp_path, channels=2)
