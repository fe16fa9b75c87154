"""Watch which numbers a function prints: each value on its way into the text, and what gave it.

Two numbers may look alike in print (14 patients, 14 events). What tells them apart is the value that was
printed, to the bit, and the code that printed it. So the functions that write texts are rewritten once, as
pytest rewrites assertions: what stands in the braces of an f-string, in ``str()`` or
``.format()``, is noted on its way.
"""

from __future__ import annotations

import ast
import copy
import inspect
import sys
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np
import pandas as pd

WRITERS = ("analysis.tables", "analysis.figures", "analysis.deviations")
FORMAT = "tables.format"  # writes the numbers of all others: what it was given is said by who asked it
_NOTE, _BEGIN = "_note_printed", "_begin_printing"
_NOTED: ContextVar[list | None] = ContextVar("printed", default=None)
_DONE: set[str] = set()


@dataclass(frozen=True)
class Printed:
    """A value that went into a text.

    Attributes
    ----------
    value : float, int or str
        As it was, before it was rounded; a text where another function had written it.
    function : str
        Which function printed it, as ``tables.sentences.say_main``.
    expression : str
        What stood in the braces, as ``row['ESTIMATE']``.
    text : str or None
        How it was written; None where only the function that took it knows.
    before, after : str
        What is written out on either side of it in the same f-string.
    rows : tuple
        Rows the expression takes its columns from; first as they are, then as (table, position).
    outer : tuple of Printed
        The texts it went into, from the innermost to the outermost.
    """

    value: Any
    function: str
    expression: str
    text: str | None = None
    before: str = ""
    after: str = ""
    rows: tuple = field(default=(), compare=False, repr=False)
    outer: tuple[Printed, ...] = ()

    @property
    def way(self) -> tuple[Printed, ...]:
        """Return the value itself and the texts it went into."""
        return (self, *self.outer)


def watch(make: Callable, /, *given: Any, **choices: Any) -> tuple[Any, list[Printed]]:
    """Call `make` and return its result and every value that was printed meanwhile, in order.

    Parameters
    ----------
    make : callable
        A sentence, caption, picture or table function of this package, or one that calls them.
    *given, **choices
        What it takes.
    """
    for name in [name for name in sys.modules if name.startswith(WRITERS) and name not in _DONE]:
        _rewrite(sys.modules[name])
        _DONE.add(name)
    noted: list[tuple[int, Printed]] = []
    token = _NOTED.set(noted)
    try:
        result = make(*given, **choices)
    finally:
        _NOTED.reset(token)
    return result, _with_outer(noted)


def _with_outer(noted: list[tuple[int, Printed]]) -> list[Printed]:
    """Tell every value which texts it went into: those begun before it was printed and finished after."""
    outer: list[list[Printed]] = [[] for _ in noted]
    for place, (begun, one) in enumerate(noted):
        for inner in range(begun, place):
            outer[inner].append(one)
    return [replace(one, outer=tuple(around)) for (_, one), around in zip(noted, outer)]


def _begin() -> int:
    return len(_NOTED.get() or ())


def _note(begun: int, value: Any, said: tuple, form: str | None = "", rows: tuple = ()) -> Any:
    noted = _NOTED.get()
    if noted is not None:
        plain = value.item() if isinstance(value, np.generic) else value
        if isinstance(plain, int | float | str) and not isinstance(plain, bool) and plain == plain:
            function, expression, before, after = said
            text = None if form is None else format(plain, form)
            rows = tuple(row for row in rows if isinstance(row, pd.Series | dict) or hasattr(row, "_asdict"))
            noted.append((begun, Printed(plain, function, expression, text, before, after, rows)))
    return value


class _Noting(ast.NodeTransformer):
    """Put `_note` around what f-strings, ``str()`` and ``.format()`` print; what is written out stays."""

    def __init__(self, module: str):
        self._inside = [module.removeprefix("analysis.")]

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        self._inside.append(node.name)
        done = self.generic_visit(node)
        self._inside.pop()
        return done

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        parts = node.values
        words = ["", *(one.value if isinstance(one, ast.Constant) else "" for one in parts), ""]
        done = [
            self._formatted(one, words[place], words[place + 2])
            if isinstance(one, ast.FormattedValue)
            else one
            for place, one in enumerate(parts)
        ]
        return ast.JoinedStr(done)

    def _formatted(self, node: ast.FormattedValue, before: str, after: str) -> ast.AST:
        # Not its format: how many decimals is no number of the text.
        form = node.format_spec or ast.Constant("")
        plain, value = node.value, self._inner(node.value)
        return ast.FormattedValue(
            self._noted(value, plain, form, before, after), node.conversion, node.format_spec
        )

    def _inner(self, node: ast.expr) -> ast.expr:
        """Return an expression with what it prints noted, but not its own result: its taker notes that."""
        if isinstance(node, ast.Call) and is_formatter(node):
            return self.generic_visit(copy.deepcopy(node))
        return self.visit(copy.deepcopy(node))

    def visit_Call(self, node: ast.Call) -> ast.AST:
        plain = [copy.deepcopy(one) for one in node.args]
        whole = copy.deepcopy(node)
        self.generic_visit(node)
        writes = isinstance(node.func, ast.Name) and node.func.id == "str" and len(node.args) == 1
        writes |= isinstance(node.func, ast.Attribute) and node.func.attr == "format"
        if writes and not any(isinstance(one, ast.Starred) for one in node.args):
            form = ast.Constant("" if isinstance(node.func, ast.Name) else None)
            node.args = [self._noted(one, said, form) for one, said in zip(node.args, plain)]
        return self._noted(node, whole, ast.Constant("")) if is_formatter(whole) else node

    def _noted(
        self, value: ast.expr, plain: ast.expr, form: ast.expr, before: str = "", after: str = ""
    ) -> ast.expr:
        if isinstance(plain, ast.Constant):
            return value
        said = (".".join(self._inside), ast.unparse(plain), before, after)
        begin = ast.Call(ast.Name(_BEGIN, ast.Load()), [], [])
        rows = ast.Tuple([ast.Name(name, ast.Load()) for name in _row_names(plain)], ast.Load())
        words = ast.Tuple([ast.Constant(one) for one in said], ast.Load())
        return ast.Call(ast.Name(_NOTE, ast.Load()), [begin, value, words, form, rows], [])


def is_formatter(node: ast.Call) -> bool:
    """Tell whether a call writes a number by one of the functions of `analysis.tables.format`."""
    name = getattr(node.func, "id", getattr(node.func, "attr", None))
    known = vars(sys.modules[f"analysis.{FORMAT}"]) if f"analysis.{FORMAT}" in sys.modules else {}
    return isinstance(known.get(name), FunctionType) and not str(name).startswith("_")


def _row_names(node: ast.expr) -> list[str]:
    """Return the names whose columns an expression takes, as `row` of ``row['P']`` and ``row.P``.

    They are read once more after it: none where the expression may leave one of them out (``a if b else c``).
    """
    parts = list(ast.walk(node))
    branching = ast.IfExp | ast.BoolOp | ast.comprehension | ast.Lambda | ast.NamedExpr
    if any(isinstance(one, branching) for one in parts):
        return []
    taken = [one.value for one in parts if isinstance(one, ast.Subscript) and _is_column(one.slice)]
    taken += [one.value for one in parts if isinstance(one, ast.Attribute) and one.attr.isupper()]
    return sorted({one.id for one in taken if isinstance(one, ast.Name)})


def _is_column(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _rewrite(module: ModuleType) -> None:
    """Give the functions of a module code that notes what it prints."""
    if not getattr(module, "__file__", None):
        return
    with open(module.__file__, encoding="utf-8") as file:
        text = file.read()
    noting = ast.fix_missing_locations(_Noting(module.__name__).visit(ast.parse(text)))
    plain, made = _by_place(text, module), _by_place(noting, module)
    setattr(module, _NOTE, _note)
    setattr(module, _BEGIN, _begin)
    for function in _functions(module):
        code, place = function.__code__, _place(function.__code__)
        same = place in plain and plain[place].co_code == code.co_code  # the file may be newer than what runs
        if same and made[place].co_freevars == code.co_freevars:
            function.__code__ = made[place]


def _functions(module: ModuleType) -> Iterator[FunctionType]:
    """Yield the functions a module defines, those under a decorator and in classes too."""
    found = [*vars(module).values()]
    found += [
        part for one in found if inspect.isclass(one) and one.__module__ == module.__name__
        for part in vars(one).values()
    ]  # fmt: skip
    for one in found:
        one = getattr(one, "fget", one)
        while one is not None:
            if isinstance(one, FunctionType) and one.__module__ == module.__name__:
                yield one
            one = getattr(one, "__wrapped__", None)


def _by_place(source: str | ast.Module, module: ModuleType) -> dict[tuple, CodeType]:
    whole = compile(source, module.__file__, "exec", dont_inherit=True)
    return {_place(code): code for code in _codes(whole)}


def _codes(code: CodeType) -> Iterator[CodeType]:
    for part in code.co_consts:
        if isinstance(part, CodeType):
            yield part
            yield from _codes(part)


def _place(code: CodeType) -> tuple:
    return code.co_qualname, code.co_firstlineno
