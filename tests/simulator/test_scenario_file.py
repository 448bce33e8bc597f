"""Scenario files from other editors and from strangers: read, or refused in one line that names the file."""

from __future__ import annotations

import codecs
import io
import zipfile

import numpy as np
import pytest

from disac.simulator import Scenario, ScenarioError

TEXT = """\
nodes = [[-40.0, 0.0], [40.0, 5.0]]
targets = [[0.0, 10.0]]
users = [[0.0, -20.0]]
n_tx = 2
n_subcarriers = 4
"""


def write(folder, content):
    path = folder / "scene.toml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def npy(array):
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asarray(array), allow_pickle=True)
    return file.getvalue()


def archive(folder, **members):
    with zipfile.ZipFile(folder / "a.npz", "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)


def refused(path):
    with pytest.raises(ScenarioError) as caught:
        Scenario.from_toml(path)
    return str(caught.value)


def test_a_byte_order_mark_is_passed_over(tmp_path):
    plain = Scenario.from_toml(write(tmp_path, TEXT))
    assert Scenario.from_toml(write(tmp_path, codecs.BOM_UTF8 + TEXT.encode())) == plain


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "latin-1"])
def test_other_encodings_are_named(tmp_path, encoding):
    mark = {"utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE}.get(encoding, b"")
    path = write(tmp_path, mark + ("# für alle\n" + TEXT).encode(encoding))
    message = refused(path)
    assert str(path) in message
    assert "save it as UTF-8" in message


@pytest.mark.parametrize(
    "name", ["/etc/a.npz", "../a.npz", "sub/a.npz", "..", ".", "", "C:a.npz", "b\\\\a.npz", "a\\u0000"]
)
def test_arrays_lie_beside_the_scenario(tmp_path, name):
    (tmp_path / "sub").mkdir()
    archive(tmp_path / "sub", amplitudes=npy(np.ones((2, 2, 1))))
    archive(tmp_path, amplitudes=npy(np.ones((2, 2, 1))))
    message = refused(write(tmp_path / "sub", TEXT + f'arrays = "{name}"\n'))
    assert "scene.toml: arrays = " in message


@pytest.mark.parametrize(
    "content",
    [
        "x = " + "[" * 100_000,
        "n_tx = " + "9" * 5000,
        "n_tx = " + "9" * 400,
        "n_tx = 65536\nn_subcarriers = 65536",
        "n_subcarriers = 1000000000",
        "n_tx = -1",
        "bandwidth_hz = " + "9" * 400,
        "self = 1",
        "arrays = 3",
        'amplitudes = {seed = 1, mean_power_db = "x"}',
    ],
)
def test_whatever_a_file_holds_is_refused_with_its_name(tmp_path, content):
    keys = {line.split(" =")[0] for line in content.splitlines()}
    rest = "\n".join(line for line in TEXT.splitlines() if line.split(" =")[0] not in keys)
    assert refused(write(tmp_path, f"{rest}\n{content}\n")).startswith(str(tmp_path / "scene.toml"))


def header_only(shape):
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<c16", "fortran_order": False, "shape": shape})
    return file.getvalue()


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"amplitudes": header_only((2**29,)) + bytes(10**6)}, r"shape \(536870912,\)"),
        ({"amplitudes": header_only((2, 2, 1))}, "not a sound NPZ"),
        ({"amplitudes": npy(np.array([object()]))}, "type kind 'O'"),
        ({"amplitudes": npy(np.array(["a"]))}, "type kind 'U'"),
        ({"amplitudes": b"no array"}, "not a sound NPZ"),
        ({"nodes": npy(np.ones((2, 2)))}, "holds 'nodes'"),
        ({"channels": npy(np.ones((2, 1, 4, 3)))}, r"channels has shape \(2, 1, 4, 3\)"),
    ],
)
def test_arrays_are_read_only_where_they_have_the_shape_of_the_settings(tmp_path, members, words):
    archive(tmp_path, **members)
    path = write(tmp_path, TEXT + 'arrays = "a.npz"\n')
    with pytest.raises(ScenarioError, match=words) as caught:
        Scenario.from_toml(path)
    assert str(tmp_path / "a.npz") in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken", b"\x80\x04 pickle"])
def test_a_damaged_archive_is_named(tmp_path, content):
    (tmp_path / "a.npz").write_bytes(content)
    assert str(tmp_path / "a.npz") in refused(write(tmp_path, TEXT + 'arrays = "a.npz"\n'))


def test_a_flipped_bit_in_an_archive_is_named(tmp_path):
    archive(tmp_path, amplitudes=npy(np.random.default_rng(0).standard_normal((2, 2, 1))))
    path = write(tmp_path, TEXT + 'arrays = "a.npz"\n')
    Scenario.from_toml(path)
    content = bytearray((tmp_path / "a.npz").read_bytes())
    content[content.index(b"amplitudes.npy") + 60] ^= 0xFF
    (tmp_path / "a.npz").write_bytes(bytes(content))
    assert str(tmp_path / "a.npz") in refused(path)
