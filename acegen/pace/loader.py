"""Fast YAML for potential files: sequences as map keys, floats without a dot, no silently repeated keys."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

from acegen.errors import PotentialError

_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# YAML 1.1 wants a dot in floats; potential files also hold 1e-10 and 5E3 (pace_format T19).
_EXPONENT_FLOAT = re.compile(r"^[-+]?[0-9]+[eE][-+]?[0-9]+$")
_DOTTED_FLOAT = re.compile(r"^[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)[eE][0-9]+$")

# Lists of plain numbers are most of such a file; json reads them 20 times faster than YAML does, so they
# are taken out before parsing (measured: 0.8 MB in 1.2 s without, 0.3 s with).  Not those used as keys.
_NUMBER_LIST = re.compile(r"\[[-+0-9.eE, ]+\](?! *:)")


class _PotentialLoader(_Base):  # type: ignore[misc]
    """Safe loader whose maps accept `[0, 1]` as a key (a tuple in Python)."""


def _bad_node(node: yaml.Node, problem: str) -> yaml.MarkedYAMLError:
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


def _construct_map(loader: Any, node: yaml.MappingNode) -> dict[Any, Any]:
    out: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if isinstance(key, list):
            key = tuple(key)
        try:
            repeated = key in out
        except TypeError:
            raise _bad_node(key_node, f"{key!r} cannot be a key") from None
        if repeated:
            raise _bad_node(key_node, f"key {key!r} appears twice")
        out[key] = loader.construct_object(value_node, deep=True)
    return out


def _construct_float(loader: Any, node: yaml.ScalarNode) -> float:
    return float(node.value)


_PotentialLoader.add_constructor("tag:yaml.org,2002:map", _construct_map)
_PotentialLoader.add_constructor("!exponent", _construct_float)
for _pattern in (_EXPONENT_FLOAT, _DOTTED_FLOAT):
    _PotentialLoader.add_implicit_resolver("!exponent", _pattern, list("-+.0123456789"))


def load_yaml(path: Path, text: str) -> dict[Any, Any]:
    """The map in a YAML text.

    Args:
        path: the file, for messages only.
        text: its content.

    Raises:
        PotentialError: on a YAML syntax error or when the text is not a map.
    """
    lists: list[list[float]] = []

    def take_out(match: re.Match[str]) -> str:
        try:
            lists.append(json.loads(match.group()))
        except ValueError:  # 1. or .5 are YAML numbers but not JSON: leave them to YAML
            return match.group()
        return f"!taken {len(lists) - 1}"

    def put_back(loader: Any, node: yaml.Node) -> list[float]:
        number = str(node.value)
        if not number.isdecimal() or int(number) >= len(lists):  # a tag of the file itself
            raise _bad_node(node, f"unknown tag {node.tag!r}")
        return lists[int(number)]

    class Loader(_PotentialLoader):
        pass

    Loader.add_constructor("!taken", put_back)
    try:
        content = yaml.load(_NUMBER_LIST.sub(take_out, text), Loader=Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}:" if mark is not None else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise PotentialError(f"{path.name}:{line} not valid YAML: {problem}") from None
    except RecursionError:
        raise PotentialError(f"{path.name}: nested too deeply, expected a potential") from None
    except ValueError as error:  # 2026-13-41, a number of 5000 digits
        raise PotentialError(f"{path.name}: not valid YAML: {error}") from None
    if not isinstance(content, dict):
        raise PotentialError(f"{path.name}: expected a YAML map at the top, found {type(content).__name__}")
    return content
