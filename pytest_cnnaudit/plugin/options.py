"""Every option once: from this table come the command line, the environment, the ini keys, the help and the docs.

A plugin or the root folder's `conftest.py` adds one of its own with `register`.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from weakref import WeakKeyDictionary

import pytest


@dataclass(frozen=True)
class Option:
    """`--cnnaudit-<name>`, `CNNAUDIT_<NAME>` and the ini key `cnnaudit_<name>`.

    Without a `metavar` and `choices` it is a flag, which has a default of True or False; with the metavar `N` it takes
    an integer of at least `least`. The value of one that is `in_policy` is a part of the record's `policy_sha256`.
    """

    name: str
    help: str
    default: str | int | bool | None = None
    metavar: str | None = None
    least: int = 0
    is_path: bool = False
    choices: tuple[str, ...] = ()
    in_policy: bool = False

    @property
    def flag(self) -> str:
        """The command line's spelling."""
        return f"--cnnaudit-{self.name}"

    @property
    def key(self) -> str:
        """The ini's spelling, which is also where pytest keeps the command line's value."""
        return "cnnaudit_" + self.name.replace("-", "_")

    @property
    def variable(self) -> str:
        """The environment variable."""
        return self.key.upper()

    @property
    def ini_type(self) -> Literal["bool", "int", "string"]:
        """pytest's native TOML tables are strict about a value's type."""
        return "bool" if isinstance(self.default, bool) else "int" if self.metavar == "N" else "string"


_TABLE = (
    Option("model", "the .keras or .h5 file of the model to audit", metavar="PATH", is_path=True),
    Option(
        "cases",
        "labelled pictures: COCO JSON, Pascal VOC folder, CSV or class folders",
        metavar="PATH",
        is_path=True,
    ),
    Option("class-names", "class names, one a line, in the order of the outputs", metavar="PATH", is_path=True),
    Option(
        "preprocessing",
        "how pictures become model input: a Preprocessing, or a callable for its scale "
        "(default: stretch to the model's input size, no scaling)",
        metavar="MODULE:OBJECT",
    ),
    Option("backend", "Keras backend: tensorflow, torch or jax (default: Keras' own choice)", metavar="NAME"),
    Option("report", "folder of the report", default="cnnaudit-report", metavar="DIR", is_path=True),
    Option("artifacts", "tests that get a page with evidence", default="failed", choices=("failed", "all", "off")),
    Option("batch-size", "pictures in a batch (default: chosen by their size)", metavar="N", least=1, in_policy=True),
    Option("seed", "seed of everything random", default=0, metavar="N", in_policy=True),
    Option(
        "inconclusive",
        "what an inconclusive audit does to its test",
        default="fail",
        choices=("fail", "warn"),
        in_policy=True,
    ),
    Option(
        "require",
        "fail a run that executed no audit (on when the model is given on the command line)",
        default=False,
    ),
    Option("pictures", "none keeps pictures out of the report", default="embed", choices=("embed", "none")),
    Option("import", "module to import before the model is loaded (custom layers)", metavar="MODULE"),
)
BY_NAME = {option.name: option for option in _TABLE}
OPTIONS = BY_NAME.values()
"""Every option, also those that are registered later."""


def register(option: Option) -> None:
    """Adds an option to the command line, the environment, the ini, the help, and where the docs are built the docs.

    For plugins and for the `conftest.py` of the folder in which pytest starts, when they are imported; `value` gives
    what was set. Registering the same option again changes nothing.

        from pytest_cnnaudit.plugin import options

        options.register(options.Option("site", "the clinic whose pictures these are", metavar="NAME"))

    Raises `ValueError` for a name that can't be one, and for one that another option has.
    """
    if not re.fullmatch("[a-z]+(-[a-z]+)*", option.name):
        raise ValueError(f"an option's name is {option.name!r}; lower-case words joined by hyphens are expected")
    if BY_NAME.setdefault(option.name, option) != option:
        raise ValueError(f"there is another option {option.flag} already: {BY_NAME[option.name].help}")


_ADDED: WeakKeyDictionary[pytest.Parser, set[str]] = WeakKeyDictionary()


def add_options(parser: pytest.Parser) -> None:
    """Adds every option that pytest's parser does not have yet to the command line and to the ini."""
    group = parser.getgroup("cnnaudit", "interpretability tests of image classifiers")
    added = _ADDED.setdefault(parser, set())
    for option in OPTIONS:
        if option.name in added:
            continue
        added.add(option.name)
        text = f"{option.help} [{option.variable}, ini {option.key}]"
        if isinstance(option.default, bool):
            group.addoption(option.flag, action="store_true", default=None, dest=option.key, help=text)
        elif option.choices:
            group.addoption(option.flag, choices=option.choices, default=None, dest=option.key, help=text)
        else:
            group.addoption(option.flag, default=None, dest=option.key, metavar=option.metavar, help=text)
        parser.addini(option.key, help=option.help, type=option.ini_type, default=None)


def value(config: pytest.Config, name: str) -> Any:
    """An option's value: command line, else environment, else ini, else default; None where there is none.

    Raises `pytest.UsageError` for a value that the option doesn't take. A path on the command line or in the
    environment is relative to the working directory, one in the ini to that file.
    """
    option = BY_NAME[name]
    try:
        given = config.getoption(option.key)
    except ValueError:
        raise pytest.UsageError(
            f"{option.flag} was registered when pytest had read the command line: register it in a plugin, or in the "
            "conftest.py of the folder in which pytest starts"
        ) from None
    if given is not None:
        return _parsed(option, given, option.flag, config.invocation_params.dir)
    if os.environ.get(option.variable):
        return _parsed(option, os.environ[option.variable], option.variable, config.invocation_params.dir)
    written = _ini(config, option)
    if written is not None:
        base = config.inipath.parent if config.inipath else config.rootpath
        return _parsed(option, written, f"ini {option.key}", base)
    if option.is_path and option.default is not None:
        return config.invocation_params.dir / str(option.default)
    return option.default


def _ini(config: pytest.Config, option: Option) -> Any:
    try:
        return config.getini(option.key)
    except (TypeError, ValueError, pytest.UsageError) as error:
        raise pytest.UsageError(f"ini {option.key}: {error}") from error


def is_on_command_line(config: pytest.Config, name: str) -> bool:
    """Whether the option was given on the command line."""
    return config.getoption(BY_NAME[name].key) is not None


def separate_paths(config: pytest.Config) -> list[str]:
    """The options that stand on the command line as `--option PATH`, not as `--option=PATH`."""
    paths = [option.flag for option in OPTIONS if option.is_path and is_on_command_line(config, option.name)]
    return [flag for flag in paths if flag in config.invocation_params.args]


def is_required(config: pytest.Config) -> bool:
    """Whether a run without an audit fails."""
    return bool(value(config, "require")) or is_on_command_line(config, "model")


def policy(config: pytest.Config) -> dict[str, Any]:
    """The values of the options that belong to what the record calls the policy."""
    return {option.name: value(config, option.name) for option in OPTIONS if option.in_policy}


def _parsed(option: Option, text: Any, where: str, base: Path) -> Any:
    if isinstance(option.default, bool):
        return _flag(text, where)
    if option.choices and text not in option.choices:
        raise pytest.UsageError(f"{where}: {text!r} is not one of {', '.join(option.choices)}")
    if option.metavar == "N":
        if not str(text).isdecimal() or int(text) < option.least:
            raise pytest.UsageError(f"{where}: {text!r} is not a whole number of at least {option.least}")
        return int(text)
    return base / Path(text).expanduser() if option.is_path else text


def _flag(text: Any, where: str) -> bool:
    if isinstance(text, bool):
        return text
    known = {
        "1": True,
        "true": True,
        "yes": True,
        "on": True,
        "0": False,
        "false": False,
        "no": False,
        "off": False,
    }
    if str(text).lower() not in known:
        raise pytest.UsageError(f"{where}: {text!r} is neither true nor false")
    return known[str(text).lower()]
