"""The base of every recipe section, what becomes of one, and the number types that they share.

Knows pydantic, and that settings of other rooms have the names that recipes use. Does not know any field.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_args, get_type_hints

from pydantic import BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Kind = TypeVar("Kind", bound="DataclassInstance")

Share = Annotated[float, Field(ge=0.0, lt=1.0)]
Probability = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
Count = Annotated[int, Field(ge=1)]


def section_of(annotation: Any) -> type[BaseModel] | type[DataclassInstance] | None:
    """The section inside an annotation such as ``Replay | None``, if there is one: its own class, or a
    dataclass that another room declares.
    """
    if isinstance(annotation, type) and (issubclass(annotation, BaseModel) or is_dataclass(annotation)):
        return annotation
    inner = (section_of(part) for part in get_args(annotation))
    return next((found for found in inner if found is not None), None)


def fields_of(section: type[BaseModel] | type[DataclassInstance]) -> Mapping[str, FieldInfo]:
    """Name → field of a section of either kind."""
    if issubclass(section, BaseModel):
        return section.model_fields
    hints = get_type_hints(section)
    return {
        field.name: FieldInfo(
            annotation=hints[field.name],
            default=PydanticUndefined if field.default is MISSING else field.default,
            description=field.metadata["description"],
        )
        for field in fields(section)
    }


class Section(BaseModel):
    """Base of all sections: immutable, unknown fields refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def settings(self, kind: type[Kind], **more: Any) -> Kind:
        """``kind``, a dataclass of another room, filled by name from this section and from ``more``."""
        named = {f.name: getattr(self, f.name) for f in fields(kind) if f.name not in more}
        return kind(**named, **more)
