"""ASE calculator: numbers of the model, consistent derivatives, and neighbour lists reused only while complete."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk, fcc111
from ase.calculators.calculator import PropertyNotImplementedError
from ase.md.verlet import VelocityVerlet
from pair_kernel import reference, write_bundle

from acegen.errors import InputError
from acegen.runtime import load_bundle


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACEGEN_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield load_bundle(write_bundle(tmp_path_factory.mktemp("bundles") / "morse.acegen"))


def alloy():
    atoms = bulk("Cu", cubic=True) * (2, 2, 2)
    atoms.numbers[[1, 4, 7]] = 79
    atoms.rattle(0.1, seed=1)
    return atoms


def check(atoms):
    """Energy and forces of the attached calculator equal the sum over images."""
    species = [(29, 79).index(number) for number in atoms.numbers]
    energies, forces, _ = reference(species, atoms.positions, atoms.cell.array, atoms.pbc)
    assert atoms.get_potential_energy() == pytest.approx(energies.sum(), rel=1e-12)
    np.testing.assert_allclose(atoms.get_forces(), forces, rtol=0, atol=1e-11)


def test_all_properties(model):
    """energy, free_energy, energies, forces and both stresses agree with each other and with the virial."""
    atoms = alloy()
    atoms.calc = model.calculator()
    check(atoms)
    out = model.evaluate(atoms, ("virial", "virials"))
    assert atoms.get_potential_energy(force_consistent=True) == atoms.get_potential_energy()
    assert atoms.get_potential_energies().sum() == pytest.approx(atoms.get_potential_energy(), rel=1e-13)
    np.testing.assert_allclose(atoms.get_stress(voigt=False), -out.virial[0] / atoms.get_volume(), rtol=0, atol=1e-13)
    np.testing.assert_allclose(atoms.get_stresses().sum(axis=0), atoms.get_stress(), rtol=0, atol=1e-13)
    assert atoms.calc.n_lists == 1


def test_replaced_weights_drop_results(model):
    """Results are made again when the model's weights, or the model itself, were replaced; else they are kept."""
    own = copy.deepcopy(model)
    atoms = alloy()
    atoms.calc = own.calculator()
    before, base = atoms.get_potential_energy(), sum(-0.5 if number == 79 else 0.25 for number in atoms.numbers)
    assert not atoms.calc.calculation_required(atoms, ["energy"])
    for factor in (3.0, 2.0):
        own.weights = [factor * array for array in model.weights]
        assert atoms.calc.calculation_required(atoms, ["energy"])
        assert atoms.get_potential_energy() - base == pytest.approx(factor * (before - base), rel=1e-12)
    again = copy.deepcopy(atoms)
    assert again.get_potential_energy() == pytest.approx(atoms.get_potential_energy(), rel=1e-14)
    atoms.calc.model = model
    assert atoms.get_potential_energy() == before


def test_stress_is_the_strain_derivative(model):
    """stress = dE/d(strain)/volume by central differences, in ASE's order and sign."""
    atoms = alloy()
    atoms.calc = model.calculator()
    pairs = [(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)]
    for k, (a, b) in enumerate(pairs):
        energies = []
        for step in (1e-5, -1e-5):
            strain = np.eye(3)
            strain[a, b] += step / 2
            strain[b, a] += step / 2
            strained = atoms.copy()
            strained.calc = atoms.calc
            strained.set_cell(atoms.cell.array @ strain, scale_atoms=True)
            energies.append(strained.get_potential_energy())
        slope = (energies[0] - energies[1]) / 2e-5 / atoms.get_volume()
        assert atoms.get_stress()[k] == pytest.approx(slope, abs=1e-8)


@pytest.mark.parametrize("pbc", [False, [True, True, False]])
def test_no_stress_without_full_periodicity(model, pbc):
    """Stress of a cluster or slab is refused; energy and forces are there all the same."""
    atoms = fcc111("Cu", (2, 2, 2), vacuum=None if pbc is not False else 5.0)
    atoms.pbc = pbc
    atoms.calc = model.calculator()
    check(atoms)
    for ask in (atoms.get_stress, atoms.get_stresses):
        with pytest.raises(PropertyNotImplementedError, match="periodic in three directions"):
            ask()


def test_list_is_reused_within_the_skin(model):
    """Small steps keep the list; a long step, new species, boundary or number of atoms make a new one."""
    atoms = alloy()
    atoms.calc = calc = model.calculator(skin=0.5)
    check(atoms)
    for seed in range(3):
        atoms.rattle(0.02, seed=seed)
        check(atoms)
    assert calc.n_lists == 1
    atoms.positions[3] += [0.6, 0.0, 0.0]
    check(atoms)
    assert calc.n_lists == 2
    atoms.numbers[0] = 79
    check(atoms)
    assert calc.n_lists == 3
    atoms.pbc = [True, True, False]
    check(atoms)
    assert calc.n_lists == 4
    del atoms[0]
    check(atoms)
    assert calc.n_lists == 5


def test_drift_costs_no_list(model):
    """A rigid translation changes no distance."""
    atoms = alloy()
    atoms.calc = model.calculator(skin=0.5)
    check(atoms)
    atoms.positions += 7.0
    check(atoms)
    assert atoms.calc.n_lists == 1


def test_small_strain_keeps_the_list_large_strain_does_not(model):
    """Within the skin the shifts follow the cell; a compression that could bring in new pairs makes a new list."""
    atoms = alloy()
    atoms.calc = model.calculator(skin=0.5)
    check(atoms)
    cell = atoms.cell.array.copy()
    skewed = cell @ (np.eye(3) + 0.02 * np.array([[1, 2, 0], [0, -1, 1], [0, 0, 1.0]]))
    atoms.set_cell(skewed, scale_atoms=True)
    check(atoms)
    assert atoms.calc.n_lists == 1
    atoms.set_cell(0.8 * cell, scale_atoms=True)
    check(atoms)
    assert atoms.calc.n_lists == 2


def test_cell_change_of_a_slab_makes_a_new_list(model):
    """With an open direction a strain is not followed, the list is rebuilt."""
    atoms = fcc111("Cu", (2, 2, 2), vacuum=5.0)
    atoms.calc = model.calculator()
    check(atoms)
    atoms.set_cell(atoms.cell.array * 1.001, scale_atoms=True)
    check(atoms)
    assert atoms.calc.n_lists == 2


def test_zero_skin_is_exact(model):
    """Without a skin every step has its own list."""
    atoms = alloy()
    atoms.calc = model.calculator(skin=0.0)
    check(atoms)
    atoms.rattle(0.02, seed=4)
    check(atoms)
    assert atoms.calc.n_lists == 2


def test_dynamics_conserve_energy(model):
    """Microcanonical dynamics with reused lists keep the total energy."""
    atoms = alloy()
    atoms.calc = model.calculator(skin=0.8)
    thermal = np.sqrt(300 * units.kB * atoms.get_masses())[:, None]
    atoms.set_momenta(thermal * np.random.default_rng(0).standard_normal((len(atoms), 3)))
    start = atoms.get_total_energy()
    VelocityVerlet(atoms, 1.0 * units.fs).run(60)
    assert atoms.get_total_energy() == pytest.approx(start, abs=2e-4 * len(atoms))
    assert atoms.calc.n_lists < 30


def test_copied_calculators_are_independent(model):
    """deepcopy (as optimisers and ensembles do) gives a calculator of its own with the same numbers."""
    atoms = alloy()
    atoms.calc = model.calculator()
    check(atoms)
    other = atoms.copy()
    other.rattle(0.02, seed=8)
    other.calc = copy.deepcopy(atoms.calc)
    check(other)
    check(atoms)


def test_empty_and_lone_atoms(model):
    """A lone atom has its reference energy and no force."""
    atoms = Atoms("Au")
    atoms.calc = model.calculator()
    assert atoms.get_potential_energy() == -0.5
    assert not atoms.get_forces().any()


def test_wrong_input_is_named(model):
    """Unknown elements, NaN positions and a negative skin are refused in one sentence, also after a good step."""
    atoms = alloy()
    atoms.calc = model.calculator()
    check(atoms)
    atoms.positions[2, 1] = np.nan
    with pytest.raises(
        InputError, match=r"atoms.positions: expected finite numbers in angstrom, found nan at \(2, 1\)"
    ):
        atoms.get_forces()
    atoms = alloy()
    atoms.calc = model.calculator()
    atoms.numbers[5] = 26
    with pytest.raises(InputError, match="atoms: atom 5 is Fe, expected one of Cu, Au"):
        atoms.get_potential_energy()
    with pytest.raises(InputError, match=r"skin: expected a length in angstrom >= 0, found -0\.1"):
        model.calculator(skin=-0.1)


def test_skin_set_anew_makes_a_new_list(model):
    """A list made for a small skin must not serve as one of a larger skin."""
    atoms = alloy()
    atoms.calc = calc = model.calculator(skin=0.0)
    check(atoms)
    calc.skin = 2.0
    atoms.rattle(0.2, seed=3)
    check(atoms)
    assert calc.n_lists == 2
    atoms.rattle(0.05, seed=4)
    check(atoms)
    assert calc.n_lists == 2


def test_model_set_anew_makes_a_new_list(model):
    """The list of one model must not serve another."""
    atoms = alloy()
    atoms.calc = calc = model.calculator()
    check(atoms)
    calc.model = copy.copy(model)
    atoms.rattle(0.01, seed=5)
    check(atoms)
    assert calc.n_lists == 2


def test_cell_that_is_no_number_is_named(model):
    """Also after a first call, when the strain against the old cell is looked at."""
    atoms = alloy()
    atoms.calc = model.calculator()
    check(atoms)
    atoms.cell[0, 0] = np.inf
    with pytest.raises(InputError, match="cell"):
        atoms.get_forces()


def test_atoms_too_far_away_are_named(model):
    """Coordinates whose boxes cannot be counted are refused, not evaluated as lone atoms."""
    atoms = alloy()
    atoms.positions[5, 2] = 1.3e10
    with pytest.raises(InputError, match="periodic boxes of the cell, found atom 5"):
        model.evaluate(atoms)
