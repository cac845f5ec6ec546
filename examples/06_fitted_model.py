"""Put a fitted model of a diamond crystal to work: checks by differences, elasticity, a vacancy, molecular dynamics.

Every number comes with its standard deviation over the committee that the fit left behind.  Labelled structures, such
as those of the fit, are searched for strained perfect crystals to compare with.  Needs ASE with NoseHooverChainNVT.

acegen fit examples/fit/zuo2020/si.yaml Si_train.xyz --test Si_test.xyz -o si --weight E=8
python examples/06_fitted_model.py si.yaml pictures --labels Si_train.xyz Si_test.xyz
"""

import argparse
import time
from pathlib import Path

import ase
import numpy as np
from ase import units
from ase.build import bulk
from ase.io import read
from ase.md.nose_hoover_chain import NoseHooverChainNVT
from ase.optimize import LBFGS
from scipy.optimize import brentq

import acegen

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("model", type=Path, help="model.yaml of `acegen fit`, one species")
parser.add_argument("folder", type=Path, nargs="?", help="draw MODEL_properties.svg there (needs matplotlib)")
parser.add_argument("--labels", type=Path, nargs="+", default=[], help="structures with energies")
parser.add_argument("--picoseconds", type=float, default=10.0, help="of dynamics (10)")
parser.add_argument("--kelvin", type=float, default=1000.0, help="temperature of the dynamics (1000)")
parser.add_argument("--repeat", type=int, default=4, help="cubic cells of 8 atoms along each side (4: 512 atoms)")
arguments = parser.parse_args()

model = acegen.load(arguments.model)
calculator = model.calculator()
guess = bulk(model.species[0], "diamond", cubic=True).cell[0, 0]  # experimental lattice constant, as ASE has it
VOIGT = [(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)]


def crystal(a: float, repeat: int = 1) -> ase.Atoms:
    """Perfect diamond of lattice constant `a`, with the calculator."""
    atoms = bulk(model.species[0], "diamond", a=a, cubic=True) * (repeat, repeat, repeat)
    atoms.calc = calculator
    return atoms


def strained(atoms: ase.Atoms, component: tuple[int, int], size: float) -> ase.Atoms:
    """A copy under one component of strain, as Voigt counts it: shear is twice the entry of the tensor."""
    strain = np.zeros((3, 3))
    strain[component] += size / 2
    strain.T[component] += size / 2
    out = atoms.copy()
    out.set_cell(atoms.cell @ (np.eye(3) + strain), scale_atoms=True)
    out.calc = calculator
    return out


def moved(atoms: ase.Atoms, coordinate: tuple[int, int], by: float) -> ase.Atoms:
    """A copy with one coordinate moved."""
    out = atoms.copy()
    out.positions[coordinate] += by
    out.calc = calculator
    return out


def slope(function, step: float) -> np.ndarray:
    """Derivative at 0 by central differences of sixth order."""
    return sum(c * (function(k * step) - function(-k * step)) for k, c in ((1, 45), (2, -9), (3, 1))) / (60 * step)


def check_derivatives() -> None:
    """Forces, stress and force constants of 8 rattled atoms against differences, relative to the largest."""
    atoms = crystal(guess)
    atoms.rattle(0.1, seed=0)
    forces, stress = atoms.get_forces().ravel(), atoms.get_stress()
    coordinates = list(np.ndindex(8, 3))
    along = [slope(lambda by, at=at: moved(atoms, at, by).get_potential_energy(), 4e-3) for at in coordinates]
    print(f"forces against differences of the energy: {np.abs(along + forces).max() / np.abs(forces).max():.1e}")
    along = [slope(lambda by, at=at: strained(atoms, at, by).get_potential_energy(), 1e-3) for at in VOIGT]
    error = np.abs(np.array(along) / atoms.get_volume() - stress).max() / np.abs(stress).max()
    print(f"stress against differences of the energy: {error:.1e}")
    constants = np.array(
        [slope(lambda by, at=at: moved(atoms, at, by).get_forces().ravel(), 4e-3) for at in coordinates]
    )
    asymmetry, sums = np.abs(constants - constants.T).max(), np.abs(constants.reshape(24, 8, 3).sum(axis=1)).max()
    largest = np.abs(constants).max()
    print(f"force constants: asymmetry {asymmetry / largest:.1e}, sums over the atoms {sums / largest:.1e}")


def relaxed_stiffness(a: float, component: tuple[int, int]) -> np.ndarray:
    """Derivative of the stress [6] by one strain, in GPa; the atoms come to rest in each strained cell."""
    stresses = []
    for size in (-2e-3, 2e-3):
        atoms = strained(crystal(a), component, size)
        LBFGS(atoms, logfile=None).run(fmax=1e-6, steps=200)
        stresses.append(atoms.get_stress() / units.GPa)
    return (stresses[1] - stresses[0]) / 4e-3


def equation_of_state(a: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Volumes, energies and their standard deviation over the committee, per atom."""
    sides = a * np.linspace(0.93, 1.08, 31)
    out = model.evaluate([crystal(side) for side in sides], ("energy", "energy_std"))
    return sides**3 / 8, out.energy / 8, out.energy_std / 8


def bulk_modulus(a: float) -> float:
    """Of the equation of state within 3 % of `a`, in GPa: E is a polynomial of V^(-2/3) (Birch)."""
    x = np.linspace(0.94, 1.06, 13)  # (a / side)^2, so that B = (4/9) E''(x) / V at 1, where E' vanishes
    energies = model.evaluate([crystal(a / np.sqrt(each)) for each in x], "energy").energy
    return 4 / 9 * np.polynomial.Polynomial.fit(x, energies, 5).deriv(2)(1.0) / a**3 / units.GPa


def vacancy(a: float, start: np.ndarray | None) -> tuple[float, np.ndarray]:
    """Formation energy in eV at the volume of the crystal, and the scaled positions of the relaxed atoms."""
    full = crystal(a, min(arguments.repeat, 3))
    atoms = full.copy()
    del atoms[0]
    atoms.rattle(0.02, seed=0)  # the neighbours may leave the symmetry of the site
    if start is not None:
        atoms.set_scaled_positions(start)
    atoms.calc = calculator
    LBFGS(atoms, logfile=None).run(fmax=5e-3, steps=500)
    energy = atoms.get_potential_energy() - len(atoms) / len(full) * full.get_potential_energy()
    return energy, atoms.get_scaled_positions(wrap=False)


def labelled() -> dict[str, tuple[list[ase.Atoms], np.ndarray, np.ndarray, float]]:
    """Structures, Green strains, labels in eV and volume at rest of perfect crystals of 64 atoms with one strain."""
    perfect = []
    for atoms in (atoms for path in arguments.labels for atoms in read(path, ":")):
        sites = 8 * (atoms.get_scaled_positions() - atoms.get_scaled_positions()[0])
        if len(atoms) == 64 and np.abs(sites - np.round(sites)).max() < 1e-6:
            perfect.append(atoms)
    found: dict[str, list[tuple[ase.Atoms, float, float]]] = {"C11": [], "clamped C44": []}
    rest = min(perfect, key=lambda atoms: atoms.get_potential_energy(), default=None)
    for atoms in perfect:
        green = (atoms.cell.array @ atoms.cell.array.T / rest.cell[0, 0] ** 2 - np.eye(3)) / 2
        strain = np.array([green[at] * (1 if at[0] == at[1] else 2) for at in VOIGT])
        strain[np.abs(strain) < 1e-6] = 0.0
        for name, here in (("C11", slice(0, 3)), ("clamped C44", slice(3, 6))):
            if np.count_nonzero(strain) == np.count_nonzero(strain[here]) <= 1:
                found[name].append((atoms, strain[here].sum(), atoms.get_potential_energy()))
    by_strain = {name: zip(*sorted(line, key=lambda one: one[1]), strict=True) for name, line in found.items() if line}
    return {
        name: (list(structures), np.array(strain), np.array(energies), rest.get_volume())
        for name, (structures, strain, energies) in by_strain.items()
    }


def stiffness(strain: np.ndarray, energies: np.ndarray, volume: float) -> float:
    """Second derivative of the energy by Green's strain in GPa, of a polynomial of degree 6."""
    return np.polynomial.Polynomial.fit(strain, energies, 6).deriv(2)(0.0) / volume / units.GPa


def properties(start: np.ndarray | None = None) -> tuple[dict[str, float], np.ndarray]:
    """Of the weights in use, by name and unit; and the relaxed vacancy."""
    a = brentq(lambda side: crystal(side).get_stress()[:3].sum(), 0.95 * guess, 1.05 * guess, xtol=1e-10)
    stretched, sheared = relaxed_stiffness(a, (0, 0)), relaxed_stiffness(a, (1, 2))
    formation, start = vacancy(a, start)
    found = {
        "lattice constant, Å": a,
        "bulk modulus of E(V), GPa": bulk_modulus(a),
        "(C11 + 2 C12) / 3, GPa": (stretched[0] + stretched[1] + stretched[2]) / 3,
        "C11, GPa": stretched[0],
        "C12, GPa": (stretched[1] + stretched[2]) / 2,
        "C44, GPa": sheared[3],
        "vacancy, eV": formation,
    }
    for name, (structures, strain, _, volume) in lines.items():
        energies = model.evaluate(structures, "energy").energy
        found[f"{name} of labelled cells, GPa"] = stiffness(strain, energies, volume)
    return found, start


def properties_and_spread() -> dict[str, tuple[float, np.ndarray, float]]:
    """Of the model, of each member of its committee and of the labels (NaN: none); printed as a table."""
    mean, relaxed = properties()
    kept, members = model.weights, []
    for weights in model.committee or ():
        model.weights = weights
        members.append(properties(relaxed)[0])
    model.weights = kept
    of_labels = {}
    for name, (structures, strain, labels, volume) in lines.items():
        of_labels["lattice constant, Å"] = (volume / 8) ** (1 / 3)
        of_labels[f"{name} of labelled cells, GPa"] = stiffness(strain, labels, volume)
        error = np.abs(model.evaluate(structures, "energy").energy - labels).max() / 64
        print(f"{name}: energies of {len(structures)} labelled cells within {1e3 * error:.1f} meV/atom")
    results = {
        name: (value, np.array([member[name] for member in members]), of_labels.get(name, np.nan))
        for name, value in mean.items()
    }
    print("\n| | model | committee ± | labels |\n|---|---|---|---|")
    for name, (value, spread, label) in results.items():
        digits = 1 if name.endswith("GPa") else 3
        deviation = spread.std(ddof=1) if len(spread) > 1 else np.nan
        print(f"| {name} | {value:.{digits}f} | {deviation:.{digits + 1}f} | {label:.{digits}f} |".replace("nan", ""))
    return results


def sample(thermostat: NoseHooverChainNVT, sites: np.ndarray) -> tuple[float, ...]:
    """ps, K, eV/atom, conserved meV/atom, farthest from its site, largest force, γ (largest, median), deviations."""
    atoms = thermostat.atoms
    out = model.evaluate(atoms, ("gamma", "energy_std", "forces_std"))
    return (
        thermostat.get_time() / (1e3 * units.fs),
        atoms.get_temperature(),
        atoms.get_potential_energy() / len(atoms),
        1e3 * thermostat.get_conserved_energy() / len(atoms),
        np.linalg.norm(atoms.positions - sites, axis=1).max(),
        np.linalg.norm(atoms.get_forces(), axis=1).max(),
        out.gamma.max(),
        np.median(out.gamma),
        1e3 * out.energy_std[0] / len(atoms),
        np.sqrt(np.mean(out.forces_std**2)),
    )


def dynamics(a: float) -> np.ndarray:
    """Samples [n, 10] every 50 fs at constant temperature; printed for each picosecond."""
    atoms = crystal(a, arguments.repeat)
    width = np.sqrt(units.kB * 2 * arguments.kelvin * atoms.get_masses())  # half of it becomes potential energy
    momenta = np.random.default_rng(0).normal(size=(len(atoms), 3)) * width[:, None]
    atoms.set_momenta(momenta - momenta.mean(axis=0))
    sites, lists, seconds, samples = atoms.positions.copy(), calculator.n_lists, 0.0, []
    thermostat = NoseHooverChainNVT(atoms, 2 * units.fs, temperature_K=arguments.kelvin, tdamp=100 * units.fs)
    print(f"\n{len(atoms)} atoms at {arguments.kelvin:g} K, 2 fs a step; means over each picosecond, ^ largest values")
    print("| ps | K | eV/atom | conserved meV/atom | from site Å ^ | force eV/Å ^ | γ ^ | γ median", end="")
    print(" | std meV/atom | std eV/Å |\n" + "|---" * 10 + "|")
    n_samples = max(2, round(arguments.picoseconds * 20))  # one alone has no drift
    for _ in range(n_samples):
        began = time.perf_counter()
        thermostat.run(25)
        seconds += time.perf_counter() - began
        samples.append(sample(thermostat, sites))
        if len(samples) % 20 == 0 or len(samples) == n_samples:
            part = slice(len(samples) - 1 - (len(samples) - 1) % 20, None)
            _, kelvin, energy, conserved, *_, gamma, energy_std, forces_std = np.mean(samples[part], axis=0)
            move, force, most = np.max(samples[part], axis=0)[4:7]
            conserved -= np.mean(samples[:20], axis=0)[3]
            row = f"| {samples[-1][0]:.3g} | {kelvin:.0f} | {energy:.4f} | {conserved:+.3f} | {move:.2f} | {force:.2f}"
            print(f"{row} | {most:.2f} | {gamma:.2f} | {energy_std:.3f} | {forces_std:.4f} |")
    steps = thermostat.get_number_of_steps()
    print(f"{steps} steps in {seconds:.1f} s: {steps / seconds:.0f}/s; {calculator.n_lists - lists} neighbour lists")
    every = np.array(samples)
    drift, noise = np.polyfit(every[:, 0], every[:, 3], 1)[0], np.abs(np.diff(every[:, 3])).max()
    print(
        f"conserved quantity: drift {1e3 * drift:.2f} µeV/atom/ps, largest change in 50 fs {1e3 * noise:.0f} µeV/atom"
    )
    return every


def draw(path: Path, results: dict[str, tuple[float, np.ndarray, float]], samples: np.ndarray) -> None:
    """Dynamics, equation of state and elastic constants side by side; the same numbers give the same bytes."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({"svg.hashsalt": "acegen", "svg.fonttype": "none", "font.size": 8}):
        figure = Figure(figsize=(12.6, 3.9), layout="constrained")
        run, curve, elastic = figure.subplots(1, 3)
        run.plot(samples[:, 0], samples[:, 1] / arguments.kelvin, "0.6", linewidth=0.8, label="temperature / target")
        run.plot(samples[:, 0], samples[:, 6], "C1", label="γ, largest of all atoms")
        run.plot(samples[:, 0], samples[:, 7], "C0", label="γ, median")
        run.set(xlabel="time, ps", ylim=(0, 1.6 * samples[:, 6].max()), title="extrapolation grade γ in dynamics")
        volumes, energies, std = equation_of_state(results["lattice constant, Å"][0])
        zero = energies.min()
        band = energies - zero - 10 * std, energies - zero + 10 * std
        curve.fill_between(volumes, *band, color="C0", alpha=0.3, linewidth=0, label="10 standard deviations")
        curve.plot(volumes, energies - zero, "C0", label="diamond")
        if lines:
            structures, strain, labels, volume = lines["C11"]
            stretched = volume / 64 * np.sqrt(1 + 2 * strain)
            curve.plot(stretched, model.evaluate(structures, "energy").energy / 64 - zero, "C1", label="stretched")
            curve.plot(stretched, labels / 64 - zero, "k.", label="stretched, labels")
        curve.set(xlabel="volume, Å³/atom", ylabel="energy, eV/atom", title="equation of state, committee")
        names = [name for name in results if name.endswith("GPa")]
        for at, name in enumerate(names):
            value, members, label = results[name]
            elastic.plot(
                members, np.full(len(members), at), "C0|", label="members of the committee" if at == 0 else None
            )
            elastic.plot(value, at, "C1.", label="model" if at == 0 else None)
            elastic.plot(label, at, "kx", label="labels" if at == len(names) - 1 and lines else None)
        elastic.set_yticks(range(len(names)), [name.removesuffix(", GPa") for name in names])
        elastic.set(xlabel="GPa", title="elasticity", ylim=(len(names) - 0.5, -0.5))
        for axes in (run, curve, elastic):
            axes.grid(True, alpha=0.25)
            axes.legend()
        figure.savefig(path, metadata={"Date": None})


lines = labelled()
check_derivatives()
results = properties_and_spread()
samples = dynamics(results["lattice constant, Å"][0])
if arguments.folder is not None:
    arguments.folder.mkdir(parents=True, exist_ok=True)
    draw(arguments.folder / f"{model.name}_properties.svg", results, samples)
