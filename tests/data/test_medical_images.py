"""DICOM and NIfTI files in folders of images, made by the libraries that read them."""

import gzip
import io
import sys
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
import torch
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from pslgs.data.decoding import decode
from pslgs.data.loading import open_source
from pslgs.data.samples import SampleForm
from pslgs.spec.data import DataSource, DataSpec
from pslgs.spec.errors import InputError

FIELD = "spec.data.train"
STORED = np.array([[0, 1024, 4095], [1064, 864, 1264]], dtype=np.uint16)


def dicom(pixels=STORED, *, bits=12, kind="MONOCHROME2", signed=False, **tags) -> bytes:
    meta = pydicom.dataset.FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image = pydicom.dataset.FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    image.Rows, image.Columns = pixels.shape[:2] if kind == "RGB" else pixels.shape[-2:]
    image.SamplesPerPixel = 3 if kind == "RGB" else 1
    if kind == "RGB":
        image.PlanarConfiguration = 0
    elif pixels.ndim == 3:
        image.NumberOfFrames = len(pixels)
    image.BitsAllocated = pixels.itemsize * 8
    image.BitsStored, image.HighBit = bits, bits - 1
    image.PixelRepresentation = int(signed)
    image.PhotometricInterpretation = kind
    for name, value in tags.items():
        setattr(image, name, value)
    image.PixelData = pixels.tobytes()
    buffer = io.BytesIO()
    image.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def nifti(values, kind=nibabel.Nifti1Image, affine=None, slope=None) -> bytes:
    image = kind(values, np.eye(4) if affine is None else affine)
    if slope:
        image.header.set_slope_inter(*slope)
    return image.to_bytes()


def test_stored_bits_decide_the_scale_of_a_dicom_image_without_a_window():
    image = decode(dicom())
    assert (image.shape, image.dtype) == ((3, 2, 3), torch.float32)
    assert np.allclose(image[0], STORED / 4095, atol=1e-6)
    assert torch.equal(image[0], image[2])
    same = decode(dicom(RescaleSlope=2, RescaleIntercept=-1024))
    assert np.allclose(same, image, atol=1e-6)
    signed = np.array([[-2048, 0, 2047]], dtype=np.int16)
    assert np.allclose(decode(dicom(signed, signed=True))[0], (signed + 2048) / 4095.0, atol=1e-6)


def test_a_window_is_in_units_of_the_modality():
    spec = DataSpec.model_validate({"train": {"format": "ImageFolder", "path": "x"}, "window": [40, 400]})
    assert spec.value_range == (-160.0, 239.0)
    image = decode(dicom(RescaleSlope=1, RescaleIntercept=-1024), spec.value_range)
    hounsfield = STORED.astype(float) - 1024
    assert np.allclose(image[0], ((hounsfield + 160) / 399).clip(0, 1), atol=1e-6)


def test_a_monochrome1_image_is_inverted_and_frames_are_a_volume():
    plain = decode(dicom(RescaleIntercept=-1024))
    assert np.allclose(decode(dicom(kind="MONOCHROME1", RescaleIntercept=-1024)), 1 - plain, atol=1e-6)
    volume = decode(dicom(np.stack([STORED, STORED // 2])))
    assert volume.shape == (1, 2, 2, 3)
    assert np.allclose(volume[0, 1], STORED // 2 / 4095, atol=1e-6)


def test_colours_stay_bytes():
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    image = decode(dicom(pixels, bits=8, kind="RGB"))
    assert image.dtype == torch.uint8
    assert np.array_equal(image.permute(1, 2, 0), pixels)


VOLUME = np.arange(24, dtype=np.int16).reshape(2, 3, 4)


@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image], ids=["NIfTI-1", "NIfTI-2"])
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_a_nifti_volume_has_one_channel_and_depth_first(kind, packed):
    data = nifti(VOLUME, kind)
    volume = decode(gzip.compress(data) if packed else data)
    assert (volume.shape, volume.dtype) == ((1, 4, 3, 2), torch.float32)
    assert np.array_equal(volume[0], VOLUME.transpose(2, 1, 0))


def test_nifti_volumes_are_turned_alike_scaled_by_their_slope_and_by_the_range():
    left = np.diag([-1.0, 1, 1, 1])
    assert torch.equal(decode(nifti(VOLUME[::-1].copy(), affine=left)), decode(nifti(VOLUME)))
    header = bytearray(nifti(VOLUME))
    header[112:120] = np.array([2, -10], "<f4").tobytes()
    assert torch.equal(decode(bytes(header)), decode(nifti(VOLUME)) * 2 - 10)
    assert torch.equal(decode(nifti(VOLUME), (0.0, 10.0)), (decode(nifti(VOLUME)) / 10).clamp(0, 1))
    assert decode(nifti(np.zeros((2, 3, 4, 5), np.float32))).shape == (5, 4, 3, 2)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, data in {
        "healthy/one.dcm": dicom(),
        "healthy/IM0001": dicom(),
        "ill/two.DCM": dicom(),
        "ill/readme.txt": b"no image",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    return tmp_path


def test_folders_hold_medical_images_by_suffix_and_by_content(tree, cache):
    source = open_source(DataSource(format="ImageFolder", path=str(tree)), FIELD, cache, SampleForm())
    assert source.labels.tolist() == [0, 0, 1]
    assert all(source.load(index).shape == (3, 2, 3) for index in range(3))
    for name in ("scan.nii.gz", "scan.nii"):
        (tree / "ill" / name).write_bytes(gzip.compress(nifti(VOLUME)))
    assert len(open_source(DataSource(format="ImageFolder", path=str(tree)), FIELD, cache)) == 5


@pytest.mark.parametrize(("library", "data"), [("pydicom", dicom()), ("nibabel", nifti(VOLUME))])
def test_a_missing_library_is_named_with_its_extra(library, data, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(InputError, match=rf"{library} is not installed; .* 'pslgs\[medical\]'"):
        decode(data)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(dicom()[:-4], id="DICOM cut short"),
        pytest.param(dicom(kind="PALETTE COLOR"), id="palette"),
        pytest.param(dicom()[:200], id="DICOM header"),
        pytest.param(nifti(VOLUME)[:390], id="NIfTI cut short"),
        pytest.param(nifti(np.zeros((2, 3, 4, 5, 2), np.float32)), id="five dimensions"),
        pytest.param(gzip.compress(nifti(VOLUME))[:-9], id="gzip cut short"),
    ],
)
def test_damaged_medical_images_are_damaged_samples(data):
    with pytest.raises(ValueError, match="it cannot be de"):
        decode(data)
