"""Every action that the code can record in the activity, found by reading it: no action hides behind a variable.

From each call of `activity.record` the action is followed back to the words it is made of, through parameters to
whoever calls, through names to what they are given. What can't be followed is an error, not an action less.
"""

import ast
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import NamedTuple

SOURCES = Path(__file__).parent.parent / "src" / "forebay"
RECORD = ("forebay.domain.people.activity", "record")
"""Module and function; the action is its third argument."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


ACTION = 2


class Place(NamedTuple):
    """A function in a module; outside of any, None."""

    module: str
    function: Function | None


class Call(NamedTuple):
    """A call, and where it stands."""

    place: Place
    node: ast.Call


class Unclear(Exception):
    """An action that can't be followed."""


class Code:
    """All modules."""

    def __init__(self, folder: Path = SOURCES) -> None:
        self.trees = {
            ".".join(path.relative_to(folder.parent).with_suffix("").parts): ast.parse(path.read_text())
            for path in folder.rglob("*.py")
            if "versions" not in path.parts
        }
        self.functions: dict[tuple[str, str], Function] = {}
        self.imports: dict[str, dict[str, str]] = {}
        self.calls: dict[str, list[Call]] = {}
        for module, tree in self.trees.items():
            self.imports[module] = dict(imported(tree))
            for place, node in placed(module, tree):
                if isinstance(node, Function):
                    self.functions[module, node.name] = node
                elif isinstance(node, ast.Call):
                    self.calls.setdefault(called(node), []).append(Call(place, node))

    def target(self, call: Call) -> tuple[str, str]:
        """Module and name of what is called."""
        function, known = call.node.func, self.imports[call.place.module]
        if isinstance(function, ast.Name):
            module, _, name = known.get(function.id, f"{call.place.module}.{function.id}").rpartition(".")
            return module, name
        if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
            base = function.value.id
            return known.get(base, call.place.module if base == "self" else ""), function.attr
        return "", ""

    def actions(self) -> set[str]:
        """All of them. Raises Unclear."""
        found: set[str] = set()
        for call in self.calls["record"]:
            if self.target(call) == RECORD:
                found |= self.words(argument(call.node, ACTION, "action"), call.place)
        return found

    def words(self, node: ast.expr | None, place: Place) -> set[str]:
        """The strings that an expression can be. Raises Unclear."""
        match node:
            case ast.Constant(value=str(text)):
                return {text}
            case ast.JoinedStr(values=parts):
                choices = [
                    self.words(part.value if isinstance(part, ast.FormattedValue) else part, place) for part in parts
                ]
                return {"".join(chosen) for chosen in product(*choices)}
            case ast.IfExp(body=one, orelse=other):
                return self.words(one, place) | self.words(other, place)
            case ast.Subscript(value=ast.Name(id=name)):
                return self.of_table(name, place)
            case ast.Subscript(value=ast.Dict(values=values)):
                return set().union(*(self.words(each, place) for each in values))
            case ast.Attribute(value=ast.Name(id=name), attr=field):
                return self.of_field(name, field, place)
            case ast.Name(id=name):
                return self.of_name(name, place)
        raise Unclear(f"{place.module}: {ast.unparse(node) if node else 'no action'}")

    def of_table(self, name: str, place: Place) -> set[str]:
        """What stands in a table of the module."""
        for value in assigned(self.trees[place.module], name):
            if isinstance(value, ast.Dict):
                return set().union(*(self.words(each, place) for each in value.values))
        raise Unclear(f"{place.module}: {name}")

    def of_name(self, name: str, place: Place) -> set[str]:
        """What a name of a function can be: what it is given there, or by whoever calls."""
        function = place.function
        if function is not None:
            given = list(assigned(function, name))
            if given:
                return set().union(*(self.words(each, place) for each in given))
            parameters = [*function.args.posonlyargs, *function.args.args]
            all_of_them = [each.arg for each in (*parameters, *function.args.kwonlyargs)]
            if name in all_of_them:
                return self.of_parameter(name, place, function)
        module, _, name = self.imports[place.module].get(name, f"{place.module}.{name}").rpartition(".")
        given = list(assigned(self.trees[module], name)) if module in self.trees else []
        if not given:
            raise Unclear(f"{place.module}: {name}")
        return set().union(*(self.words(each, Place(module, None)) for each in given))

    def of_field(self, name: str, field: str, place: Place) -> set[str]:
        """The words that a field of a parameter may be, as its type says."""
        function = place.function
        all_of_them = [] if function is None else [*function.args.args, *function.args.kwonlyargs]
        kinds = [ast.unparse(each.annotation) for each in all_of_them if each.arg == name and each.annotation]
        for kind in kinds:
            module, _, found = self.imports[place.module].get(kind, f"{place.module}.{kind}").rpartition(".")
            for node in ast.walk(self.trees[module]):
                if isinstance(node, ast.ClassDef) and node.name == found:
                    for line in node.body:
                        match line:
                            case ast.AnnAssign(
                                target=ast.Name(id=own),
                                annotation=ast.Subscript(value=ast.Name(id="Literal"), slice=choices),
                            ) if own == field:
                                every = choices.elts if isinstance(choices, ast.Tuple) else [choices]
                                return set().union(*(self.words(each, place) for each in every))
        raise Unclear(f"{place.module}: {name}.{field}")

    def of_parameter(self, name: str, place: Place, function: Function) -> set[str]:
        """What callers give."""
        parameters = [each.arg for each in (*function.args.posonlyargs, *function.args.args)]
        position = parameters.index(name) - (parameters[:1] == ["self"]) if name in parameters else None
        found: set[str] = set()
        for call in self.calls.get(function.name, ()):
            module, _ = self.target(call)
            if module == place.module:
                node = argument(call.node, position, name)
                found |= self.words(node or default(function, name), call.place)
        if not found:
            raise Unclear(f"{place.module}: nobody calls {function.name}")
        return found


def imported(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """What names of the module stand for elsewhere."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            for each in node.names:
                yield each.asname or each.name, f"{node.module}.{each.name}"


def placed(module: str, tree: ast.Module) -> Iterator[tuple[Place, ast.AST]]:
    """Every node, with the function that it stands in."""

    def walk(node: ast.AST, function: Function | None) -> Iterator[tuple[Place, ast.AST]]:
        for child in ast.iter_child_nodes(node):
            yield Place(module, function), child
            yield from walk(child, child if isinstance(child, Function) else function)

    return walk(tree, None)


def called(node: ast.Call) -> str:
    """The last part of what is called."""
    match node.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def argument(node: ast.Call, position: int | None, name: str) -> ast.expr | None:
    """What is given for a parameter."""
    for keyword in node.keywords:
        if keyword.arg == name:
            return keyword.value
    return node.args[position] if position is not None and position < len(node.args) else None


def default(function: Function, name: str) -> ast.expr | None:
    """What a parameter is where nothing is given."""
    arguments = function.args
    own = [*arguments.posonlyargs, *arguments.args]
    pairs = [
        *zip(own[len(own) - len(arguments.defaults) :], arguments.defaults, strict=True),
        *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True),
    ]
    return next((value for parameter, value in pairs if parameter.arg == name), None)


def assigned(tree: ast.AST, name: str) -> Iterator[ast.expr]:
    """What a name is given."""
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    if isinstance(target, ast.Name) and target.id == name:
                        yield value
                    elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
                        for each, given in zip(target.elts, value.elts, strict=True):
                            if isinstance(each, ast.Name) and each.id == name:
                                yield given
            case ast.AnnAssign(target=ast.Name(id=found), value=ast.expr() as value) if found == name:
                yield value
