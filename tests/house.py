"""The rules of the house and what breaks them: `python tests/house.py [ROOT]` lists all of it.

Every rule takes a `House`, the sources below a project's root, and gives a line for each thing that breaks it:
where it is, what it is and what to do.
"""

from __future__ import annotations

import ast
import io
import itertools
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

PACKAGE = "pytest_cnnaudit"
ROOMS = ("cases", "preprocessing", "edits", "metrics", "engine", "findings", "gate", "audit", "record", "report")
"""A room imports only from those before it."""
DOORS = ("plugin", "suite", "cli")
"""They know every room; no room knows them."""
FOR_ALL = "checks"
"""What every room may import, and what imports no room."""

MOST_LINES, MOST_LINES_OF_A_FUNCTION, MOST_LINES_OF_A_SCRIPT = 400, 60, 500
SCRIPTS = ("tests", "fixtures", "benchmarks", "truth", "docs", "examples")

FRAMEWORKS = ("keras", "keras_hub", "tensorflow", "torch", "jax", "jaxlib")
HOME_OF_FRAMEWORKS = f"{PACKAGE}.engine.models.keras"
DOORS_OF_FRAMEWORKS = (f"{PACKAGE}.engine", f"{PACKAGE}.engine.models", f"{PACKAGE}.plugin.backend")
"""Where models of Keras are opened, and where its backend is chosen."""
HOME_OF_PRIVATE_NAMES = f"{HOME_OF_FRAMEWORKS}.private"
NAMED_TUPLE = ("_asdict", "_field_defaults", "_fields", "_make", "_replace")
"""Public, for all their underscores."""
BY_NAME = ("getattr", "setattr", "hasattr", "delattr")

SAY_NOTHING = ("common", "helpers", "misc", "utils")
SAY_LITTLE = ("calling", "exhibits", "foresight", "inside", "judging", "publishing", "results", "trust", "words")


@dataclass(frozen=True)
class Module:
    """A file of Python source."""

    name: str
    """With dots, from the package's name on; a test's or a script's is its file's."""
    path: Path
    root: Path

    @property
    def is_package(self) -> bool:
        return self.path.name == "__init__.py"

    @cached_property
    def text(self) -> str:
        return self.path.read_text("utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @cached_property
    def imports(self) -> list[Import]:
        """Every import statement, and modules named to `import_module`, `__import__` and `importorskip`."""
        return [one for node in ast.walk(self.tree) for one in _imports(self, node)]

    @cached_property
    def code(self) -> set[int]:
        """Numbers of the lines that hold more than a docstring, a comment or nothing."""
        return code_lines(self)

    @cached_property
    def room(self) -> str:
        """The folder or module of the package that it is in; empty for the package's own `__init__`."""
        return room_of(self.name)

    def at(self, line: int = 0) -> str:
        place = self.path.relative_to(self.root).as_posix()
        return f"{place}:{line}" if line else place


@dataclass(frozen=True)
class Import:
    """One name (or none) from one module, as it is written: at the top, in a function, under `TYPE_CHECKING`."""

    line: int
    module: str
    name: str | None = None


class House:
    """The modules of the package below `root`, and the tests and scripts beside it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._scripts: dict[Path, Module] = {}
        self.modules = {}
        for path in sorted((root / PACKAGE).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            self.modules[name] = Module(name, path, root)

    def scripts(self, *folders: str) -> list[Module]:
        """All below these folders, each read once."""
        paths = [path for folder in folders for path in sorted((self.root / folder).rglob("*.py"))]
        return [self._scripts.setdefault(path, Module(path.stem, path, self.root)) for path in paths]

    def imports(self, module: Module) -> list[tuple[int, str]]:
        """(line, module of the package) for everything it imports from the package."""
        found = [(one.line, self.holder(one)) for one in module.imports if is_below(one.module, PACKAGE)]
        return [(line, target) for line, target in dict.fromkeys(found) if target]

    def holder(self, one: Import) -> str:
        """The module that an import is about: what `from package import name` gives lies in a module, or in a package.

        Empty for what is nobody's, `__version__`.
        """
        if one.name is None:
            return one.module
        if f"{one.module}.{one.name}" in self.modules:
            return f"{one.module}.{one.name}"
        if one.name.startswith("__"):
            return ""
        return self.public_names.get(one.name, PACKAGE) if one.module == PACKAGE else one.module

    @cached_property
    def public_names(self) -> dict[str, str]:
        """The module of each name that the package itself gives, whether imported or fetched at its first use."""
        if PACKAGE not in self.modules:
            return {}
        init = self.modules[PACKAGE]
        imported = {one.name: one.module for one in init.imports if one.name and is_below(one.module, PACKAGE)}
        tables = [node for node in ast.walk(init.tree) if isinstance(node, ast.Dict)]
        rows = [row for table in tables for row in zip(table.keys, table.values, strict=True)]
        fetched = {
            name.value: f"{PACKAGE}.{key.value}"
            for key, value in rows
            if isinstance(key, ast.Constant) and isinstance(value, (ast.Tuple, ast.List))
            for name in value.elts
            if isinstance(name, ast.Constant)
        }
        return fetched | imported


def room_of(module: str) -> str:
    return module.partition(".")[2].partition(".")[0]


def is_below(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def is_private(name: str) -> bool:
    return name.startswith("_") and not (name.startswith("__") and name.endswith("__")) and name.strip("_") != ""


def _imports(module: Module, node: ast.AST) -> Iterator[Import]:
    if isinstance(node, ast.Import):
        yield from (Import(node.lineno, alias.name) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        source = absolute(module, "." * node.level + (node.module or ""))
        yield from (Import(alias.lineno, source, alias.name) for alias in node.names)
    elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
        called, named = ast.unparse(node.func).rpartition(".")[2], node.args[0].value
        if called in ("import_module", "__import__", "importorskip") and isinstance(named, str):
            yield Import(node.lineno, absolute(module, named))


def absolute(module: Module, name: str) -> str:
    """A module's name without leading dots."""
    levels = len(name) - len(name.lstrip("."))
    if not levels:
        return name
    parents = module.name.split(".")
    kept = parents[: len(parents) - levels + module.is_package]
    return ".".join([*kept, *filter(None, [name[levels:]])])


# The rules.


def order(house: House) -> list[str]:
    """Rooms that import a later room."""
    rank = {room: index for index, room in enumerate((FOR_ALL, *ROOMS))} | dict.fromkeys(DOORS, len(ROOMS) + 1)
    lines = []
    for module in house.modules.values():
        if module.name == PACKAGE:
            continue
        if module.room not in rank:
            lines.append(f"{module.at()} lies in no room; move it to one of {', '.join((*ROOMS, *DOORS))}")
            continue
        for line, target in house.imports(module):
            room = room_of(target)
            if room != FOR_ALL and rank.get(room, len(rank)) > rank[module.room]:
                lines.append(
                    f"{module.at(line)}: {module.room} imports {target}, but {room or PACKAGE} comes later; "
                    f"move what is needed to {module.room} or before, or pass it as an argument"
                )
    return lines


def circles(house: House) -> list[str]:
    """Modules that import each other, directly or through others.

    A package imports what its `__init__` imports. Whoever takes a name from the package it lies in closes a circle,
    since it can't be imported before its package; to import from a module beside it is none.
    """
    edges: dict[str, dict[str, str]] = {name: {} for name in house.modules}
    for name, module in house.modules.items():
        for line, target in house.imports(module):
            if target in edges and target != name:
                edges[name].setdefault(target, module.at(line))
                if is_below(name, target):
                    edges[target].setdefault(name, house.modules[target].at())
    lines, told = [], set()
    for name in edges:
        circle = [] if name in told else _shortest_circle(edges, name)
        if circle:
            told |= set(circle)
            steps = ", ".join(f"{edges[one][other]} imports {other}" for one, other in itertools.pairwise(circle))
            lines.append(f"a circle: {steps}; move what both need to a module of its own")
    return lines


def _shortest_circle(edges: dict[str, dict[str, str]], start: str) -> list[str]:
    paths = [[start]]
    seen = set()
    for path in paths:
        for target in edges[path[-1]]:
            if target == start:
                return [*path, start]
            if target not in seen:
                seen.add(target)
                paths.append([*path, target])
    return []


def private_names(house: House) -> list[str]:
    """Private names of another module, imported or reached as an attribute, and of libraries outside of one file."""
    advice = "give it a public name, or ask for what it does"
    lines = []
    for module in house.modules.values():
        is_home = module.name == HOME_OF_PRIVATE_NAMES
        for one in module.imports:
            names = [*one.module.split("."), *filter(None, [one.name])]
            is_ours = is_below(one.module, PACKAGE)
            if is_ours and any(map(is_private, names)):
                lines.append(f"{module.at(one.line)}: {'.'.join(names)} is private; {advice}")
            elif not is_ours and not is_home and (any(map(is_private, names)) or names[:2] == ["keras", "src"]):
                lines.append(
                    f"{module.at(one.line)}: {'.'.join(names)} is private to a library; "
                    f"only {HOME_OF_PRIVATE_NAMES} may know it"
                )
        classes = {node.name for node in ast.walk(module.tree) if isinstance(node, ast.ClassDef)}
        classes |= _made_by_own_class(module.tree)
        for node in [] if is_home else ast.walk(module.tree):
            owner, name = _reached(node)
            if owner is not None and is_private(name) and name not in NAMED_TUPLE and not _is_own(owner, classes):
                lines.append(
                    f"{module.at(node.lineno)}: {ast.unparse(owner)}.{name} is private; {advice}; "
                    f"what is Keras' or a backend's belongs in {HOME_OF_PRIVATE_NAMES}"
                )
    return lines


def _reached(node: ast.AST) -> tuple[ast.expr | None, str]:
    """Whose attribute is reached, and its name."""
    if isinstance(node, ast.Attribute):
        return node.value, node.attr
    if not (isinstance(node, ast.Call) and len(node.args) > 1 and isinstance(node.args[1], ast.Constant)):
        return None, ""
    called = ast.unparse(node.func).rpartition(".")[2].strip("_")
    return (node.args[0] if called in BY_NAME else None), str(node.args[1].value)


def _made_by_own_class(tree: ast.Module) -> set[str]:
    """Names of instances that a class' own method makes: `one = cls(…)`, `one = copy.copy(self)`."""
    return {
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)
        if ast.unparse(node.value.func) == "cls" or ast.unparse(node.value) == "copy.copy(self)"
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def _is_own(owner: ast.expr, classes: set[str]) -> bool:
    if isinstance(owner, ast.Call):
        return ast.unparse(owner) in ("super()", "type(self)")
    return isinstance(owner, ast.Name) and owner.id in {"self", "cls", *classes}


def long_modules(house: House) -> list[str]:
    """Modules of the package with too many lines of code."""
    counts = {module: len(module.code) for module in house.modules.values()}
    advice = f"at most {MOST_LINES} without docstrings, comments and blank ones: split it by what it is about"
    return [f"{one.at()} has {count} lines, {advice}" for one, count in counts.items() if count > MOST_LINES]


def long_functions(house: House) -> list[str]:
    """Functions of the package with too many lines of code."""
    advice = f"at most {MOST_LINES_OF_A_FUNCTION} without docstrings, comments and blank ones: split it"
    lines = []
    for module in house.modules.values():
        for node in ast.walk(module.tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                count = sum(node.lineno <= line <= (node.end_lineno or 0) for line in module.code)
                if count > MOST_LINES_OF_A_FUNCTION:
                    lines.append(f"{module.at(node.lineno)}: {node.name} has {count} lines, {advice}")
    return lines


def code_lines(module: Module) -> set[int]:
    """Numbers of the lines that hold more than a docstring, a comment or nothing."""
    strings = [node for node in ast.walk(module.tree) if isinstance(node, ast.Expr)]
    documentation = {
        line
        for node in strings
        if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for line in range(node.lineno, (node.end_lineno or 0) + 1)
    }
    nothing = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(module.text).readline):
        is_documentation = token.type == tokenize.STRING and token.start[0] in documentation
        if token.type not in nothing and not is_documentation:
            lines |= set(range(token.start[0], token.end[0] + 1))
    return lines


def long_scripts(house: House) -> list[str]:
    """Tests and scripts with too many lines of any kind."""
    counts = {module: len(module.text.splitlines()) for module in house.scripts(*SCRIPTS)}
    advice = f"at most {MOST_LINES_OF_A_SCRIPT}: split it by what it is about"
    return [
        f"{one.at()} has {count} lines, {advice}" for one, count in counts.items() if count > MOST_LINES_OF_A_SCRIPT
    ]


def frameworks(house: House) -> list[str]:
    """Imports of Keras and its backends, or of what knows them, where models are none of Keras."""
    return [
        f"{module.at(one.line)} imports {one.module}; only {HOME_OF_FRAMEWORKS} may, ask a model behind the Protocol"
        for module in house.modules.values()
        if not is_below(module.name, HOME_OF_FRAMEWORKS)
        for one in module.imports
        if one.module.partition(".")[0] in FRAMEWORKS
        or (is_below(one.module, HOME_OF_FRAMEWORKS) and module.name not in DOORS_OF_FRAMEWORKS)
    ]


def empty_names(house: House) -> list[str]:
    """Modules whose names don't say what is in them."""
    return [
        f"{module.at()}: {module.name.rpartition('.')[2]!r} does not say what is in it; name it after what it holds"
        for module in house.modules.values()
        if module.name.rpartition(".")[2] in (*SAY_NOTHING, *SAY_LITTLE)
    ]


def mirror(house: House) -> list[str]:
    """Tests that don't lie where what they test lies."""
    rooms = [room for room in (*ROOMS, *DOORS) if (house.root / PACKAGE / room).is_dir()]
    homes = {module.name.rpartition(".")[2]: module.room for module in house.modules.values()}
    tests = house.root / "tests"
    lines = [
        f"tests/{room} holds no test of {PACKAGE}/{room}; put them there"
        for room in rooms
        if not any((tests / room).rglob("test_*.py"))
    ]
    for test in house.scripts("tests"):
        folder, *deeper = test.path.relative_to(tests).parts
        if deeper and folder not in (*ROOMS, *DOORS):
            lines.append(f"{test.at()}: tests/{folder} is not named after a room; move it to one")
        home = homes.get(test.name.removeprefix("test_"))
        if not deeper and home in (*ROOMS, *DOORS):
            lines.append(f"{test.at()} is about {home}; move it to tests/{home}")
    return lines


def later_rooms(house: House) -> list[str]:
    """Tests of a room that need a later one."""
    lines = []
    for index, room in enumerate(ROOMS):
        later = (*ROOMS[index + 1 :], *DOORS)
        lines += [
            f"{test.at(line)} needs {target}, a later room; do without, or move the test to tests/{room_of(target)}"
            for test in house.scripts(f"tests/{room}")
            for line, target in house.imports(test)
            if room_of(target) in later
        ]
    return lines


def foreign_helpers(house: House) -> list[str]:
    """Tests that import what belongs to another room's tests."""
    tests = house.root / "tests"
    places: dict[str, set[Path]] = {}
    for test in house.scripts("tests"):
        places.setdefault(test.name, set()).add(test.path.parent)
    lines = [
        f"tests has {len(folders)} modules called {name}, of which one hides the others; rename them"
        for name, folders in places.items()
        if name != "conftest" and len(folders) > 1
    ]
    for test in house.scripts("tests"):
        for one in test.imports:
            parts = one.module.split(".")
            name = (one.name or "") if one.module == "tests" else parts[-1] if parts[0] == "tests" else parts[0]
            own = [test.path.parent, *test.path.parent.parents]
            if name == "conftest" or (name in places and not places[name] & set(own[: own.index(tests) + 1])):
                lines.append(
                    f"{test.at(one.line)} imports {name}, which is another's; move what both need to a module in tests"
                )
    return lines


RULES = {
    "order of the rooms": order,
    "circles": circles,
    "private names": private_names,
    "lines of a module": long_modules,
    "lines of a function": long_functions,
    "lines of a script": long_scripts,
    "frameworks": frameworks,
    "names of modules": empty_names,
    "places of tests": mirror,
    "later rooms in tests": later_rooms,
    "helpers of tests": foreign_helpers,
}


def main(root: Path) -> int:
    """Lists everything that breaks a rule; 1 where there is any."""
    house = House(root)
    found = {name: lines for name, rule in RULES.items() if (lines := rule(house))}
    for name, lines in found.items():
        print(f"{name}: {len(lines)}", *sorted(lines), sep="\n  ")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).resolve().parents[1]))
