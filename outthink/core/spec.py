"""Specs: the one notation for strategies and verifiers. `best_of_n(n=16, verifier=sequence_likelihood())` is what the command
line takes, the journal keeps and the report prints. Parsed without `eval`; only knobs that differ from their default are written.

    spec   := name [ "(" [ knob "=" value { "," knob "=" value } ] ")" ]
    value  := number | string in quotes | true | false | none | spec | "[" [ value { "," value } ] "]"
"""

from __future__ import annotations

import ast
import dataclasses
import json
from collections.abc import Callable

from outthink.core.errors import UsageError, nearest
from outthink.core.registry import kind_of, knobs, lookup, name_of


def build(text: str, kind: str = "strategy", *, find: Callable[[str], type] | None = None) -> object:
    """The object that a spec describes.

    Args:
        text: the spec, such as `majority_vote(n=8)`.
        kind: `strategy`, `verifier`, `comparer`, ...: what the outermost name must be.
        find: who knows the class of the outermost name, where that is not the registry; a frozen dataclass.

    Raises:
        UsageError: malformed text, an unknown name or knob (with the nearest known one), or a value that the knob does not take.
    """
    source = text.strip()
    if not source:
        raise UsageError(f"{kind}: the spec is empty; `outthink methods` lists the known ones")
    try:
        tree = ast.parse(source, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise UsageError(f"{kind} {text!r}: not a spec; write it as name(knob=value, ...), such as best_of_n(n=16)") from None
    return _object(tree, kind, text, find)


def _object(node: ast.expr, kind: str | None, text: str, find: Callable[[str], type] | None = None) -> object:
    if isinstance(node, ast.Name):
        name, given = node.id, []
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.args:
        name, given = node.func.id, node.keywords
    else:
        raise UsageError(f"{kind or 'value'} {text!r}: {ast.unparse(node)!r} is not name(knob=value, ...); knobs are given by name")
    registered = lookup(name, kind) if find is None else find(name)
    known = knobs(registered)
    values: dict[str, object] = {}
    for keyword in given:
        if keyword.arg is None or keyword.arg not in known:
            raise UsageError(f"{name}: no knob {keyword.arg!r}.{nearest(keyword.arg or '', list(known))}")
        if keyword.arg in values:
            raise UsageError(f"{name}: the knob {keyword.arg!r} is given twice")
        if isinstance(keyword.value, ast.Name) and annotation_of(known[keyword.arg]) == "str":
            raise UsageError(f'{name}: {keyword.arg} takes text in quotes; write {keyword.arg}="{keyword.value.id}"')
        values[keyword.arg] = _fit(_value(keyword.value, text), known[keyword.arg], f"{name}: {keyword.arg}")
    missing = [field.name for field in known.values() if default_of(field) is dataclasses.MISSING and field.name not in values]
    if missing:
        raise UsageError(f"{name}: needs {', '.join(missing)}; write {name}({missing[0]}=...)")
    try:
        return registered(**values)
    except (ValueError, TypeError) as error:
        raise error if isinstance(error, UsageError) else UsageError(f"{name}: {error}") from error


def _value(node: ast.expr, text: str) -> object:
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float, str, bool, type(None))):
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
        if isinstance(node.operand.value, (int, float)) and not isinstance(node.operand.value, bool):
            return -node.operand.value
    elif isinstance(node, (ast.List, ast.Tuple)):
        return tuple(_value(item, text) for item in node.elts)
    elif isinstance(node, ast.Name) and node.id.lower() in ("true", "false", "none"):
        return {"true": True, "false": False, "none": None}[node.id.lower()]
    elif isinstance(node, (ast.Name, ast.Call)):
        return _object(node, None, text)
    raise UsageError(f"spec {text!r}: {ast.unparse(node)!r} is not a value; use a number, 'text', true, false, none, [..] or a spec")


_PARTS = {"Strategy": "strategy", "Verifier": "verifier", "Comparer": "comparer"}


def _fit(value: object, field: dataclasses.Field[object], where: str) -> object:
    # numbers are checked against the annotation, so that n=2.5 or n='8' is refused here and not deep inside a method
    annotation = annotation_of(field)
    allowed = {part.strip() for part in annotation.split("|")}
    parts = [_PARTS[name] for name in allowed if name in _PARTS]
    if parts and not (value is None and "None" in allowed) and kind_of(type(value)) not in parts:
        got = describe(value) if dataclasses.is_dataclass(value) else repr(value)
        raise UsageError(f"{where} takes a {' or a '.join(parts)}, written as name(...); got {got}")
    if allowed <= {"int", "float", "str", "bool", "None"}:
        kinds = {"bool": bool, "str": str, "None": type(None)}
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            if not any(name in kinds and isinstance(value, kinds[name]) for name in allowed):
                raise UsageError(f"{where} takes {annotation}, got {value!r}")
        elif (isinstance(value, int) and not allowed & {"int", "float"}) or (isinstance(value, float) and "float" not in allowed):
            raise UsageError(f"{where} takes {annotation}, got {value!r}")
        elif "float" in allowed and "int" not in allowed:
            return float(value)
    return value


def annotation_of(field: dataclasses.Field[object]) -> str:
    """A knob's type as it is written, also where the module does not postpone the evaluation of annotations."""
    return field.type.__name__ if isinstance(field.type, type) else str(field.type)


def default_of(field: dataclasses.Field[object]) -> object:
    """A knob's default, `dataclasses.MISSING` where it must be given."""
    return field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default


def describe(thing: object) -> str:
    """The spec of a registered object; `build` undoes it. Knobs at their default are left out.

    Anything else is described by its `repr`.
    """
    name = name_of(type(thing))
    if name is None:
        return repr(thing)
    parts = []
    for field in dataclasses.fields(thing):  # type: ignore[arg-type]  # registered classes are dataclasses
        value = getattr(thing, field.name)
        if field.init and value != default_of(field):
            parts.append(f"{field.name}={write(value)}")
    return f"{name}({', '.join(parts)})" if parts else name


def write(value: object) -> str:
    """A knob's value in the notation of specs."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(write(item) for item in value)}]"
    written = describe(value)
    return written if written.endswith(")") else f"{written}()"
