"""Writes a verifier in JavaScript for Node: node:crypto alone.

Knows plans; must not know schemes' files or the other languages.
"""

from webhookctl.signing.code.plan import Plan, Source, name_of
from webhookctl.signing.code.text import Lines, moment_comment, quoted, summary

_COMPUTED = {
    "body_sha256": 'crypto.createHash("sha256").update(body).digest("hex")',
    "body_crc32": "String(crc32(body))",
    "sorted_form": 'form.map(([name, value]) => name + value).join("")',
}

_CRC32 = """
function crc32(bytes) {
  let sum = 0xffffffff;
  for (const byte of bytes) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit += 1) sum = (sum >>> 1) ^ (sum & 1 ? 0xedb88320 : 0);
  }
  return (sum ^ 0xffffffff) >>> 0;
}
"""

_SAME = """
function isSame(expected, signature) {
  const left = Buffer.from(expected);
  const right = Buffer.from(signature);
  return left.length === right.length && crypto.timingSafeEqual(left, right);
}
"""


def write(plan: Plan) -> str:
    """The module: one function `verify`, and what it needs beside it."""
    out = Lines()
    _read(plan, out)
    _key(plan, out)
    _content(plan, out)
    _judge(plan, out)
    _time(plan, out)
    code = out.text("  ")
    helpers = (_CRC32 if "crc32(" in code else "") + (_SAME if "isSame(" in code else "")
    return f'// {summary(plan)}\nimport crypto from "node:crypto";\n\n{_signature(plan)}{code}}}\n{helpers}'


def _name(slot: str) -> str:
    head, *rest = name_of(slot).split("_")
    return head + "".join(word.capitalize() for word in rest)


def _signature(plan: Plan) -> str:
    names = ["body", "headers", "publicKey" if plan.is_pair else "secret", *map(_name, plan.parameters)]
    names += ["now = Date.now() / 1000"] if plan.timestamp else []
    return (
        "/** True when the signature is right; `body` is a Buffer with the raw bytes of the request. */\n"
        f"export function verify({{ {', '.join(names)} }}) {{\n"
    )


def _read(plan: Plan, out: Lines) -> None:
    out.add(
        "const fields = Object.fromEntries(",
        "  Object.entries(headers).map(([name, value]) => [name.toLowerCase(), String(value)]),",
        ");",
    )
    for source in plan.sources:
        if len(source.elements) == 1 and not source.separator:
            _read_whole(source, out)
        elif source.is_positional:
            names = [_name(element.slot) for element in source.elements if element.slot != "sig"]
            trimmed = f"{_split(source)}.map((item) => item.trim())"
            out.add(f"const [{', '.join([*names, '...signatures'])}] = {trimmed};")
        else:
            _read_list(source, out)
    lacks = ["signatures.length === 0", *(f"!{_name(slot)}" for slot in plan.read_slots)]
    out.add(f"if ({' || '.join(lacks)}) return false;")


def _value(name: str) -> str:
    return f'(fields[{quoted(name)}] ?? "")'


def _split(source: Source) -> str:
    value = _value(source.names[0])
    if source.rotation:
        value += f".replaceAll({quoted(source.rotation)}, {quoted(source.separator)})"
    return f"{value}.split({quoted(source.separator)})"


def _read_whole(source: Source, out: Lines) -> None:
    (element,) = source.elements
    prefix = element.prefix.decode()
    if element.slot != "sig":
        out.add(f"const {_name(element.slot)} = {_value(source.names[0])}.trim();")
    elif source.is_numbered:
        out.add(
            "const signatures = Object.entries(fields)",
            f"  .filter(([name]) => name.startsWith({quoted(source.names[0])}))",
            "  .map(([, value]) => value);",
        )
    elif len(source.names) > 1:
        names = ", ".join(quoted(name) for name in source.names)
        out.add(f"const signatures = [{names}].map((name) => fields[name]).filter(Boolean);")
    elif prefix:
        out.add(f"const signature = {_value(source.names[0])}.trim();")
        out.add(f"if (!signature.startsWith({quoted(prefix)})) return false;")
        out.add(f"const signatures = [signature.slice({len(prefix)})];")
    else:
        out.add(f"const signatures = [{_value(source.names[0])}.trim()].filter(Boolean);")


def _read_list(source: Source, out: Lines) -> None:
    out.add("const signatures = [];")
    out.add(*(f'let {_name(element.slot)} = "";' for element in source.elements if element.slot != "sig"))
    out.add(f"for (const part of {_split(source)}) {{", "  const item = part.trim();")
    word = "if"
    for element in source.elements:
        prefix = element.prefix.decode()
        value = f"item.slice({len(prefix)})"
        target = f"signatures.push({value})" if element.slot == "sig" else f"{_name(element.slot)} = {value}"
        out.add(f"  {word} (item.startsWith({quoted(prefix)})) {target};")
        word = "else if"
    out.add("}")


def _without(prefix: str) -> str:
    return f".replace(/^{''.join(_escaped(letter) for letter in prefix)}/, {quoted('')})"


def _escaped(letter: str) -> str:
    return letter if letter.isalnum() or letter in "_, " else "\\" + letter


def _key(plan: Plan, out: Lines) -> None:
    if plan.is_pair:
        _public_key(plan, out)
        return
    form, prefixes = plan.scheme.keys[0], plan.scheme.key_prefixes
    text = "secret" + "".join(_without(prefix) for prefix in prefixes if form != "whole")
    ways = {
        "base64": f'Buffer.from({text}, "base64")',
        "base64url": f'Buffer.from({text}, "base64url")',
        "hex": f'Buffer.from({text}, "hex")',
        "sha1": f'crypto.createHash("sha1").update({text}).digest()',
        "sha256": f'crypto.createHash("sha256").update({text}).digest()',
        "base64-after-underscore": 'Buffer.from(secret.slice(secret.indexOf("_") + 1), "base64")',
    }
    if form == "base64-when-prefixed":
        prefix = quoted(prefixes[0])
        out.add(
            f"const key = secret.startsWith({prefix})",
            f'  ? Buffer.from(secret.slice({len(prefixes[0])}), "base64")',
            "  : Buffer.from(secret);",
        )
    else:
        out.add(f"const key = {ways.get(form, f'Buffer.from({text})')};")


def _public_key(plan: Plan, out: Lines) -> None:
    text = "publicKey" + "".join(_without(prefix) for prefix in plan.scheme.key_prefixes[1:])
    if plan.key_form in ("hex", "base64"):
        out.add(
            f'const x = Buffer.from({text}, "{plan.key_form}").toString("base64url");',
            'const key = crypto.createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });',
        )
    elif plan.key_form == "spki":
        out.add(f'const der = Buffer.from({text}, "base64");')
        out.add('const key = crypto.createPublicKey({ key: der, format: "der", type: "spki" });')
    else:
        out.add(f"const key = crypto.createPublicKey({text});")


def _content(plan: Plan, out: Lines) -> None:
    if plan.is_token:
        return
    if "sorted_form" in plan.slots:
        out.add(
            "const pairs = new Map([...new URLSearchParams(body.toString())].map((pair) => [pair.join(), pair]));",
            "const order = (left, right) => (left < right ? -1 : left > right ? 1 : 0);",
            "const form = [...pairs.values()].sort((a, b) => order(a[0], b[0]) || order(a[1], b[1]));",
        )
    parts: list[str] = []
    for literal, slot in plan.content:
        if literal:
            parts.append(f"Buffer.from({quoted(literal)})")
        if slot in ("body", "secret"):
            parts.append("body" if slot == "body" else "key")
        elif slot is not None:
            parts.append(f"Buffer.from({_COMPUTED.get(slot, _name(slot))})")
    joined = parts[0] if len(parts) == 1 else f"Buffer.concat([{', '.join(parts)}])"
    out.add(f"const content = {joined};")


def _judge(plan: Plan, out: Lines) -> None:
    encoding = plan.scheme.encoding
    if plan.is_pair:
        digest = "null" if plan.scheme.algorithm == "ed25519" else f'"{plan.hash}"'
        out.add(
            f'const isRight = (text) => crypto.verify({digest}, content, key, Buffer.from(text, "{encoding}"));',
            "if (!signatures.some(isRight)) return false;",
        )
        return
    if plan.is_token:
        expected = 'key.toString("base64")' if encoding == "base64" else "key"
    else:
        maker = (
            f'crypto.createHmac("{plan.hash}", key)' if plan.is_keyed else f'crypto.createHash("{plan.hash}")'
        )
        form = {"upper-hex": "hex", "base64url-padded": "base64"}.get(encoding, encoding)
        ends = {
            "upper-hex": ".toUpperCase()",
            "base64url-padded": '.replaceAll("+", "-").replaceAll("/", "_")',
        }
        expected = f'{maker}.update(content).digest("{form}"){ends.get(encoding, "")}'
    out.add(
        f"const expected = {expected};",
        "if (!signatures.some((signature) => isSame(expected, signature))) return false;",
    )


def _time(plan: Plan, out: Lines) -> None:
    policy = plan.timestamp
    if policy is None:
        out.add(*(f"// {line}" for line in moment_comment(plan)), "return true;")
        return
    if policy.place is not None:
        (member,) = policy.place.path
        out.add("let timestamp;", "try {", f"  timestamp = JSON.parse(body)[{quoted(member)}];")
        out.add("} catch {", "  return false;", "}")
    ways = {
        "s": "Number(timestamp)",
        "ms": "Number(timestamp) / 1000",
        "iso8601": "Date.parse(timestamp) / 1000",
    }
    out.add(f"const age = now - {ways[policy.unit]};")
    limit = f"{policy.tolerance_s:g}"
    out.add(f"return {f'Math.abs(age) <= {limit}' if policy.is_future_refused else f'age <= {limit}'};")
