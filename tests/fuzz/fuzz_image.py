"""Coverage-guided fuzzing of the image path; not a test that pytest collects.

``python tests/fuzz/fuzz_image.py [CORPUS] -max_total_time=60``, with `atheris` installed. Any exception but
`ImageError` is a finding. Seeds are made in a temporary folder: small images in every format, so that mutations
start near one.
"""

from __future__ import annotations

import io
import sys
import tempfile
import warnings
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["edgekit", "PIL"]):
    from PIL import BmpImagePlugin, Image, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin  # noqa: F401

    from edgekit.bundle.manifest import ImageSpec
    from edgekit.errors import ImageError
    from edgekit.preprocess import preprocess

MAX_PIXELS = 100_000
SPECS = [
    ImageSpec(8, 8, "shortest", 8, "bicubic", (0, 0, 0), (0.5,) * 3, (0.5,) * 3),
    ImageSpec(8, 12, "longest", 0, "bilinear", (1, 2, 3), (0.5,) * 3, (0.5,) * 3),
    ImageSpec(12, 8, "squash", 0, "lanczos", (0, 0, 0), (0.5,) * 3, (0.5,) * 3),
]
SAVES = (
    ("JPEG", "RGB", {}),
    ("JPEG", "L", {"progressive": True}),
    ("JPEG", "CMYK", {}),
    ("PNG", "RGBA", {}),
    ("PNG", "P", {}),
    ("PNG", "I;16", {}),
    ("WEBP", "RGB", {}),
    ("BMP", "RGB", {}),
    ("BMP", "1", {}),
    ("TIFF", "RGB", {}),
    ("TIFF", "LA", {"compression": "tiff_lzw"}),
    ("TIFF", "F", {"compression": "tiff_adobe_deflate"}),
)


def one_input(data: bytes) -> None:
    """Preprocess the bytes in each mode; an `ImageError` that names them is the only refusal allowed."""
    for spec in SPECS:
        for decoding in ("fast", "exact"):
            try:
                pixels = preprocess(data, spec, decoding=decoding, max_pixels=MAX_PIXELS)
            except ImageError as error:
                if not str(error).startswith("<bytes>: "):
                    raise RuntimeError(f"the message does not name the image: {error}") from error
                continue
            if pixels.shape != (spec.height, spec.width, 3):
                raise RuntimeError(f"the pixels have shape {pixels.shape}")


def write_seeds(folder: Path) -> None:
    """Write one small image per format and mode, with an orientation."""
    gradient = Image.linear_gradient("L").resize((70, 45))
    exif = Image.Exif()
    exif[0x0112] = 6
    for number, (kind, mode, options) in enumerate(SAVES):
        buffer = io.BytesIO()
        gradient.convert(mode).save(buffer, kind, exif=exif, **options)
        (folder / f"seed-{number:02d}").write_bytes(buffer.getvalue())


def main() -> None:
    """Run until libFuzzer's own options say stop."""
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        write_seeds(Path(folder))
        atheris.Setup([*sys.argv, folder], one_input)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
