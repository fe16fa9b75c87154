"""Watch which numbers a function prints: each value on its way into the text, and what gave it.

Two numbers may look alike in print (14 patients, 14 events). What tells them apart is the value that was
printed, to the bit, and the code that printed it. So the functions that write texts are rewritten once, as
pytest rewrites assertions: what stands in the braces of an f-string, in ``str()`` or
``.format()``, is noted on its way.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np

WRITERS = ("analysis.tables", "analysis.figures", "analysis.deviations")
_NOTE = "_note_printed"
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
    """

    value: Any
    function: str
    expression: str
    text: str | None = None


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
    noted: list[Printed] = []
    token = _NOTED.set(noted)
    try:
        result = make(*given, **choices)
    finally:
        _NOTED.reset(token)
    return result, noted


def _note(value: Any, function: str, expression: str, form: str | None = "") -> Any:
    noted = _NOTED.get()
    if noted is not None:
        plain = value.item() if isinstance(value, np.generic) else value
        if isinstance(plain, int | float | str) and not isinstance(plain, bool) and plain == plain:
            text = None if form is None else format(plain, form)
            noted.append(Printed(plain, function, expression, text))
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

    def visit_FormattedValue(self, node: ast.FormattedValue) -> ast.AST:
        said = ast.unparse(node.value)
        value = self.visit(node.value)  # not its format: how many decimals is no number of the text
        form = node.format_spec or ast.Constant("")
        return ast.FormattedValue(self._noted(value, said, form), node.conversion, node.format_spec)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        said = [ast.unparse(one) for one in node.args]
        self.generic_visit(node)
        writes = isinstance(node.func, ast.Name) and node.func.id == "str" and len(node.args) == 1
        writes |= isinstance(node.func, ast.Attribute) and node.func.attr == "format"
        if writes and not any(isinstance(one, ast.Starred) for one in node.args):
            form = ast.Constant("" if isinstance(node.func, ast.Name) else None)
            node.args = [self._noted(one, text, form) for one, text in zip(node.args, said)]
        return node

    def _noted(self, value: ast.expr, said: str, form: ast.expr) -> ast.expr:
        if isinstance(value, ast.Constant):
            return value
        words = [ast.Constant(".".join(self._inside)), ast.Constant(said)]
        return ast.Call(ast.Name(_NOTE, ast.Load()), [value, *words, form], [])


def _rewrite(module: ModuleType) -> None:
    """Give the functions of a module code that notes what it prints."""
    if not getattr(module, "__file__", None):
        return
    with open(module.__file__, encoding="utf-8") as file:
        text = file.read()
    noting = ast.fix_missing_locations(_Noting(module.__name__).visit(ast.parse(text)))
    plain, made = _by_place(text, module), _by_place(noting, module)
    setattr(module, _NOTE, _note)
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
