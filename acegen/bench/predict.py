"""Speed on a card that is not there: counted work, ceilings of a data sheet, and a fraction of them that is assumed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from acegen.bench.cuda_floors import Ceilings, counted, floor_of, shared_bandwidth
from acegen.bench.session import FORMAT
from acegen.bench.structures import RATTLE
from acegen.errors import InputError

KIND = "prediction"
NOT_MEASURED = "prediction, not measured"
# Of the busiest of arithmetic, shared memory and memory. The three are counted exactly, but not what else costs:
# instructions for addresses and loops, latency that too few warps hide, the last blocks of a launch, barriers.
# Well-made kernels that loop over tables reach about 40 % of their busiest pipe; ours have not been run.
FRACTION = 0.4


@dataclass(frozen=True, slots=True)
class Card:
    """Numbers of a data sheet; arithmetic without tensor cores, clocks are boost clocks."""

    name: str
    multiprocessors: int
    megahertz: float
    float64: float  # GFLOP/s
    float32: float
    bandwidth: float  # GB/s
    source: str

    @property
    def ceilings(self) -> Ceilings:
        """Rates; shared memory and L1 move 128 bytes a cycle and multiprocessor."""
        shared = shared_bandwidth(self.multiprocessors, self.megahertz)
        return Ceilings(self.float64, self.float32, self.bandwidth, shared)


CARDS = {
    "h200": Card("H200 SXM", 132, 1980.0, 34e3, 67e3, 4800.0, "NVIDIA H200 data sheet; clock: H100 white paper"),
    "h100": Card("H100 SXM", 132, 1980.0, 34e3, 67e3, 3350.0, "NVIDIA H100 data sheet and white paper"),
    "a100": Card("A100 80 GB SXM", 108, 1410.0, 9.7e3, 19.5e3, 2039.0, "NVIDIA A100 data sheet and white paper"),
    "v100": Card("V100 SXM2", 80, 1530.0, 7.8e3, 15.7e3, 900.0, "NVIDIA V100 data sheet and white paper"),
    "rtx4090": Card("RTX 4090", 128, 2520.0, 1.29e3, 82.6e3, 1008.0, "NVIDIA Ada white paper"),
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to predict."""

    source: Path
    cards: tuple[str, ...] = ("h200",)
    precisions: tuple[str, ...] = ("float64", "float32")
    form: str = "auto"
    products: str = "auto"
    lattice: str | None = None
    lattice_constant: float | None = None
    rattle: float = RATTLE


def predict(wanted: Wanted) -> dict[str, Any]:
    """JSON record: for every card and precision the stages, what binds them, and the rate; large systems only.

    Raises:
        InputError: a bundle folder, whose work is not counted.
        AcegenError: bad input.
    """
    if wanted.source.is_dir():
        raise InputError(f"{wanted.source}: work is counted in the plan of an input, expected one, found a bundle")
    predictions = []
    record: dict[str, Any] = {"format": FORMAT, "kind": KIND, "status": NOT_MEASURED, "fraction_assumed": FRACTION}
    for precision in wanted.precisions:
        options = (wanted.form, wanted.products, wanted.lattice, wanted.lattice_constant, wanted.rattle)
        costs, census, crystal, about = counted(wanted.source, precision, *options)
        record["potential"] = about
        record["crystal"] = {"lattice": crystal.lattice, "constant": crystal.constant, "rattle": wanted.rattle}
        for name in wanted.cards:
            floors = [floor_of(cost, CARDS[name].ceilings, precision) for cost in costs]
            us = sum(floor.least for floor in floors) / FRACTION
            predictions.append(
                {
                    "card": CARDS[name].name,
                    "source": CARDS[name].source,
                    "precision": precision,
                    "neighbours": round(census.neighbours, 2),
                    "us_per_atom": round(us, 5),
                    "atom_steps_per_s": round(1e6 / us),
                    "stages": [
                        {
                            "stage": floor.stage,
                            "operations": round(cost.arithmetic),
                            "shared_bytes": round(cost.shared),
                            "bytes": round(cost.read + cost.written),
                            "bound": floor.bound,
                            "us_per_atom": round(floor.least / FRACTION, 6),
                        }
                        for cost, floor in zip(costs, floors, strict=True)
                    ],
                }
            )
    record["predictions"] = predictions
    return record


def prediction_text(record: dict[str, Any]) -> str:
    """A line for every stage and sum; each says what it is."""
    name, crystal = record["potential"]["name"], record["crystal"]
    lines = [
        f"{name}: {crystal['lattice']} {crystal['constant']:.3f} A, rattled {crystal['rattle']:g} A; "
        f"{record['fraction_assumed']:.0%} of the busiest ceiling assumed"
    ]
    for one in record["predictions"]:
        head = f"{one['card']} {one['precision']}"
        lines += [f"{head} {_stage_text(stage)}" for stage in one["stages"]]
        lines.append(
            f"{head} all kernels: {1e3 * one['us_per_atom']:.1f} ns/atom, {1e-6 * one['atom_steps_per_s']:.1f} million "
            f"atom-steps/s, {one['neighbours']:.0f} neighbours, large systems ({one['source']})"
        )
    return "\n".join(f"{line}; {record['status']}" for line in lines)


def _stage_text(stage: dict[str, Any]) -> str:
    return (
        f"{stage['stage']}: {stage['operations']:,} multiply-adds, {stage['shared_bytes']:,} bytes of shared memory, "
        f"{stage['bytes']:,} bytes of memory, bound by {stage['bound']}, {1e3 * stage['us_per_atom']:.2f} ns/atom"
    )


def prediction_markdown(records: Sequence[dict[str, Any]]) -> list[str]:
    """Lines of a table, a row for every record, card and precision; none without records."""
    if not records:
        return []
    titles = ["potential", "card", "precision", "neighbours", "ns per atom", "million atom-steps/s", "most time in"]
    lines = ["", "Predicted from counted work and data sheets, not measured:", ""]
    lines += ["| " + " | ".join(titles) + " |", "|---" * len(titles) + "|"]
    for record in records:
        for one in record["predictions"]:
            longest = max(one["stages"], key=lambda stage: float(stage["us_per_atom"]))
            cells = [record["potential"]["name"], one["card"], one["precision"], f"{one['neighbours']:.0f}"]
            cells += [f"{1e3 * one['us_per_atom']:.0f}", f"{1e-6 * one['atom_steps_per_s']:.1f}"]
            cells.append(f"{longest['stage']} ({longest['bound']})")
            lines.append("| " + " | ".join(cells) + " |")
    return lines
