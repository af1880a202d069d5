"""Reads signing schemes from TOML: the packaged ones by provider id, and a user's own file.

Must not know requests or secrets. The form is shown in full by `data/slack.toml` and described in `parse_scheme`.
"""

import tomllib
from dataclasses import replace
from difflib import get_close_matches
from functools import cache

from webhookctl.errors import UsageError
from webhookctl.signing import asymmetric, web_token
from webhookctl.signing.computed import COMPUTATIONS, EXACT, FROM_URL, MEANING, SENT_WITH, is_computed
from webhookctl.signing.place import Rule, Template, parse_place, parse_rule, parse_template
from webhookctl.signing.primitive import DERIVATIONS, ENCODINGS, PRIMITIVES
from webhookctl.signing.scheme import (
    SENT_SLOTS,
    Coverage,
    DeliveryPolicy,
    DetectionRules,
    Element,
    FieldRecognition,
    HeaderTemplate,
    Recognition,
    Scheme,
    TimestampPolicy,
)
from webhookctl.signing.table import Table

UNSIGNED = "none"
KNOWN_SLOTS = ("body", "method", "path", "secret", "url")  # both sides know them; no header carries them

EVIDENCE = (
    "verified",
    "partial",
    "sdk-read",
    "doc",
    "spec",
    "source-code",
    "secondary",
    "memory",
    "unverified",
)
ALGORITHMS = (*PRIMITIVES, *asymmetric.ALGORITHMS, *web_token.ALGORITHMS, UNSIGNED)
PUBLIC_KEYS = (
    "pem",
    "hex",
    "base64",
    "spki",
    "jwks",
    "certificate",
)  # raw bytes in hex or base64; DER in base64
TARGET_SLOTS = FROM_URL | {"path", "query", "query_hash", "escaped_path"}
NUMBERED_HEADERS = 100  # how far ``{n}`` in a header's name counts


def parse_scheme(text: str, origin: str) -> Scheme:
    """The scheme written in TOML `text`; `origin` names the file in errors.

    ``id``, ``name``, ``[signature]`` (template, other_templates, algorithm, other_algorithms, keys, key_prefixes,
    key_parts, public_key, encoding, values), ``[[header]]`` (name, value, separator, repeats, rotation, optional),
    ``[[field]]`` (place, number, and as a header), ``[claims]``, ``[timestamp]`` (unit, tolerance_s, direction, place),
    ``[detection]`` (headers, fields, rank, event, delivery_id), ``[delivery]`` (timeout_s, retries, source),
    ``secret_variables``, ``secret_form``, ``secret_fields``, ``evidence``, ``verified_with``, ``verified_once``,
    ``source``, ``note``.
    Raises UsageError `scheme-invalid`, naming file and key, with a suggestion for a typing error.
    """
    try:
        root = Table(origin, "", tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise UsageError("scheme-invalid", f"{origin}: not TOML: {error}") from error
    scheme = _scheme(root, origin)
    root.finish()
    return scheme


def _scheme(root: Table, origin: str) -> Scheme:
    signature = root.table("signature")
    algorithm = signature.choice("algorithm", ALGORITHMS)
    values = signature.table("values").all_texts()
    parts = signature.texts("key_parts", ())
    known = (*SENT_SLOTS, *KNOWN_SLOTS, *values, *parts, *COMPUTATIONS)
    shown = (*SENT_SLOTS, *values, *parts, *COMPUTATIONS, "sig")
    has_template = algorithm in asymmetric.ALGORITHMS or (algorithm in PRIMITIVES and algorithm != "token")
    has_encoding = has_template or algorithm == "token"
    headers = _headers(root, "header", shown, algorithm)
    scheme = Scheme(
        id=_id(root),
        name=root.take("name", str),
        origin=origin,
        template=_template(signature, "template", known, None if has_template else ""),
        algorithm=algorithm,
        keys=_keys(signature),
        key_prefixes=signature.texts("key_prefixes", ()),
        encoding=signature.choice("encoding", ENCODINGS, None if has_encoding else "raw"),
        headers=headers,
        timestamp=_timestamp(root.table("timestamp")) if root.has("timestamp") else None,
        detection=_detection(root.table("detection")),
        delivery=_delivery(root.table("delivery")),
        secret_variables=root.texts("secret_variables", ()),
        secret_form=root.take("secret_form", str, ""),
        secret_fields=root.texts("secret_fields", ()),
        evidence=root.choice("evidence", EVIDENCE, "unverified"),
        verified_with=root.texts("verified_with", ()),
        verified_once=root.texts("verified_once", ()),
        source=root.take("source", str, ""),
        note=root.take("note", str, ""),
        values=values,
        headers_by_name=_by_name(headers),
        sent=tuple((header.wire_name, header.value.render) for header in headers if not header.is_optional),
        other_algorithms=_other_algorithms(signature, algorithm),
        other_templates=_other_templates(signature, known),
        key_parts=parts,
        public_key=signature.choice("public_key", PUBLIC_KEYS, "pem"),
        fields=_headers(root, "field", shown, algorithm),
        claims=_claims(root.table("claims"), (*known, "expires")),
    )
    signature.finish()
    return _with_deductions(root, scheme)


def _keys(signature: Table) -> tuple[str, ...]:
    keys = signature.texts("keys", ["utf8"])
    if not keys:
        signature.refuse("keys", "must not be empty")
    return tuple(signature.known("keys", key, DERIVATIONS) for key in keys)


def _other_algorithms(signature: Table, algorithm: str) -> tuple[str, ...]:
    """Further algorithms of the same kind: a web token's, or any other."""
    is_web_token = algorithm in web_token.ALGORITHMS
    names = web_token.ALGORITHMS if is_web_token else (*PRIMITIVES, *asymmetric.ALGORITHMS)
    others = signature.texts("other_algorithms", ())
    return tuple(signature.known("other_algorithms", other, names) for other in others)


def _other_templates(signature: Table, known: tuple[str, ...]) -> tuple[Template, ...]:
    texts = signature.texts("other_templates", ())
    return tuple(_checked(signature, "other_templates", text, known) for text in texts)


def _with_deductions(root: Table, scheme: Scheme) -> Scheme:
    """`scheme` with what follows from its templates, so that signing and verifying need not ask again."""
    shown_by = (*scheme.headers, *scheme.fields)
    if scheme.algorithm != UNSIGNED and not any(header.has_signature for header in shown_by):
        root.refuse("header", "no header holds a {sig}")
    signed = {slot for one in (scheme.template, *scheme.other_templates) for slot in one.slots}
    shown = {slot for one in shown_by for slot in one.value.slots}
    claimed = {slot for _, claim in scheme.claims for slot in claim.slots}
    needed = signed | shown | claimed
    has_query = any(_is_of_query(field) for field in scheme.fields)
    computed = tuple(sorted(slot for slot in signed if is_computed(slot)))
    is_alone = not (scheme.other_templates or scheme.other_algorithms or scheme.fields or scheme.key_parts)
    return replace(
        scheme,
        header_slots=_header_slots(root, scheme.template, shown, tuple(scheme.values)),
        computed=computed,
        shown_computed=tuple(
            sorted(slot for header in scheme.headers for slot in header.value.slots if is_computed(slot))
        ),
        coverage=_coverage(signed | claimed, scheme.fields),
        needs_url=not needed.isdisjoint(FROM_URL) or has_query,
        needs_target=not needed.isdisjoint(TARGET_SLOTS) or has_query,
        needs_line=not needed <= {*SENT_SLOTS, *scheme.values, *scheme.key_parts, "body", "secret", "sig"},
        needs_pair=all(_is_of_pairs(name) for name in (scheme.algorithm, *scheme.other_algorithms)),
        is_web_token=scheme.algorithm in web_token.ALGORITHMS,
        is_signed=scheme.algorithm != UNSIGNED,
        is_plain=scheme.algorithm in PRIMITIVES and is_alone and not computed and "secret" not in signed,
    )


def _is_of_pairs(algorithm: str) -> bool:
    _, primitive = web_token.ALGORITHMS.get(algorithm, ("", algorithm))
    return primitive in asymmetric.ALGORITHMS


def _is_of_query(field: HeaderTemplate) -> bool:
    return field.place is not None and field.place.source == "query"


def _coverage(signed: set[str], fields: tuple[HeaderTemplate, ...]) -> Coverage:
    """How much of the body all these slots cover; a hash in the query counts where the URL is signed."""
    slots = signed.union(*(field.value.slots for field in fields if _is_of_query(field)))
    if not slots.isdisjoint(EXACT) or any(field.name == "body" for field in fields):
        return Coverage.BYTES
    if not slots.isdisjoint(MEANING):
        return Coverage.MEANING
    if "sns_lines" in slots or any(slot.startswith(("body.", "form.")) for slot in slots):
        return Coverage.PARTS
    return Coverage.NONE


def _id(root: Table) -> str:
    provider_id = root.take("id", str)
    if not provider_id or not all("a" <= letter <= "z" or letter in "0123456789_-" for letter in provider_id):
        root.refuse("id", "must be lower-case letters, digits, _ and -")
    return provider_id


def _template(table: Table, key: str, slots: tuple[str, ...], default: str | None = None) -> Template:
    return _checked(table, key, table.take(key, str, default), slots)


def _checked(table: Table, key: str, text: str, slots: tuple[str, ...]) -> Template:
    template = table.parsed(key, text, parse_template)
    for slot in template.slots:
        if slot.startswith(("body.", "form.")):
            table.parsed(key, slot, parse_place)
        else:
            table.known(key, slot, slots)
    return template


def _claims(table: Table, slots: tuple[str, ...]) -> tuple[tuple[str, Template], ...]:
    return tuple((name, _checked(table, name, text, slots)) for name, text in table.all_texts_as_written())


def _headers(root: Table, kind: str, slots: tuple[str, ...], algorithm: str) -> tuple[HeaderTemplate, ...]:
    is_needed = kind == "header" and algorithm != UNSIGNED and not root.has("field")
    return tuple(_header(table, kind, slots) for table in root.tables(kind, is_needed))


def _header(table: Table, kind: str, slots: tuple[str, ...]) -> HeaderTemplate:
    place = None
    if kind == "header":
        name = table.take("name", str)
        if not name.removesuffix("{n}").replace("-", "").replace("_", "").isalnum() or not name.isascii():
            table.refuse("name", f"is not a header name: {name!r}")
    else:
        name = table.take("place", str)
        place = table.parsed("place", name, parse_place)
        if place.source == "header":
            table.refuse("place", "must be body.PATH, form.FIELD or query.NAME")
    value = _template(table, "value", slots)
    if not value.text.isascii() or not value.text.isprintable():
        table.refuse("value", "must be printable ASCII")
    separator = table.take("separator", str, "")
    if not (separator.isascii() and separator.isprintable()) or "{" in separator or "}" in separator:
        table.refuse("separator", "must be printable ASCII without braces")
    elements = _elements(table, value.text, separator)
    rotation = table.take("rotation", str, "")
    if not (rotation.isascii() and rotation.isprintable()):
        table.refuse("rotation", "must be printable ASCII")
    header = HeaderTemplate(
        name=name,
        wire_name=name.replace("{n}", "1").encode("utf-8"),
        value=value,
        separator=(separator.strip() or separator).encode("latin-1"),
        elements=elements,
        is_optional=table.take("optional", bool, False),
        last=max((element.position for element in elements if element.position is not None), default=0),
        rotation=rotation.encode("ascii"),
        place=place,
        is_number=table.take("number", bool, False) if place else False,
        is_repeated=table.take("repeats", bool, False) if separator else False,
        whole=value.slots[0]
        if value.text in {f"{{{slot}}}" for slot in SENT_SLOTS} and not separator
        else "",
    )
    table.finish()
    return header


def _elements(table: Table, value: str, separator: str) -> tuple[Element, ...]:
    """The items of a header's value that hold a slot; each holds one, or the header could not be read back."""
    elements = []
    items = value.split(separator) if separator else [value]
    for position, item in enumerate(items):
        parts = parse_template(item).parts
        slots = [slot for _, slot in parts if slot is not None]
        if len(slots) > 1:
            table.refuse(
                "value", f"two slots in {item!r} cannot be told apart", "give the separator between them"
            )
        if slots:
            suffix = parts[1][0] if len(parts) > 1 else b""
            is_told_apart = bool(parts[0][0] or suffix)
            place = None if is_told_apart else position
            elements.append(Element(parts[0][0], slots[0], suffix, place, is_computed(slots[0])))
    return tuple(elements)


def _by_name(headers: tuple[HeaderTemplate, ...]) -> dict[bytes, HeaderTemplate]:
    found = {}
    for header in headers:
        if header.name.endswith("{n}"):
            stem = header.name.removesuffix("{n}")
            numbers = range(1, NUMBERED_HEADERS + 1)
            found.update({f"{stem}{number}".lower().encode(): header for number in numbers})
        else:
            found[header.name.lower().encode()] = header
    return found


def _header_slots(root: Table, template: Template, shown: set[str], own: tuple[str, ...]) -> tuple[str, ...]:
    """The slots of the canonical template that a verifier reads from the request; refuses one it cannot know."""
    needed = [needed for slot in template.slots for needed in (slot, *SENT_WITH.get(slot, ()))]
    for slot in needed:
        if slot in SENT_SLOTS and slot not in shown:
            root.refuse("signature.template", f"no header sends the slot {{{slot}}}")
    return tuple(slot for slot in needed if slot in SENT_SLOTS and slot not in own)


def _timestamp(table: Table) -> TimestampPolicy:
    unit = table.choice("unit", ("s", "ms", "iso8601"))
    direction = table.choice("direction", ("both", "past-only"), "both")
    tolerance_s = table.take("tolerance_s", float) if table.has("tolerance_s") else None
    place = table.parsed("place", table.take("place", str), parse_place) if table.has("place") else None
    if place is not None and place.source != "body":
        table.refuse("place", "must be body.PATH; a header with {ts} needs no place")
    table.finish()
    return TimestampPolicy(unit, tolerance_s, direction == "both", place)


def parse_recognition(text: str) -> Recognition:
    """What is written as ``X-Name`` or ``X-Name: prefix``."""
    name, _, prefix = text.partition(":")
    return Recognition(name.lower().encode("utf-8"), prefix.strip().encode("utf-8"), name)


def parse_field_recognition(text: str) -> FieldRecognition:
    """What is written as ``body.path`` or ``form.field: prefix``; ValueError when the place is none."""
    name, _, prefix = text.partition(":")
    return FieldRecognition(parse_place(name), prefix.strip(), name)


def _detection(table: Table) -> DetectionRules:
    rules = DetectionRules(
        headers=tuple(parse_recognition(text) for text in table.texts("headers", ())),
        fields=tuple(
            table.parsed("fields", text, parse_field_recognition) for text in table.texts("fields", ())
        ),
        rank=table.take("rank", int, 10),
        event=_rules(table, "event"),
        delivery_id=_rules(table, "delivery_id"),
    )
    table.finish()
    return rules


def _rules(table: Table, key: str) -> tuple[Rule, ...]:
    return tuple(table.parsed(key, text, parse_rule) for text in table.texts(key, ()))


def _delivery(table: Table) -> DeliveryPolicy:
    policy = DeliveryPolicy(
        timeout_s=table.take("timeout_s", float) if table.has("timeout_s") else None,
        retries=table.take("retries", str, ""),
        source=table.take("source", str, ""),
    )
    table.finish()
    return policy


@cache
def provider_ids() -> tuple[str, ...]:
    """The ids of the packaged schemes, sorted; read from file names alone."""
    from importlib.resources import files  # here: its import costs more than the rest of this room

    names = [entry.name for entry in files("webhookctl.signing").joinpath("data").iterdir()]
    return tuple(sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml")))


@cache
def load(provider_id: str) -> Scheme:
    """The packaged scheme of `provider_id`, read on first use; no other provider's file is opened.

    Raises UsageError `provider-unknown` with a suggestion.
    """
    from importlib.resources import files

    if provider_id not in provider_ids():
        near = get_close_matches(provider_id.lower(), provider_ids(), 1)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(provider_ids())}"
        raise UsageError("provider-unknown", f"no provider {provider_id!r}", hint)
    name = f"{provider_id}.toml"
    return parse_scheme(files("webhookctl.signing").joinpath("data", name).read_text(encoding="utf-8"), name)
