"""JSON Schema for expectations, by the package jsonschema where it is installed.

Fetches nothing: a schema that refers elsewhere is refused.
"""

import json
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

from webhookctl.errors import UsageError

_MOST = 5  # problems told of one value


def validate_by_schema(schema: object, value: object) -> list[str]:
    """What is wrong with `value` by the JSON Schema, in words.

    Raises UsageError `schema-missing` without jsonschema, `schema-invalid` for what is no schema.
    """
    errors = _validator(json.dumps(schema, sort_keys=True))
    try:
        found = sorted(errors(value), key=lambda error: [str(step) for step in error.path])
    except Exception as error:  # whatever a reference, a pattern or a depth may lead to is the schema's
        raise UsageError("schema-invalid", f"the schema cannot be used: {error}") from error
    return [
        f"{'.'.join(str(step) for step in error.path) or 'the body'}: {error.message}"
        for error in found[:_MOST]
    ]


@lru_cache(maxsize=256)
def _validator(schema: str) -> Callable[[object], Iterator[Any]]:
    try:
        from jsonschema import Draft202012Validator
        from jsonschema.exceptions import SchemaError
        from referencing import Registry
    except ImportError:
        raise UsageError(
            "schema-missing",
            "expectations with `schema` need the package jsonschema",
            "pip install 'webhookctl[schema]'",
        ) from None
    document = json.loads(schema)
    try:
        Draft202012Validator.check_schema(document)
    except SchemaError as error:
        raise UsageError("schema-invalid", f"not a JSON Schema: {error.message}") from error
    errors: Callable[[object], Iterator[Any]] = Draft202012Validator(
        document, registry=Registry()
    ).iter_errors
    return errors
