"""The table: one row for each figure."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path

HEAD = ("figure", "Parley", "peer", "ratio", "target", "")


@dataclass(frozen=True)
class Figure:
    """`value` in `unit`; `peer` is (name, value). `limit` bounds the ratio if there is a peer and `of_ratio`, else the
    value itself. One without a limit is told for comparison."""

    name: str
    value: float
    unit: str
    peer: tuple[str, float] | None = None
    limit: float | None = None
    of_ratio: bool = False

    @property
    def ratio(self) -> float | None:
        return self.value / self.peer[1] if self.peer and self.peer[1] else None

    @property
    def met(self) -> bool | None:
        measured = self.ratio if self.of_ratio else self.value
        return None if self.limit is None or measured is None else measured <= self.limit

    def row(self) -> tuple[str, ...]:
        target = ""
        if self.limit is not None:
            target = f"≤ {self.limit:g} of it" if self.of_ratio else f"≤ {self.limit:g} {self.unit}"
        return (
            self.name,
            f"{_number(self.value)} {self.unit}",
            f"{self.peer[0]}: {_number(self.peer[1])}" if self.peer else "",
            f"{self.ratio:.2f}" if self.ratio is not None else "",
            target,
            {None: "", True: "met", False: "MISSED"}[self.met],
        )


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def as_text(figures: list[Figure]) -> str:
    rows = [HEAD, *(figure.row() for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def write(
    path: Path, sections: dict[str, list[Figure]], machine: str, versions: dict[str, str], seconds: float
) -> None:
    lines = ["# Benchmarks", "", "Written by `make bench`; `bench/README.md` says what each figure means.", ""]
    lines += [f"{date.today().isoformat()}, {machine}; the whole run took {seconds / 60:.0f} minutes.", ""]  # noqa: DTZ011
    for title, figures in sections.items():
        lines += [f"## {title}", "", f"| {' | '.join(HEAD)} |", "|" + " --- |" * len(HEAD)]
        lines += [f"| {' | '.join(figure.row())} |" for figure in figures]
        lines.append("")
    lines += ["Versions: " + ", ".join(f"{name} {version}" for name, version in versions.items()) + ".", ""]
    path.write_text("\n".join(lines))
