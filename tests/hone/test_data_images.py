"""Pictures: every kind of file becomes the same kind of pixels, and what is kept is what was seen."""

import io
import warnings

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from hone.data import images, preprocessing, rows, schema
from hone.data import problem as problems
from hone.data.images import UnreadableError
from hone.data.problem import Problem
from hone.errors import UserError

SIZE = 16
PROBLEM = Problem(task="binary", target="class", metric="accuracy", classes=("a", "b"), positive_index=0)


def photo(width: int = 40, height: int = 30, seed: int = 0) -> Image.Image:
    """Smooth colours, as JPEG likes them."""
    noise = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)


def saved(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def pixels(content: bytes, channels: int = 3) -> np.ndarray:
    return images.stack(pd.Series([content], name="image"), (channels, SIZE, SIZE))[0]


@pytest.mark.parametrize("size", [(40, 30), (30, 40), (16, 16), (7, 9), (1, 50), (300, 10)])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "PPM"])
def test_a_file_and_what_is_kept_of_it_are_the_same_pixels(kind: str, size: tuple[int, int]) -> None:
    content = saved(photo(*size), kind)
    kept = images.normalised(content, SIZE)
    assert pixels(content).tobytes() == pixels(kept).tobytes()
    assert images.normalised(kept, SIZE) == kept
    grey = images.kept(pd.Series([kept], name="image"), (1, SIZE, SIZE))[0]
    assert pixels(content, 1).tobytes() == pixels(kept, 1).tobytes() == pixels(grey, 1).tobytes()
    assert len(grey) < len(kept)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "CMYK", "YCbCr", "I;16"])
def test_every_mode_shows_the_same_picture(mode: str) -> None:
    """Up to what a palette, CMYK and JPEG lose; 1 bit a pixel keeps the mean only."""
    shown = photo(SIZE, SIZE).convert("L").convert("RGB") if mode in ("1", "L", "LA", "I;16") else photo(SIZE, SIZE)
    if mode == "I;16":
        image = Image.fromarray(np.asarray(shown.convert("L")).astype(np.uint16) * 257)
    else:
        image = shown.quantize(64) if mode == "P" else shown.convert(mode)
    kind = {"CMYK": "TIFF", "YCbCr": "JPEG"}.get(mode, "PNG")
    found = pixels(saved(image, kind)).astype(float)
    expected = np.asarray(shown, dtype=float).transpose(2, 0, 1)
    if mode == "1":
        assert abs(found.mean() - expected.mean()) < 16
    else:
        assert np.abs(found - expected).mean() < 12


def test_transparent_parts_are_white_and_an_animation_is_its_first_frame() -> None:
    clear = Image.new("RGBA", (20, 20), (200, 0, 0, 0))
    assert (pixels(saved(clear)) == 255).all()
    palette = Image.new("P", (20, 20), 0)
    palette.putpalette([10, 20, 30] * 256)
    assert (pixels(saved(palette, "PNG", transparency=0)) == 255).all()
    red, blue = (Image.new("RGB", (20, 20), colour) for colour in ("red", "blue"))
    film = saved(red, "GIF", save_all=True, append_images=[blue])
    assert pixels(film)[:, 0, 0].tolist() == [255, 0, 0]


def test_a_photo_is_turned_as_its_camera_says() -> None:
    halves = Image.new("RGB", (SIZE, SIZE))
    halves.paste("white", (0, 0, SIZE, SIZE // 2))  # above
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise: above becomes right
    found = pixels(saved(halves, "PNG", exif=exif))
    assert (found[:, :, SIZE // 2 :] == 255).all()
    assert (found[:, :, : SIZE // 2] == 0).all()


def test_the_square_at_the_centre_is_seen() -> None:
    wide = Image.new("RGB", (60, 20), "red")
    wide.paste("blue", (20, 0, 40, 20))
    assert (pixels(saved(wide))[2] > 240).all()  # the edges see a little of what is beside them


@pytest.mark.parametrize(
    "content",
    [b"", b"no picture at all", saved(photo())[:200], saved(photo(), "JPEG")[:300], b"%!PS-Adobe-3.0 EPSF-3.0\n"],
    ids=["empty", "text", "half a PNG", "half a JPEG", "a program"],
)
def test_what_cannot_be_read_is_an_error_with_a_reason(content: bytes) -> None:
    with pytest.raises(UnreadableError, match=r"\w"):
        images.normalised(content, SIZE)
    with pytest.raises(UserError, match=r"'image': row 2 is no picture"):
        images.stack(pd.Series([saved(photo()), content], name="image"), (3, SIZE, SIZE))


def test_a_picture_that_would_fill_the_memory_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(UnreadableError, match="exceeds limit"):
        images.normalised(saved(photo(40, 30)), SIZE)


def test_odd_files_are_read_without_a_word() -> None:
    content = saved(photo(), "JPEG", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        images.normalised(content, SIZE)


def test_pictures_without_colour_are_kept_grey_unless_params_say_otherwise() -> None:
    grey, colour = (images.normalised(saved(image), SIZE) for image in (photo().convert("L").convert("RGB"), photo()))
    shapes = [schema.of_pictures(found, "image").image.shape for found in ([grey, grey], [grey, colour])]
    assert shapes == [(1, SIZE, SIZE), (3, SIZE, SIZE)]
    assert images.shape([grey], "colour")[0] == 3
    assert images.shape([colour], "grey")[0] == 1


def test_arrays_hold_bytes_and_a_schema_survives_json() -> None:
    frame = pd.DataFrame({"image": [saved(photo(seed=i)) for i in range(4)], "class": list("abab")})
    kept = frame.assign(image=[images.normalised(content, SIZE) for content in frame["image"]])
    found = schema.of_pictures(kept["image"].tolist(), "image")
    assert schema.Schema.from_json(found.to_json()) == found
    preprocessor = preprocessing.fit(kept, found, PROBLEM)
    again = preprocessing.Preprocessor.from_json(preprocessor.to_json(), preprocessor.estimators)
    arrays, others = preprocessor.transform(kept), again.transform(frame)
    assert arrays.x_num.dtype == np.uint8
    assert arrays.x_num.shape == (4, 3, SIZE, SIZE)
    assert arrays.x_num.tobytes() == others.x_num.tobytes()
    assert arrays.y.tolist() == [0, 1, 0, 1]
    assert preprocessor.features(kept.head(0)).x_num.shape == (0, 3, SIZE, SIZE)
    with pytest.raises(UserError, match="lacks column 'image'"):
        preprocessor.features(frame[["class"]])


def test_a_schema_of_a_table_says_nothing_of_pictures() -> None:
    table = schema.infer(pd.DataFrame({"a": [1.5, 2.5, 3.5], "y": [0, 1, 0]}), "y")
    assert "shape" not in table.to_json()["columns"][0]
    assert table.image is None


def test_rows_of_pictures_have_fingerprints_by_their_bytes() -> None:
    frame = pd.DataFrame({"image": [b"one", b"two", b"one"], "class": ["a", "a", "a"]})
    first, second, third = rows.fingerprints(frame).tolist()
    assert first == third != second


def test_pictures_of_another_size_are_other_rows():
    def fitted(size):
        pixels = np.random.default_rng(0).integers(0, 256, (6, size, size, 3), dtype=np.uint8)
        frame = pd.DataFrame({"image": [images.from_pixels(each, size) for each in pixels], "class": list("ababab")})
        problem = problems.infer(frame["class"])
        return preprocessing.fit(frame, schema.of_pictures(frame["image"].tolist(), "image"), problem), frame

    small, rows_of_small = fitted(8)
    _, rows_of_large = fitted(16)
    assert len(set(small.fingerprints(rows_of_small).tolist())) == 6
    with pytest.raises(UserError, match="pictures of 16 pixels are other rows than those of 8"):
        small.fingerprints(rows_of_large)


def test_pictures_are_the_same_rows_in_grey_and_in_colour():
    pixels = np.random.default_rng(0).integers(0, 256, (6, SIZE, SIZE, 3), dtype=np.uint8)
    found = pd.DataFrame({"image": [images.from_pixels(each, SIZE) for each in pixels], "class": list("ababab")})

    def fitted(channels):
        column = schema.of_pictures(found["image"].tolist(), "image", channels)
        frame = found.assign(image=images.kept(found["image"], column.image.shape))
        return preprocessing.fit(frame, column, problems.infer(frame["class"])), frame

    (grey, in_grey), (colour, in_colour) = fitted("grey"), fitted("colour")
    assert grey.fingerprints(in_colour).tolist() == grey.fingerprints(in_grey).tolist()
    for model, frame in ((grey, in_grey), (colour, in_colour)):
        assert model.fingerprints(frame).tolist() == rows.fingerprints(frame).tolist()
    with pytest.raises(UserError, match="kept in grey are other rows than those in colour"):
        colour.fingerprints(in_grey)
