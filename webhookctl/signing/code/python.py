"""Writes a verifier in Python: standard library, and `cryptography` for key pairs.

Knows plans; must not know schemes' files or the other languages.
"""

from webhookctl.signing.code.plan import Plan, Source, name_of
from webhookctl.signing.code.text import Lines, moment_comment, quoted, summary

_COMPUTED = {
    "body_sha256": "hashlib.sha256(body).hexdigest().encode()",
    "body_crc32": "str(zlib.crc32(body)).encode()",
    "sorted_form": '"".join(name + value for name, value in form).encode("latin-1")',
}


def write(plan: Plan) -> str:
    """The module: one function `verify`, and what it imports."""
    body = Lines()
    _read(plan, body)
    _key(plan, body)
    _content(plan, body)
    _judge(plan, body)
    _time(plan, body)
    code = body.text("    ")
    head = Lines()
    head.add(f'"""{summary(plan)}"""', "")
    head.add(*(f"import {name}" for name in _modules(code)))
    lines = _foreign(code)
    others = [line for line in lines if "cryptography" in line]
    head.add(*(line for line in lines if line not in others), *([""] if others else []), *others)
    head.add("", "")
    return head.text("") + _signature(plan) + code


def _modules(code: str) -> list[str]:
    names = ("base64", "binascii", "hashlib", "hmac", "json", "time", "zlib")
    return [name for name in names if f"{name}." in code]


def _foreign(code: str) -> list[str]:
    lines = []
    if "datetime(" in code or "datetime." in code:
        lines.append(
            "from datetime import UTC, datetime" if "UTC" in code else "from datetime import datetime"
        )
    if "parse_qsl" in code:
        lines.append("from urllib.parse import parse_qsl")
    if "x509." in code:
        lines.append("from cryptography import x509")
    if "InvalidSignature" in code:
        lines.append("from cryptography.exceptions import InvalidSignature")
    used = [name for name in ("hashes", "serialization") if f"{name}." in code]
    if used:
        lines.append(f"from cryptography.hazmat.primitives import {', '.join(used)}")
    kinds = [name for name in ("ec", "ed25519", "padding") if f"{name}." in code]
    if kinds:
        lines.append(f"from cryptography.hazmat.primitives.asymmetric import {', '.join(kinds)}")
    return lines


def _signature(plan: Plan) -> str:
    key = "public_key" if plan.is_pair else "secret"
    extra = [f"{name}: str" for name in plan.parameters]
    clock = ["now: float | None = None"] if plan.timestamp else []
    optional = [*extra, *clock]
    options = f", *, {', '.join(optional)}" if optional else ""
    parameters = f"body: bytes, headers: dict[str, str], {key}: str{options}"
    what = "made with the key pair" if plan.is_pair else "made with the secret"
    return (
        f"def verify({parameters}) -> bool:\n"
        f'    """True when the signature was {what}; `body` is the raw bytes of the request."""\n'
    )


def _read(plan: Plan, out: Lines) -> None:
    out.add("fields = {name.lower(): value for name, value in headers.items()}")
    for source in plan.sources:
        if len(source.elements) == 1 and not source.separator:
            _read_whole(source, out)
        elif source.is_positional:
            _read_positions(source, out)
        else:
            _read_list(source, out)
    names = ["signatures", *(name_of(slot) for slot in plan.read_slots)]
    found = " and ".join(names)
    out.add(f"if not {found}:" if len(names) == 1 else f"if not ({found}):", "    return False")


def _read_whole(source: Source, out: Lines) -> None:
    (element,) = source.elements
    prefix = element.prefix.decode()
    if element.slot != "sig":
        out.add(f'{name_of(element.slot)} = fields.get({quoted(source.names[0])}, "").strip()')
        return
    if source.is_numbered:
        found = (
            f"[value.strip() for name, value in fields.items() if name.startswith({quoted(source.names[0])})]"
        )
    elif len(source.names) > 1:
        names = ", ".join(quoted(name) for name in source.names)
        found = f"[fields[name].strip() for name in ({names}) if name in fields]"
    else:
        out.add(f'signature = fields.get({quoted(source.names[0])}, "").strip()')
        if prefix:
            out.add(f"if not signature.startswith({quoted(prefix)}):", "    return False")
            found = f"[signature[{len(prefix)}:]]"
        else:
            found = "[signature] if signature else []"
    out.add(f"signatures = {found}")


def _read_positions(source: Source, out: Lines) -> None:
    names = [name_of(element.slot) for element in source.elements if element.slot != "sig"]
    value = f'fields.get({quoted(source.names[0])}, "")'
    out.add(f"items = [item.strip() for item in {value}.split({quoted(source.separator)})]")
    out.add(f"if len(items) <= {len(names)}:", "    return False")
    out.add(f"{', '.join([*names, '*signatures'])} = items")


def _read_list(source: Source, out: Lines) -> None:
    names = [name_of(element.slot) for element in source.elements if element.slot != "sig"]
    out.add("signatures = []", *(f'{name} = ""' for name in names))
    value = f'fields.get({quoted(source.names[0])}, "")'
    if source.rotation:
        value += f".replace({quoted(source.rotation)}, {quoted(source.separator)})"
    out.add(f"for item in {value}.split({quoted(source.separator)}):", "    item = item.strip()")
    word = "if"
    for element in source.elements:
        prefix = element.prefix.decode()
        value = f"item[{len(prefix)}:]"
        target = (
            f"signatures.append({value})" if element.slot == "sig" else f"{name_of(element.slot)} = {value}"
        )
        out.add(f"    {word} item.startswith({quoted(prefix)}):", f"        {target}")
        word = "elif"


def _key(plan: Plan, out: Lines) -> None:
    if plan.is_pair:
        _public_key(plan, out)
        return
    form, prefixes = plan.scheme.keys[0], plan.scheme.key_prefixes
    text = "secret" + "".join(f".removeprefix({quoted(prefix)})" for prefix in prefixes if form != "whole")
    ways = {
        "base64": f'base64.b64decode({text} + "=" * (-len({text}) % 4))',
        "base64url": f'base64.urlsafe_b64decode({text} + "=" * (-len({text}) % 4))',
        "hex": f"bytes.fromhex({text})",
        "sha1": f"hashlib.sha1({text}.encode()).digest()",
        "sha256": f"hashlib.sha256({text}.encode()).digest()",
        "base64-after-underscore": 'base64.b64decode(secret.partition("_")[2] or secret)',
    }
    if form == "base64-when-prefixed":
        prefix = prefixes[0]
        out.add(
            f"if secret.startswith({quoted(prefix)}):",
            f"    key = base64.b64decode(secret[{len(prefix)}:])",
            "else:",
            "    key = secret.encode()",
        )
    elif not plan.is_token or plan.scheme.encoding == "raw":
        out.add(f"key = {ways.get(form, f'{text}.encode()')}")
    else:
        out.add("key = secret.encode()")


def _public_key(plan: Plan, out: Lines) -> None:
    for prefix in plan.scheme.key_prefixes[1:]:
        out.add(f"public_key = public_key.removeprefix({quoted(prefix)})")
    ways = {
        "hex": "ed25519.Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key))",
        "base64": "ed25519.Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key))",
        "spki": "serialization.load_der_public_key(base64.b64decode(public_key))",
        "certificate": "x509.load_pem_x509_certificate(public_key.encode()).public_key()",
        "pem": "serialization.load_pem_public_key(public_key.encode())",
    }
    out.add(f"key = {ways[plan.key_form]}")


def _content(plan: Plan, out: Lines) -> None:
    if plan.is_token:
        return
    if "sorted_form" in plan.slots:
        out.add(
            'pairs = parse_qsl(body.decode("latin-1"), keep_blank_values=True, encoding="latin-1")',
            "form = sorted(set(pairs))  # each character is one byte, whatever they mean",
        )
    parts: list[str] = []
    for literal, slot in plan.content:
        if literal:
            parts.append(f"b{quoted(literal)}")
        if slot == "body":
            parts.append("body")
        elif slot == "secret":
            parts.append("key")
        elif slot is not None:
            parts.append(_COMPUTED.get(slot, f"{name_of(slot)}.encode()"))
    out.add(f"content = {' + '.join(parts)}")


def _judge(plan: Plan, out: Lines) -> None:
    if plan.is_pair:
        _judge_pair(plan, out)
        return
    ends = {"hex": ".hexdigest()", "upper-hex": ".hexdigest().upper()"}
    if plan.is_token:
        is_basic = plan.scheme.encoding == "base64"
        out.add(f"expected = {'base64.b64encode(key)' if is_basic else 'key'}")
    else:
        call = (
            f"hmac.new(key, content, hashlib.{plan.hash})"
            if plan.is_keyed
            else f"hashlib.{plan.hash}(content)"
        )
        encoding = plan.scheme.encoding
        if encoding in ends:
            out.add(f"expected = {call}{ends[encoding]}.encode()")
        else:
            function = "b64encode" if encoding == "base64" else "urlsafe_b64encode"
            end = '.rstrip(b"=")' if encoding == "base64url" else ""
            out.add(f"expected = base64.{function}({call}.digest()){end}")
    out.add(
        "if not any(hmac.compare_digest(expected, signature.encode()) for signature in signatures):",
        "    return False",
    )


def _judge_pair(plan: Plan, out: Lines) -> None:
    ways = {
        "hex": "bytes.fromhex(signature)",
        "base64": "base64.b64decode(signature, validate=True)",
        "base64url": 'base64.urlsafe_b64decode(signature + "==")',
    }
    algorithm = plan.scheme.algorithm
    extra = ""
    if algorithm.startswith("ecdsa"):
        extra = ", ec.ECDSA(hashes.SHA256())"
    elif algorithm.startswith("rsa"):
        extra = f", padding.PKCS1v15(), hashes.{plan.hash.upper()}()"
    out.add(
        "for signature in signatures:",
        "    try:",
        f"        key.verify({ways[plan.scheme.encoding]}, content{extra})",
        "        break",
        "    except (InvalidSignature, ValueError):",
        "        continue",
        "else:",
        "    return False",
    )


def _time(plan: Plan, out: Lines) -> None:
    policy = plan.timestamp
    if policy is None:
        out.add(*(f"# {line}" for line in moment_comment(plan)), "return True")
        return
    out.add("try:")
    if policy.place is not None:
        (member,) = policy.place.path
        out.add(f"    timestamp = str(json.loads(body)[{quoted(member)}])")
    if policy.unit == "iso8601":
        out.add("    moment = datetime.fromisoformat(timestamp)")
        out.add("    signed_at = moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()")
    else:
        out.add(f"    signed_at = int(timestamp){' / 1000' if policy.unit == 'ms' else ''}")
    out.add(
        "except (ValueError, KeyError, TypeError):" if policy.place else "except ValueError:",
        "    return False",
        "age = (time.time() if now is None else now) - signed_at",
    )
    limit = f"{policy.tolerance_s:g}"
    out.add(f"return {f'abs(age) <= {limit}' if policy.is_future_refused else f'age <= {limit}'}")
