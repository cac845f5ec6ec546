"""Stage 4: names of the components of X for the reader of unrolled code: (species n l m) of every factor."""

from __future__ import annotations

from acegen.potential import Centre
from acegen.program.types import Program


def order_of(component: int) -> int:
    """The m of a component of a row 0, +1, -1, +2, -2, ..."""
    return 0 if component == 0 else (component + 1) // 2 * (1 if component % 2 else -1)


def component_labels(program: Program, centre: Centre, species: tuple[str, ...]) -> dict[int, str]:
    """Offset -> label: leaves are (species n l m), products the labels of their factors in a row.

    A complex number of the pair form is named by its real part, m > 0; a conjugated factor by a bar "*".
    """
    labels: dict[int, str] = {}
    for channel, offset in zip(centre.channels, program.leaf_offset, strict=True):
        if offset < 0:
            continue
        symbol = "*" if channel.neighbour < 0 else species[channel.neighbour]
        name = f"{channel.n} {channel.l}" if len(species) == 1 else f"{symbol} {channel.n} {channel.l}"
        for component in range(2 * channel.l + 1):
            labels.setdefault(offset + component, f"({name} {order_of(component)})")
    for group in program.steps:
        for a, b, out in group.rows.tolist():
            if group.kernel[0] == "multiply":
                name = labels[a] + labels[b] + ("*" if group.kernel[3] else "")
                labels[out] = name
                if group.kernel[2] == 2:
                    labels[out + 1] = f"Im {name}"
                continue
            degrees = group.kernel[3]
            first, second = _row(labels[a]), _row(labels[b])
            at = out
            for degree in degrees if isinstance(degrees, tuple) else ():
                for component in range(2 * degree + 1):
                    labels[at + component] = f"[{first}{second}]({degree} {order_of(component)})"
                at += 2 * degree + 1
    return labels


def _row(label: str) -> str:
    """A whole row instead of its first component: drop the m."""
    return label[: label.rindex(" ")] + ")"
