"""Small mistakes for a file: Cosmic Ray makes them, and what says nothing about the tests is left out."""

import ast
from collections.abc import Iterator
from pathlib import Path
from types import CodeType
from typing import NamedTuple

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

ROOT = Path(__file__).resolve().parents[2]
OPPOSITES = (
    "Eq_NotEq", "NotEq_Eq", "Lt_LtE", "Lt_GtE", "LtE_Lt", "LtE_Gt", "Gt_GtE", "Gt_LtE", "GtE_Gt", "GtE_Lt", "Is_IsNot", "IsNot_Is",
    "Add_Sub", "Sub_Add", "Mul_Div", "Div_Mul", "FloorDiv_Mul", "Mod_Mul", "Pow_Mul", "LShift_RShift", "RShift_LShift",
    "BitOr_BitAnd", "BitAnd_BitOr", "Delete_Not",
)  # fmt: skip
"""One or two replacements for each sign: more of them say no more."""
OTHERS = (
    "AddNot", "ReplaceTrueWithFalse", "ReplaceFalseWithTrue", "ReplaceAndWithOr", "ReplaceOrWithAnd", "ReplaceBreakWithContinue",
    "ReplaceContinueWithBreak", "NumberReplacer", "ZeroIterationForLoop", "RemoveDecorator",
)  # fmt: skip

Swap = dict[tuple[str, int], CodeType]
"""Qualified name and first line of a function -> its code."""


class Mistake(NamedTuple):
    file: Path
    operator: str
    occurrence: int
    line: int
    source: str

    @property
    def name(self) -> str:
        return f"{self.file.relative_to(ROOT)}:{self.line} {self.operator.partition('/')[2]}"

    def __str__(self) -> str:
        before, after = self.file.read_text().splitlines(), self.source.splitlines()
        line = next((mine for mine, theirs in zip(after, before, strict=False) if mine != theirs), "")
        return f"{self.name}: {line.strip()}"

    def swap(self) -> Swap | None:
        """Return the functions that differ; None where the mistake stands outside of any, and the module has to be loaded with it."""
        old, new = (list(_codes(compile(text, str(self.file), "exec"))) for text in (self.file.read_text(), self.source))
        differ = [(was, now) for was, now in zip(old, new, strict=True) if _content(was) != _content(now)]
        keys = [_key(code) for code in old]
        if len(old) != len(new) or any(not _is_function(was) or keys.count(_key(was)) > 1 for was, _ in differ):
            return None
        # Whoever makes a function at run time takes it from the code of the one around it.
        around = {_key(was): now for was, now in zip(old, new, strict=True) if _is_function(was) and was != now}
        return around or None

    def constant(self) -> tuple[CodeType, list[str]] | None:
        """Return the code and the names of what is assigned at the mistake's place; None where it is no assignment of the module's own."""
        for statement in ast.parse(self.source).body:
            if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.lineno <= self.line <= statement.end_lineno:
                names = [node.id for node in ast.walk(statement) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]
                return compile(ast.Module([statement], []), str(self.file), "exec"), names
        return None


def mistakes(file: Path) -> Iterator[tuple[str, int, int]]:
    """Yield operator, occurrence and line of all that could be made."""
    text = file.read_text()
    types = list(_types(ast.parse(text)))
    sums = {(type(node.op).__name__[:3], node.left.end_lineno) for node in ast.walk(ast.parse(text)) if isinstance(node, ast.BinOp)}
    nodes = list(ast_nodes(get_ast(text)))
    for name in operator_names():
        kind = name.partition("/")[2]
        if kind not in OTHERS and kind.partition("Operator_")[2] not in OPPOSITES:
            continue
        positions = [start for node in nodes for start, _ in get_operator(name)().mutation_positions(node)]
        for occurrence, (line, column) in enumerate(positions):
            is_type = "BitOr" in kind and any(begin <= (line, column) < end for begin, end in types)  # `int | None` is no arithmetic
            is_unpacking = any(f"Operator_{sign}" in kind and (sign, line) not in sums for sign in ("Pow", "Mul"))  # nor is `**options`
            if not (is_type or is_unpacking):
                yield name, occurrence, line


def make(file: Path, operator: str, occurrence: int, line: int) -> Mistake | None:
    """Return the mistake; None where it would not even be Python."""
    source = mutate_code(file.read_text(), get_operator(operator)(), occurrence)
    try:
        compile(source, str(file), "exec")
    except SyntaxError:
        return None
    return Mistake(file, operator, occurrence, line, source)


def lines_of_statement(file: Path, line: int) -> range:
    """Return the lines of the smallest statement around a line; of one with a body, its head."""
    found = range(line, line + 1)
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or node.lineno):
            body = getattr(node, "body", None)
            end = body[0].lineno - 1 if isinstance(body, list) and body else node.end_lineno or node.lineno
            if line <= max(end, node.lineno):
                found = range(node.lineno, max(end, node.lineno) + 1)
    return found


def _types(tree: ast.AST) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    for node in ast.walk(tree):
        for written in (getattr(node, "annotation", None), getattr(node, "returns", None)):
            if written is not None:
                yield (written.lineno, written.col_offset), (written.end_lineno, written.end_col_offset)


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _content(code: CodeType) -> tuple[object, ...]:
    constants = tuple("code" if isinstance(value, CodeType) else repr(value) for value in code.co_consts)
    return code.co_code, code.co_names, code.co_varnames, constants


def _is_function(code: CodeType) -> bool:
    return bool(code.co_flags & 0x02)  # CO_NEWLOCALS: neither a module nor the body of a class


def _key(code: CodeType) -> tuple[str, int]:
    return code.co_qualname, code.co_firstlineno
