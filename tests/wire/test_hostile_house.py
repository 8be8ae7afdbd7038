"""Nothing outside ``wire/`` makes shell text for a machine: what is handed to one comes from there, whole."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "fleetssh"
MODULES = [
    path for path in sorted(ROOT.rglob("*.py")) if path.relative_to(ROOT).parts[0] not in ("wire", "lab")
]
"""The lab makes machines and is no part of steering them."""

SAYS = {"exec_command": 0, "stream": 1}
"""What hands a command to a machine, and where among its arguments the command is."""

COMMAND = "command"
"""What a parameter or a field is called that passes such a command on."""

SHELLS = {"system", "popen", "getoutput", "getstatusoutput", "create_subprocess_shell", "invoke_shell"}
"""Functions of the standard library, and of paramiko, that run a text by a shell."""


def imported_from_wire(tree: ast.Module) -> set[str]:
    """The names in a module that are wire's."""
    return {
        name.asname or name.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("fleetssh.wire")
        for name in node.names
    }


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def takes_command(function: ast.FunctionDef) -> bool:
    """Whether a function has a parameter that is a command as text (ssh's own is a list of words)."""
    return any(
        argument.arg == COMMAND and ast.unparse(argument.annotation or ast.Constant("")) == "str"
        for argument in (*function.args.args, *function.args.kwonlyargs)
    )


@cache
def passing_on() -> dict[str, int]:
    """Functions outside wire/ that take a command, and where it is among the arguments of a call."""
    found = dict(SAYS)
    for path in MODULES:
        for function in functions(ast.parse(path.read_text())):
            names = [argument.arg for argument in function.args.args if argument.arg != "self"]
            if takes_command(function):
                found.setdefault(function.name, names.index(COMMAND) if COMMAND in names else len(names))
    return found


def commands(function: ast.FunctionDef, takers: dict[str, int]) -> Iterator[ast.expr]:
    """What a function hands on as commands for a machine."""
    for call in ast.walk(function):
        if not isinstance(call, ast.Call):
            continue
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        if name not in takers:
            continue
        yield from (keyword.value for keyword in call.keywords if keyword.arg == COMMAND)
        yield from call.args[takers[name] : takers[name] + 1]


def is_wires(value: ast.expr, function: ast.FunctionDef, ours: set[str]) -> bool:
    """Whether a value is a whole command from wire/: made by it, or passed on as it is."""
    match value:
        case ast.Call(func=ast.Name(id=name)):
            return name in ours
        case ast.Attribute(attr=name):
            return name == COMMAND
        case ast.IfExp(body=body, orelse=orelse):
            return is_wires(body, function, ours) and is_wires(orelse, function, ours)
        case ast.Name(id=name):
            made = [
                node.value
                for node in ast.walk(function)
                if isinstance(node, ast.Assign | ast.AnnAssign)
                and any(
                    getattr(target, "id", "") == name
                    for target in getattr(node, "targets", [getattr(node, "target", None)])
                )
            ]
            if not made:
                return name == COMMAND and takes_command(function)
            return all(one is not None and is_wires(one, function, ours) for one in made)
        case _:
            return False


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_for_a_machine_comes_whole_from_wire(path: Path) -> None:
    tree = ast.parse(path.read_text())
    ours, takers = imported_from_wire(tree), passing_on()
    for function in functions(tree):
        for value in commands(function, takers):
            assert is_wires(value, function, ours), f"{path.name}:{value.lineno}: {ast.unparse(value)}"


def test_the_rule_sees_every_place_where_a_command_leaves() -> None:
    """It would hold of nothing, too."""
    takers = passing_on()
    seen = [
        value
        for path in MODULES
        for function in functions(ast.parse(path.read_text()))
        for value in commands(function, takers)
    ]
    assert len(seen) >= 6
    text = "def f(self, target, x):\n    self.c.stream(target, f'systemctl stop {x}', out, err)\n"
    (function,) = functions(ast.parse(text))
    (value,) = commands(function, takers)
    assert not is_wires(value, function, {"status_command"})


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_shell_reads_anything_here_and_visits_are_made_in_wire_alone(path: Path) -> None:
    tree = ast.parse(path.read_text())
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    names |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    modules = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    modules |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not names & SHELLS
    assert "shlex" not in modules and "fleetssh.wire.quoting" not in modules
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    assert not any(keyword.arg == "shell" for call in calls for keyword in call.keywords)
    assert not any(isinstance(call.func, ast.Name) and call.func.id == "Script" for call in calls)
