"""Cases of a CSV table.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pytest_cnnaudit.cases.annotations import as_bool, as_number, one_or_more, prefixed, read_text
from pytest_cnnaudit.cases.case import Case
from pytest_cnnaudit.cases.errors import CaseError
from pytest_cnnaudit.cases.fields import nearest
from pytest_cnnaudit.cases.regions import Box

CSV_COLUMNS = ("image", "label", "left", "top", "right", "bottom")
CSV_OPTIONAL_COLUMNS = ("forbidden", "id", "group")


def read_csv(path: Path) -> list[Case]:
    """One case an image of a CSV with the columns image, label, left, top, right, bottom.

    The four edges may be empty: a case without a region; an empty label is no label. A label of digits is a
    class index. Several rows of one image are one case, whose region is the union of their boxes; a label is
    of the whole case, so the rows must agree in it where they give one. Optional columns: `forbidden` (true:
    the box is a forbidden region), `id` (rows with the same id are one case; default: the image) and `group`.
    """
    rows: dict[str, list[_Row]] = {}
    for row in _csv_rows(path):
        rows.setdefault(row.cells.get("id") or row.cells["image"], []).append(row)
    return [_csv_case(path, case_id, case_rows) for case_id, case_rows in rows.items()]


@dataclass(frozen=True)
class _Row:
    where: str
    cells: dict[str, str]

    @property
    def box(self) -> Box | None:
        edges = [self.cells[name] for name in CSV_COLUMNS[2:]]
        if not any(edges):
            return None
        numbers = [as_number(text, f"{self.where}: {name}") for name, text in zip(CSV_COLUMNS[2:], edges, strict=True)]
        return prefixed(self.where, lambda: Box(*numbers))


def _csv_rows(path: Path) -> Iterator[_Row]:
    reader = csv.reader(read_text(path).splitlines(keepends=True), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        _check_header(header, f"{path}: line 1")
        for cells in reader:
            where = f"{path}: line {reader.line_num}"
            if not cells:
                continue
            if len(cells) != len(header):
                raise CaseError(
                    f"{where}: has {len(cells)} cells (must be {len(header)}, as many as there are columns)"
                )
            row = _Row(where, dict(zip(header, (cell.strip() for cell in cells), strict=True)))
            if not row.cells["image"]:
                raise CaseError(f"{where}: image is empty")
            yield row
    except csv.Error as error:
        raise CaseError(f"{path}: line {reader.line_num}: is not CSV ({error})") from error


def _check_header(header: list[str], where: str) -> None:
    for name in CSV_COLUMNS:
        if name not in header:
            raise CaseError(f"{where}: column '{name}' is missing (columns: {', '.join(header) or 'none'})")
    known = CSV_COLUMNS + CSV_OPTIONAL_COLUMNS
    for name in header:
        # A misspelt "forbidden" that is passed over would turn what is forbidden into what is asked for.
        if name not in known:
            raise CaseError(f"{where}: column '{name}' is unknown{nearest(name, known)} (known: {', '.join(known)})")
        if header.count(name) > 1:
            raise CaseError(f"{where}: column '{name}' is there twice")


def _csv_case(path: Path, case_id: str, rows: list[_Row]) -> Case:
    first = rows[0]
    for row in rows[1:]:
        if row.cells["image"] != first.cells["image"]:
            raise CaseError(
                f"{row.where}: image is {row.cells['image']!r}, but id {case_id!r} is {first.cells['image']!r} above"
            )
    regions: list[Box] = []
    forbidden: list[Box] = []
    for row in rows:
        box = row.box
        is_forbidden = as_bool(row.cells.get("forbidden", ""), f"{row.where}: forbidden")
        if box is None and (is_forbidden or len(rows) > 1):
            reason = (
                "a forbidden row needs a box" if is_forbidden else f"{case_id!r} has several rows, each needs a box"
            )
            raise CaseError(f"{row.where}: left, top, right and bottom are empty ({reason})")
        if box is not None:
            (forbidden if is_forbidden else regions).append(box)
    label = _agreed(rows, "label", case_id)
    return Case(
        path.parent / first.cells["image"],
        label=int(label) if label is not None and label.isdecimal() else label,
        region=one_or_more(regions),
        forbidden=one_or_more(forbidden),
        id=case_id,
        group=_agreed(rows, "group", case_id),
        source=f"{first.where}: image '{first.cells['image']}'",
    )


def _agreed(rows: list[_Row], column: str, case_id: str) -> str | None:
    """The one value that the rows of a case give; rows may leave it empty."""
    agreed: str | None = None
    for row in rows:
        value = row.cells.get(column)
        if value and agreed is not None and value != agreed:
            raise CaseError(
                f"{row.where}: {column} is {value!r}, but {case_id!r} has {agreed!r} above "
                f"(a case has one {column}; an id column makes two cases of one image)"
            )
        agreed = value or agreed
    return agreed
