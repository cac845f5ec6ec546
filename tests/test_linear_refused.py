"""Files of ace-jax and ACEpotentials that are damaged, or of models that cannot be reproduced, are refused."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from linear_files import write_ace_jax, write_acepotentials
from linear_models import atoms, specified

from acegen.errors import AcegenError
from acegen.inputs import read_input
from acegen.interpreter import interpret


def _complaint(path: Path) -> str:
    with pytest.raises(AcegenError) as caught:
        read_input(path)
    text = str(caught.value)
    assert "\n" not in text and len(text) < 400 and path.name in text
    return text


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("meta_json", None, "expected an ace-jax model (an array meta_json), found arrays A2B_cols"),
        ("WB", None, "WB: expected this array"),
        ("E0", np.zeros(5), "E0: expected shape [2], found [5]"),
        ("WB", np.full((3, 2), np.nan), "WB: expected finite numbers"),
        ("WB", np.zeros((3, 2)), "A2B_shape: expected [3, "),
        ("Wpair", np.zeros((1, 2)), "Wpair: expected a row for each of the "),
        ("elements", np.array([14, 14]), "elements: expected different atomic numbers"),
        ("aspec_r", np.array([99]), "aspec_r: expected indices from 0"),
        ("polys_A", np.ones(2), "polys_A: expected shape"),
        ("A2B_rows", np.array([0.5]), "A2B_rows: expected"),
        ("pair_rcuts", np.full((2, 2), "far"), "pair_rcuts: expected real numbers, found type <U3"),
        ("rcuts", np.full((2, 2), np.nan), "rcuts: expected finite numbers"),
        ("rnl_transform", np.tile([2, 1e308, 1, 0, 2, 1, 0.1], (2, 2, 1)), "rnl_transform[0, 0]"),
    ],
)
def test_damaged_archives(tmp_path: Path, key: str, value: np.ndarray | None, said: str) -> None:
    path = write_ace_jax(tmp_path / "model.npz", specified(tmp_path, "sige"))
    arrays = dict(np.load(path))
    arrays.pop(key, None)
    np.savez(path, **arrays if value is None else {**arrays, key: value})
    assert said in _complaint(path)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("schema_version", 2, "meta_json.schema_version: expected 1, found 2"),
        ("radial_kind", "magic", "meta_json.radial_kind: expected one of analytic, spline"),
        ("ybasis_kind", "complex", "meta_json.ybasis_kind: expected one of real_solidharmonics"),
        ("pair_envelope_kind", "poly2", "meta_json.pair_envelope_kind"),
        ("transform_kind", "affine", "meta_json.transform_kind"),
        ("rnl_basis", "bump", "meta_json.rnl_basis: expected one of poly, sbessel"),
    ],
)
def test_unknown_kinds(tmp_path: Path, key: str, value: object, said: str) -> None:
    path = write_ace_jax(tmp_path / "model.npz", specified(tmp_path, "sige"))
    arrays = dict(np.load(path))
    meta = json.loads(bytes(arrays["meta_json"])) | {key: value}
    np.savez(path, **arrays | {"meta_json": np.frombuffer(json.dumps(meta).encode(), np.uint8)})
    assert said in _complaint(path)


@pytest.mark.parametrize(
    ("key", "value"),
    [("n", math.inf), ("n", math.nan), ("x0", 10**400), ("h", 0), ("n", "100")],
    ids=lambda value: str(value)[:20],
)
def test_grids_that_are_none(tmp_path: Path, key: str, value: object) -> None:
    """Nodes of splines that lie nowhere, or that no machine can count."""
    path = write_ace_jax(tmp_path / "model.npz", specified(tmp_path, "splined"), "spline")
    arrays = dict(np.load(path))
    meta = json.loads(bytes(arrays["meta_json"]))
    meta["rnl_spline"][key] = value
    np.savez(path, **arrays | {"meta_json": np.frombuffer(json.dumps(meta).encode(), np.uint8)})
    assert "meta_json.rnl_spline: expected" in _complaint(path)


def test_a_stated_cutoff_out_of_reach_is_not_taken(tmp_path: Path) -> None:
    """The cutoff then follows from the transform, as for files that state none."""
    path = write_ace_jax(tmp_path / "model.npz", specified(tmp_path, "sige"))
    arrays = dict(np.load(path))
    expected = read_input(path).potential.bonds[0][0].cutoff
    meta = json.loads(bytes(arrays["meta_json"])) | {"rcut": 10**400}
    np.savez(path, **arrays | {"meta_json": np.frombuffer(json.dumps(meta).encode(), np.uint8)})
    assert read_input(path).potential.bonds[0][0].cutoff == pytest.approx(expected, rel=1e-12)


def test_factorised_splines_of_unequal_lists(tmp_path: Path) -> None:
    path = write_ace_jax(tmp_path / "model.npz", specified(tmp_path, "splined"), "spline_factorised")
    arrays = dict(np.load(path))
    n = len(arrays["rnl_emb_kidx"])
    np.savez(path, **arrays | {"rnl_emb_kidx": arrays["rnl_emb_kidx"][:1]})
    assert f"rnl_emb_kidx: expected shape [{n}], found [1]" in _complaint(path)


@pytest.mark.parametrize(
    ("array", "index", "factor", "said"),
    [
        ("rnl_transform", (0, 1, 2), 1.1, "rnl_transform[0, 1][2]: expected a = "),
        ("rnl_transform", (0, 1, 1), 1.3, "rnl_transform[0, 1]: expected (p, q"),
        ("rnl_envelope", (1, 0, 3), 0.7, "rnl_envelope[1, 0]: expected"),
        ("pair_envelope", (0, 0, 0), 0.9, "pair_envelope[0, 0]: expected the cutoff"),
    ],
)
def test_other_mathematics_is_refused(tmp_path: Path, array: str, index: Any, factor: float, said: str) -> None:
    path = write_ace_jax(tmp_path / "model.npz", specified(tmp_path, "sige"))
    arrays = dict(np.load(path))
    arrays[array] = arrays[array].copy()
    arrays[array][index] *= factor
    np.savez(path, **arrays)
    assert said in _complaint(path)


def test_rows_that_are_no_invariants(tmp_path: Path) -> None:
    """One coefficient of a coupled row off by a percent, also where rotations about z do not tell."""
    path = write_ace_jax(tmp_path / "model.npz", specified(tmp_path, "sige"))
    arrays = dict(np.load(path))
    rows, exact = arrays["A2B_rows"], arrays["A2B_vals"]
    (coupled,) = np.nonzero(rows == np.bincount(rows).argmax())
    for entry in coupled:
        arrays["A2B_vals"] = np.where(np.arange(len(rows)) == entry, 1.01, 1.0) * exact
        np.savez(path, **arrays)
        assert "expected an invariant of rotation and inversion" in _complaint(path)


def test_other_files(tmp_path: Path) -> None:
    path = tmp_path / "weights.npz"
    np.savez(path, weights_0=np.zeros(3))
    assert "if these are weights of a specification, they are read through its key weights" in _complaint(path)
    path.with_suffix(".yaml").touch()
    assert "if these are weights of a specification, load weights.yaml" in _complaint(path)
    path.write_text("no archive")
    assert "expected a NumPy .npz file" in _complaint(path)
    other = tmp_path / "other.json"
    other.write_text("{}")
    assert "expected a model saved by ACEpotentials" in _complaint(other)
    other.write_text("{")
    assert "expected JSON text" in _complaint(other)


SI = {"elements": ["Si"], "order": 2, "totaldegree": 6, "rcut": 5.5}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (
            {"order": 4, "totaldegree": 10},
            "with several: which combinations EquivariantTensors 0.3.2 made",
        ),
        ({"ZBL": True}, "model_spec.ZBL: expected False, other models are not read, found True"),
        ({"pure": True}, "model_spec.pure: expected False"),
        ({"model_name": "ACE"}, "model_spec.model_name: expected 'ACE1'"),
        ({"rbasis": "sbessel"}, "model_spec.rbasis"),
        ({"wl": 2.0}, "model_spec.wl: expected keywords of"),
        ({"envelope": ["x", 0, 2]}, "model_spec.envelope"),
        ({"transform": ["affine", 1]}, 'model_spec.transform: expected ["agnesi", p, q]'),
        ({"rcut": ["bondlen", 3.0]}, "model_spec.rcut"),
        ({"Eref": "isolated"}, "model_spec.Eref: expected energies in eV by symbol"),
        ({"totaldegree": 7}, "model_parameters: expected 30 numbers for this basis"),
        ({"elements": ["Xx"]}, "elements: expected chemical symbols"),
    ],
)
def test_acepotentials_keywords_that_are_refused(tmp_path: Path, more: dict[str, Any], said: str) -> None:
    assert said in _complaint(write_acepotentials(tmp_path / "model.json", SI | more, np.ones(23)))


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("0.5.1", "expected a version below 0.5, found 0.5.1"),
        ("0.5-DEV", "expected a version below 0.5, found 0.5-DEV"),
        ("new", "expected its version, which decides signs"),
    ],
)
def test_acepotentials_of_other_couplings(tmp_path: Path, version: str, said: str) -> None:
    assert said in _complaint(write_acepotentials(tmp_path / "model.json", SI, np.ones(23), version))


def test_keywords_have_their_defaults(tmp_path: Path) -> None:
    """Keywords written out with their defaults, and under their other names, change nothing."""
    written = {"N": 2, "species": ["Si"], "totaldegree": 6, "rcut": 5.5, "wL": 1.5, "rin": 0.0, "r0": "bondlen"}
    written |= {"transform": ["agnesi", 2, 4], "envelope": ["x", 2, 2], "pair_transform": ["agnesi", 1, 3]}
    written |= {"pair_envelope": ["r", 2], "pair_degree": "totaldegree", "pair_rcut": "rcut", "Eref": [{"Si": 0.0}]}
    written |= {"pure": False, "rbasis": "legendre", "variable_cutoffs": False}
    weights = np.arange(23.0)
    found = [
        read_input(write_acepotentials(tmp_path / f"m{k}.json", keywords, weights)).potential
        for k, keywords in enumerate((SI, written))
    ]
    rows = [interpret(potential, *atoms(1)) for potential in found]
    assert rows[0].energy == rows[1].energy and (rows[0].basis == rows[1].basis).all()
