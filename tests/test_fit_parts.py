"""Parts of a fit, one by one: row weights, smoothness prior, reference energies, blocks, and specifications as text."""

from __future__ import annotations

from pathlib import Path

import ase
import numpy as np
import pytest

from acegen.errors import InputError, SpecError
from acegen.fitting.prior import parameter_prior, smoothness
from acegen.fitting.reference import reference_energies
from acegen.fitting.rows import blocks
from acegen.fitting.structures import Frame, Structure
from acegen.fitting.weighting import make_weighting, parse_weights
from acegen.fitting.working import read_fittable
from acegen.inputs import read_input
from acegen.spec.read import read_spec
from acegen.spec.text import top_level, with_keys

ROOT = Path(__file__).resolve().parents[1]
SPEC = """# copper and gold
elements: [Cu, Au]   # two of them
order: 3
degree: 5
cutoff: 4.0
pair:
  degree: 4
# a remark about weights
weights:
  kind: random
  seed: 1

# the last remark
precision: float32
"""


@pytest.fixture
def spec_file(tmp_path: Path) -> Path:
    path = tmp_path / "cuau.yaml"
    path.write_text(SPEC)
    return path


def structure(symbols: str, energy: float | None, kind: str = "all", spacing: float = 2.5) -> Structure:
    """Atoms in a row, far from their images."""
    atoms = ase.Atoms(symbols)
    atoms.positions[:, 0] = spacing * np.arange(len(atoms))
    return Structure(Frame("set.xyz", 0, atoms), kind, energy, None, None)


def test_row_weights_by_type() -> None:
    weighting = make_weighting(parse_weights(["E=20", "liquid:F=2,V=0"]))
    plain, liquid = weighting.of(structure("Cu", 0.0)), weighting.of(structure("Cu", 0.0, "liquid"))
    assert (plain.energy, plain.forces, plain.virial) == (20.0, 1.0, 1.0)
    assert (liquid.energy, liquid.forces, liquid.virial) == (20.0, 2.0, 0.0)
    assert make_weighting(weighting.told()) == weighting
    with pytest.raises(InputError, match="no structure is of type 'liquid', did you mean 'liquids'"):
        weighting.check_kinds([structure("Cu", 0.0, "liquids"), structure("Cu", 0.0, "solid")])


@pytest.mark.parametrize("text", ["liquid:E", "E=ten", "liquid", "a:b:E=1,=2"])
def test_malformed_weights_are_told(text: str) -> None:
    with pytest.raises(InputError):
        make_weighting(parse_weights([text]))


def test_negative_weights_are_told() -> None:
    with pytest.raises(InputError, match=r"liquid: F: expected 0 or a number in 1e-12..1e12, found -1"):
        make_weighting({"liquid": {"F": -1.0}})


def test_prior_is_the_sum_over_factors_of_every_basis_function(spec_file: Path) -> None:
    """Against the enumerated basis: gamma_b = sum (3 l / 2)^4 + n^4, with the species-coded n of the label."""
    spec = read_spec(spec_file)
    body, pair = smoothness(spec, 4.0)
    functions = read_input(spec_file).exact.centres[0]
    assert len(body) + len(pair) == len(functions.functions)
    for value, function in zip([*body, *pair], functions.functions, strict=True):
        expected = 0.0
        for index in function.channels:
            channel = functions.channels[index]
            n = (channel.n - 1) * 2 + channel.neighbour + 1
            expected += (1.5 * channel.l) ** 4 + n**4
        assert value == pytest.approx(expected, rel=1e-13)
    whole = parameter_prior(spec, 4.0)
    np.testing.assert_array_equal(whole, np.concatenate([body, body, pair, pair]))
    np.testing.assert_array_equal(parameter_prior(spec, 0.0), np.ones(len(whole)))


def test_reference_energies_come_from_where_they_should(spec_file: Path) -> None:
    spec = read_spec(spec_file)
    isolated = [structure("Cu", -1.5), structure("Au", -2.5), structure("Cu2", -10.0)]
    mixed = [structure("Cu2Au", -7.0), structure("CuAu2", -8.0)]
    auto = reference_energies(isolated, spec, "auto", False)
    assert auto.energies == (-1.5, -2.5) and auto.origins == ("an isolated atom",) * 2
    solved = reference_energies(mixed, spec, "auto", False)
    np.testing.assert_allclose(solved.energies, (-2.0, -3.0), rtol=1e-12)
    assert solved.origins == ("least squares",) * 2
    # what is known stays, the rest is solved for
    half = reference_energies([structure("Cu", -1.5), structure("Cu2Au", -7.0)], spec, "auto", False)
    np.testing.assert_allclose(half.energies, (-1.5, -4.0), rtol=1e-12)
    given = reference_energies(mixed, spec, {"Au": -1.0}, False)
    assert given.energies[1] == -1.0 and given.origins[1] == "given"
    assert reference_energies(isolated, spec, "spec", False).energies == (0.0, 0.0)
    assert reference_energies(isolated, spec, "auto", True).energies == (0.0, 0.0)
    assert reference_energies(isolated, spec, "lsq", False).origins == ("least squares",) * 2


def test_compositions_that_tell_nothing_apart_share_the_energy(spec_file: Path) -> None:
    found = reference_energies(
        [structure("CuAu", -6.0), structure("Cu2Au2", -12.0)], read_spec(spec_file), "lsq", False
    )
    np.testing.assert_allclose(found.energies, (-3.0, -3.0), rtol=1e-12)


def test_wrong_reference_energies_are_told(spec_file: Path) -> None:
    spec = read_spec(spec_file)
    with pytest.raises(InputError, match="no isolated atom of Au"):
        reference_energies([structure("Cu", -1.5), structure("Au2", -2.0)], spec, "isolated", False)
    with pytest.raises(InputError, match="e0: 'Ag' is no element of the specification"):
        reference_energies([], spec, {"Ag": 1.0}, False)
    with pytest.raises(InputError, match="e0: expected one of auto"):
        reference_energies([], spec, "lstsq", False)


def test_blocks_cover_all_structures_within_the_bytes() -> None:
    structures = [structure(f"Cu{n}", 0.0) for n in (3, 1, 4, 1, 5, 9, 2, 6)]
    parts = blocks(structures, 10, 8 * 10 * (7 + 3 * 5) * 2)
    assert [k for part in parts for k in range(part.start, part.stop)] == list(range(8))
    assert max(part.stop - part.start for part in parts) > 1
    assert blocks(structures, 10, 1) == [slice(k, k + 1) for k in range(8)]
    assert blocks([], 10, 1) == []


def test_specification_keeps_its_text_but_for_the_keys_that_change(spec_file: Path) -> None:
    values = {"name": "fitted", "weights": "zero", "reference_energies": {"Cu": -1.25, "Au": 1e-7}}
    text = with_keys(spec_file.read_text(), values)
    assert text.startswith("# copper and gold\nelements: [Cu, Au]   # two of them\n")
    assert "seed" not in text and "# the last remark" in text
    again = spec_file.with_name("again.yaml")
    again.write_text(text)
    old, new = read_spec(spec_file), read_spec(again)
    assert (new.name, new.weights.kind, new.reference_energies) == ("fitted", "zero", (-1.25, 1e-7))
    assert (new.elements, new.radial, new.bonds, new.pair, new.precision) == (
        (old.elements, old.radial, old.bonds, old.pair, old.precision)
    )
    assert with_keys(again.read_text(), values) == text


def test_specification_in_braces_keeps_its_meaning(tmp_path: Path) -> None:
    path = tmp_path / "si.yaml"
    path.write_text('{"elements": ["Si"], "order": 2, "degree": 4, "cutoff": 4.0, "weights": {"kind": "random"}}')
    again = tmp_path / "again.yaml"
    again.write_text(with_keys(path.read_text(), {"name": "si", "weights": "zero"}))
    assert read_spec(again).weights.kind == "zero" and read_spec(again).degree == (4.0, 4.0)


@pytest.mark.parametrize(
    "weights",
    [
        "weights: {kind: random,\nseed: 3}\n",
        "weights: &same {kind: random}\n# used below\n",
        "? weights\n: {kind: random}\n",
        '"weights": >-\n  random\n',
        "weights:\n- kind\n",
    ],
)
def test_specifications_that_cannot_be_edited_by_lines_are_written_anew(weights: str) -> None:
    """Whatever the layout, the result has the new values and all others as they were."""
    text = f"elements: [Si]\n{weights}order: 2\ndegree: {{a: [1, 2],\nb: 2}}\ncutoff: 4.0 # the end\n..."
    old, new = top_level(text), top_level(with_keys(text, {"name": "si", "weights": "zero"}))
    assert new == {**old, "name": "si", "weights": "zero"}


def test_aliases_outlive_what_they_refer_to() -> None:
    text = "radial: &shape {transform: {r0: 2.0}}\npair: *shape\norder: 2\n"
    assert top_level(with_keys(text, {"radial": {}})) == {"radial": {}, "pair": {"transform": {"r0": 2.0}}, "order": 2}


def test_only_linear_specifications_can_be_fitted(tmp_path: Path, spec_file: Path) -> None:
    assert read_fittable(spec_file).spec.elements == ("Cu", "Au")
    other = tmp_path / "fs.yaml"
    other.write_text(
        "elements: [Cu]\norder: 2\ndegree: 4\ncutoff: 4.0\n"
        "embedding: {kind: FinnisSinclair, scales: [1.0], exponents: [0.5]}\n"
    )
    with pytest.raises(SpecError, match=r"fs.yaml: embedding: expected linear, got 'FinnisSinclair'"):
        read_fittable(other)
    with pytest.raises(SpecError, match="expected a basis specification, found nothing"):
        read_fittable(tmp_path / "none.yaml")
    with pytest.raises(SpecError, match=r"expected a basis specification \(.yaml\)"):
        (tmp_path / "x.yace").write_text("{}")
        read_fittable(tmp_path / "x.yace")


@pytest.mark.parametrize("path", sorted((ROOT / "examples" / "fit" / "zuo2020").glob("*.yaml")), ids=lambda p: p.stem)
def test_examples_have_the_size_they_tell(path: Path) -> None:
    body, pair = smoothness(read_fittable(path).spec, 4.0)
    assert (len(body), len(pair)) == (250, 0)
    assert read_spec(path).elements == (path.stem.capitalize(),)
