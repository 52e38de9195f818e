"""Frozen values with named fields.

What `dataclasses.dataclass(frozen=True)` gives, with the methods shared by all classes instead of
compiled for each: sixty classes cost 1 ms at start-up instead of 50 (and `dataclasses` itself
another 10), and `abcparam check` has to start fast. Type checkers see ordinary frozen dataclasses.

`NamedTuple` is that of `typing` without a look at the types of its fields, which takes longer than
all else there is to do.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self, TypeVar, dataclass_transform

MISSING: Any = object()


class Field:
    """How a field differs from a plain one."""

    __slots__ = ("compare", "default", "factory", "kw_only", "repr")

    def __init__(
        self, default: Any, factory: Any, compare: bool, kw_only: bool, repr: bool
    ) -> None:
        self.default = default
        self.factory = factory
        self.compare = compare
        self.kw_only = kw_only
        self.repr = repr


def field(
    *,
    default: Any = MISSING,
    default_factory: Callable[[], Any] = MISSING,
    compare: bool = True,
    kw_only: bool = False,
    repr: bool = True,
) -> Any:
    """A field with a default, or one that comparisons leave out."""
    return Field(default, default_factory, compare, kw_only, repr)


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
class Record:
    """Base of all frozen values.

    Fields are the annotated names of the class and its bases, in order.
    """

    _fields: dict[str, Field] = {}
    _positional: tuple[str, ...] = ()
    _compared: tuple[str, ...] = ()

    def __init_subclass__(cls) -> None:
        fields = dict(cls._fields)
        for name, kind in cls.__dict__.get("__annotations__", {}).items():
            if not str(kind).startswith("ClassVar"):
                fields[name] = _field(cls, name)
        cls._fields = fields
        cls._positional = tuple(name for name, f in fields.items() if not f.kw_only)
        setattr(cls, "__match_args__", cls._positional)  # noqa: B010 (its type is its own)
        cls._compared = tuple(name for name, f in fields.items() if f.compare)

    def __init__(self, *arguments: Any, **named: Any) -> None:
        values, positional = self.__dict__, self._positional
        values.update(zip(positional, arguments, strict=False))
        unknown = named and not named.keys() <= self._fields.keys() - values.keys()
        if unknown or len(arguments) > len(positional):
            raise TypeError(f"{type(self).__name__}: unexpected arguments")
        values.update(named)
        if len(values) < len(self._fields):
            self._fill(values)

    def _fill(self, values: dict[str, Any]) -> None:
        for name, f in self._fields.items():
            if name not in values:
                if f.default is MISSING and f.factory is MISSING:
                    raise TypeError(f"{type(self).__name__}: missing argument {name!r}")
                values[name] = f.default if f.factory is MISSING else f.factory()

    def _key(self) -> tuple[Any, ...]:
        values = self.__dict__
        return tuple([values[name] for name in self._compared])

    def __eq__(self, other: object) -> bool:
        return self is other or (type(self) is type(other) and self._key() == other._key())

    def __hash__(self) -> int:
        return hash((type(self).__name__, self._key()))

    def __repr__(self) -> str:
        shown = (f"{name}={getattr(self, name)!r}" for name, f in self._fields.items() if f.repr)
        return f"{type(self).__name__}({', '.join(shown)})"

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__}.{name} cannot be changed")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__}.{name} cannot be deleted")

    def __replace__(self, **changes: Any) -> Self:
        fields = {name: self.__dict__[name] for name in self._fields}
        return type(self)(**(fields | changes))


T = TypeVar("T", bound=Record)


def _field(cls: type[Record], name: str) -> Field:
    default = cls.__dict__.get(name, MISSING)
    if isinstance(default, Field):
        return default
    return Field(default, MISSING, compare=True, kw_only=False, repr=True)


def replace(record: T, **changes: Any) -> T:
    """A copy with some fields changed."""
    return record.__replace__(**changes)


if TYPE_CHECKING:
    from typing import NamedTuple as NamedTuple
else:

    class _NamedTupleType(type):
        """Makes a named tuple of a class and of the fields that are annotated in it."""

        def __new__(cls, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> type:
            fields = body["__annotations__"]
            defaults = [body.pop(field) for field in fields if field in body]
            made = namedtuple(name, fields, defaults=defaults, module=body["__module__"])
            for own, value in body.items():
                setattr(made, own, value)
            return made

    NamedTuple = type.__new__(_NamedTupleType, "NamedTuple", (), {})
