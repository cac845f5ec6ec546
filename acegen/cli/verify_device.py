"""Kernels of another device in `acegen verify`: against the C kernels, against themselves, in single precision."""

from __future__ import annotations

import numpy as np

from acegen.cli.verify_checks import ALL, SINGLE_FORCES, Check, Subject, largest, one_by_one, site_error, sums, worst_of
from acegen.runtime.cuda.host import HostBackend
from acegen.runtime.evaluation import Evaluation
from acegen.runtime.load import load_bundle


def device(subject: Subject) -> list[Check]:
    """The device gives what the CPU gives, the same bits each time, and sums that agree."""
    on_cpu = load_bundle(subject.folder, precision="float64").evaluate(subject.base_graph, ALL)
    base, rest = subject.base, subject.limit(1e-12, SINGLE_FORCES)
    again = _in_another_order(subject)
    differing = sum(int(np.count_nonzero(getattr(again, name) != getattr(base, name))) for name in ALL)
    where = subject.model.device
    return [
        subject.energies_check(f"{where} = cpu", base.energies, on_cpu.energies, 1e-12),
        subject.forces_check(f"{where} = cpu", base.forces, on_cpu.forces, 1e-12),
        Check(f"{where} = cpu: virial", largest(base.virial - on_cpu.virial) / subject.largest_virial, rest),
        Check(f"{where} = cpu: basis", subject.basis_error(base.basis, on_cpu.basis), max(1e-11, rest)),
        Check("numbers that differ in a second run", float(differing), 0.0),
        *sums(subject),
        Check("single-site entry", site_error(subject), 1e-13),
        Check("neighbours searched here = on the host", _search_error(subject), rest),
        Check("batch = one by one", one_by_one(subject), 1e-14),
    ]


def _in_another_order(subject: Subject) -> Evaluation:
    """Everything once more; on the host, where the order of threads can be chosen, in a random one."""
    backend = getattr(subject.model, "backend", None)
    if isinstance(backend, HostBackend):
        backend.order = "random"
    return subject.model.evaluate(subject.base_graph, ALL)


def _search_error(subject: Subject) -> float:
    """Largest error of structures whose neighbours are searched by the model, in units of the scales."""
    atoms = [one.atoms(subject.model.species) for one in subject.structures]
    found = subject.model.evaluate(atoms, ("energies", "forces"))
    energies = subject.energy_error(found.energies, subject.base.energies)
    return worst_of([energies, subject.force_error(found.forces, subject.base.forces)])


def device_float32(subject: Subject) -> list[Check]:
    """The CUDA kernels that loading in single precision gives; of a bundle, its own source in single precision."""
    folder = subject.folder
    if subject.source is not None:
        from acegen.compiler import compile_files
        from acegen.emit.bundle import write_bundle

        form, products = subject.options["form"], subject.options["products"]
        compiled = compile_files(subject.source, "float32", form, products, targets=("c", "cuda"))
        folder = subject.scratch / "float32"
        write_bundle(folder, compiled.files, compiled.manifest, compiled.binary)
    model = load_bundle(folder, subject.model.device, "float32")
    single = model.evaluate(subject.base_graph, ("energy", "forces"))
    return subject.single_precision("float32", single, subject.base)
