"""Files of precoders: the plain format, what is refused, and what a design made of one says."""

import zipfile

import numpy as np
import pytest
from design_scenes import scene

from disac.designs import design, fixed_design, load_precoders, save_precoders


@pytest.fixture
def arrays():
    s = scene()
    rng = np.random.default_rng(0)
    level = np.sqrt(s.tx_power / s.n_subcarriers)
    comm = 0.1 * level * rng.standard_normal((s.n_nodes, s.n_users, s.n_subcarriers, s.n_tx))
    radar = np.broadcast_to(0.5 * level * np.eye(s.n_tx), (s.n_nodes, s.n_subcarriers, s.n_tx, s.n_tx))
    return {"comm_precoders": comm, "radar_precoders": radar}


def test_two_arrays_are_all_that_a_file_needs(tmp_path, arrays):
    s = scene()
    np.savez(tmp_path / "mine.npz", **arrays, other=np.ones(3))
    saved = load_precoders(tmp_path / "mine.npz", s)
    assert (saved.name, saved.sinr_db, saved.scenario_digest) == ("mine", None, "")
    result = design(str(tmp_path / "mine.npz"), s, 30.0)
    assert result.value == fixed_design(s, *arrays.values()).value
    assert (result.name, result.sinr_db) == ("mine", None)
    with pytest.raises(ValueError, match=r"share = 1: the precoders of .*mine\.npz are sent as they are"):
        design(str(tmp_path / "mine.npz"), s, None, share=1)


def test_a_threshold_is_claimed_where_it_is_reached(tmp_path, arrays):
    s = scene()
    reached = 10 * np.log10(fixed_design(s, *arrays.values()).certificate.sinr.min())
    for sinr_db, claimed in ((reached - 1, reached - 1), (reached + 1, None)):
        np.savez(tmp_path / "mine.npz", **arrays, sinr_db=sinr_db, name="theirs")
        result = design(str(tmp_path / "mine.npz"), s, None)
        assert (result.name, result.sinr_db) == ("theirs", claimed)


def test_another_scenario_is_warned_of(tmp_path):
    s = scene()
    save_precoders(tmp_path / "p2.npz", design("p2", s, 5.0))
    assert design(str(tmp_path / "p2.npz"), s, None).sinr_db == 5.0
    with pytest.warns(UserWarning, match="designed for another scenario"):
        design(str(tmp_path / "p2.npz"), s.replace(noise_sense=0.5), None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"comm_precoders": None}, "has no array comm_precoders, which a file of precoders needs; it holds radar_prec"),
        (
            {"comm_precoders": np.ones((1, 1, 5, 3))},
            r"comm_precoders has shape \(1, 1, 5, 3\), the scenario needs \(2, 1, 5, 3\)",
        ),
        (
            {"radar_precoders": np.ones((2, 5, 3))},
            r"radar_precoders has shape \(2, 5, 3\), the scenario needs \(2, 5, 3, q\)",
        ),
        ({"radar_precoders": np.full((2, 5, 3, 3), np.inf)}, r"radar_precoders\[0, 0, 0, 0\] is .*must be finite"),
        ({"radar_precoders": np.zeros((2, 5, 3, 5000))}, "q = 5000 streams, allowed are at most 4096"),
        ({"comm_precoders": np.full((2, 1, 5, 3), "a")}, "comm_precoders has dtype <U1, must be numbers"),
        ({"comm_precoders": np.full((2, 1, 5, 3), 9.0)}, r"antenna 0 of node 0 sends .* at most tx_power = 1"),
        ({"sinr_db": "high"}, "sinr_db is 'high', must be a number in dB"),
        ({"sinr_db": np.zeros(3)}, r"sinr_db has shape \(3,\) and dtype float64, must be a single text or number"),
        ({"name": np.array([{}], dtype=object)}, "name has shape"),
    ],
)
def test_bad_files_are_named_with_array_and_what_is_allowed(tmp_path, arrays, change, message):
    content = {name: value for name, value in {**arrays, **change}.items() if value is not None}
    np.savez(tmp_path / "bad.npz", **content)
    with pytest.raises(ValueError, match=rf"bad\.npz: .*{message}"):
        design(str(tmp_path / "bad.npz"), scene(), None)


def test_a_large_array_is_refused_by_its_declared_shape(tmp_path):
    """A file of a few hundred bytes that says it holds 8 TB of zeros."""
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w") as archive:
        for name in ("comm_precoders", "radar_precoders"):
            with archive.open(f"{name}.npy", "w") as entry:
                header = {"descr": "<c16", "fortran_order": False, "shape": (2, 5, 3, 2**34)}
                np.lib.format.write_array_header_1_0(entry, header)
    with pytest.raises(ValueError, match=r"bomb\.npz: comm_precoders has shape"):
        load_precoders(tmp_path / "bomb.npz", scene())
