"""Draw the pictures of the documentation again, from the models and pictures in fixtures/.

    python docs/pictures.py            draws them; a minute
    python docs/pictures.py --table    prints the table of docs/heatmaps.md instead; some minutes
    python docs/pictures.py --where    prints the table of docs/where-it-looks.md instead; seconds
    python docs/pictures.py --filters  prints the table of docs/inside-the-network.md instead; a minute
    python docs/pictures.py --edits    prints the table of docs/what-it-depends-on.md instead; a minute
    python docs/pictures.py --trust    prints that of docs/trusting-explanations.md; some minutes

Needs pytest-cnnaudit installed with one backend. The methods that draw random numbers draw the same ones each
time. On another backend or processor the maps differ by rounding, which nobody sees.
"""

from __future__ import annotations

import sys

from figures import edited_images, heatmap_methods, inside_the_network, trust, where_it_looks
from figures.tiles import FIXTURES, save

from pytest_cnnaudit import Engine, load_cases

PICTURE = "pictures/cat-02.jpg"
MEASURED = 24  # pictures, eight of each class


def main() -> None:
    """Draw them all, or print the table."""
    cases = list(load_cases(FIXTURES / "validation.json"))
    engines = {
        kind: Engine(FIXTURES / f"{kind}.keras", class_names=FIXTURES / "class_names.txt", seed=0, progress=False)
        for kind in ("honest", "shortcut")
    }
    tables = {
        "--table": lambda: heatmap_methods.table(engines, cases[:MEASURED]),
        "--where": lambda: where_it_looks.where_table(engines, cases),
        "--filters": lambda: inside_the_network.filters_table(engines["honest"]),
        "--edits": lambda: edited_images.table_of_edits(engines, cases[::4]),
        "--trust": lambda: trust.trust_table(engines["honest"], cases[:MEASURED]),
    }
    for asked in sys.argv[1:]:
        if asked not in tables:
            sys.exit(f"{asked!r} is not known; {', '.join(tables)} are all that may be asked for")
        print(tables[asked]())
    if sys.argv[1:]:
        return
    case = next(case for case in cases if str(case.image).endswith(PICTURE))
    for kind, engine in engines.items():
        save(heatmap_methods.all_methods(engine, case), f"methods-{kind}")
    save(heatmap_methods.layers(engines["honest"], case), "layers")
    save(inside_the_network.activations(engines["honest"], case), "activations")
    save(inside_the_network.patterns(engines["honest"]), "patterns")
    save(trust.trust(engines["honest"], case), "trust")
    save(where_it_looks.where(engines, cases, case), "where-it-looks")
    save(inside_the_network.sparsity(engines["honest"], cases), "sparsity")
    save(inside_the_network.gains(engines["honest"]), "gains")
    save(edited_images.edited(engines, case), "edits")


if __name__ == "__main__":
    main()
