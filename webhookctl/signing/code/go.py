"""Writes a verifier in Go: standard library alone.

Knows plans; must not know schemes' files or the other languages.
"""

from collections.abc import Mapping

from webhookctl.signing.code.plan import Plan, Source, name_of
from webhookctl.signing.code.text import Lines, moment_comment, quoted, summary

_PACKAGES: Mapping[str, str] = {
    "bytes": "bytes",
    "crypto": "crypto",
    "ecdsa": "crypto/ecdsa",
    "ed25519": "crypto/ed25519",
    "hmac": "crypto/hmac",
    "rsa": "crypto/rsa",
    "sha1": "crypto/sha1",
    "sha256": "crypto/sha256",
    "sha512": "crypto/sha512",
    "x509": "crypto/x509",
    "base64": "encoding/base64",
    "hex": "encoding/hex",
    "json": "encoding/json",
    "pem": "encoding/pem",
    "fmt": "fmt",
    "crc32": "hash/crc32",
    "math": "math",
    "http": "net/http",
    "url": "net/url",
    "sort": "sort",
    "strconv": "strconv",
    "strings": "strings",
    "time": "time",
}
_SUMS = {"sha1": "sha1.Sum", "sha256": "sha256.Sum256", "sha384": "sha512.Sum384", "sha512": "sha512.Sum512"}
_NEWS = {"sha1": "sha1.New", "sha256": "sha256.New", "sha384": "sha512.New384", "sha512": "sha512.New"}
_ENCODERS = {
    "hex": "hex.EncodeToString(%s)",
    "upper-hex": "strings.ToUpper(hex.EncodeToString(%s))",
    "base64": "base64.StdEncoding.EncodeToString(%s)",
    "base64url": "base64.RawURLEncoding.EncodeToString(%s)",
    "base64url-padded": "base64.URLEncoding.EncodeToString(%s)",
}
_DECODERS = {
    "hex": "hex.DecodeString(%s)",
    "base64": "base64.StdEncoding.DecodeString(%s)",
    "base64url": "base64.RawURLEncoding.DecodeString(%s)",
}
_KEYS = {"ed25519": "ed25519.PublicKey", "ecdsa": "*ecdsa.PublicKey", "rsa": "*rsa.PublicKey"}


def write(plan: Plan) -> str:
    """The file: one function `Verify`, and what it imports."""
    out = Lines()
    _read(plan, out)
    _key(plan, out)
    _content(plan, out)
    _judge(plan, out)
    _time(plan, out)
    code = _signature(plan) + out.text("\t") + "}\n"
    used = sorted(path for name, path in _PACKAGES.items() if _uses(code, name))
    imports = "".join(f'\t"{path}"\n' for path in used)
    return f"// {summary(plan)}\npackage webhook\n\nimport (\n{imports})\n\n{code}"


def _uses(code: str, name: str) -> bool:
    return any(f"{before}{name}." in code for before in " \t(*![&")


def _name(slot: str) -> str:
    if slot in ("url", "path"):
        return f"request{slot.capitalize()}"  # not the name of a package
    head, *rest = name_of(slot).split("_")
    return head + "".join(word.capitalize() for word in rest)


def _signature(plan: Plan) -> str:
    parameters = ["publicKey" if plan.is_pair else "secret", *map(_name, plan.parameters)]
    clock = ", now time.Time" if plan.timestamp else ""
    return (
        "// Verify reports whether the signature is right; body holds the raw bytes of the request.\n"
        f"func Verify(body []byte, header http.Header, {', '.join(parameters)} string{clock}) bool {{\n"
    )


def _read(plan: Plan, out: Lines) -> None:
    for source in plan.sources:
        if len(source.elements) == 1 and not source.separator:
            _read_whole(source, out)
        elif source.is_positional:
            _read_positions(source, out)
        else:
            _read_list(source, out)
    lacks = ["len(signatures) == 0", *(f'{_name(slot)} == ""' for slot in plan.read_slots)]
    _refuse_if(" || ".join(lacks), out)


def _refuse_if(condition: str, out: Lines) -> None:
    out.add(f"if {condition} {{", "\treturn false", "}")


def _value(name: str) -> str:
    return f"header.Get({quoted(name)})"


def _split(source: Source) -> str:
    value = _value(source.names[0])
    if source.rotation:
        value = f"strings.ReplaceAll({value}, {quoted(source.rotation)}, {quoted(source.separator)})"
    return f"strings.Split({value}, {quoted(source.separator)})"


def _read_whole(source: Source, out: Lines) -> None:
    (element,) = source.elements
    prefix = element.prefix.decode()
    if element.slot != "sig":
        out.add(f"{_name(element.slot)} := strings.TrimSpace({_value(source.names[0])})")
        return
    out.add("signatures := []string{}")
    if source.is_numbered:
        out.add(
            "for name := range header {",
            f"\tif strings.HasPrefix(strings.ToLower(name), {quoted(source.names[0])}) {{",
            "\t\tsignatures = append(signatures, header.Get(name))",
            "\t}",
            "}",
        )
        return
    for name in source.names:
        value = "value" if not prefix else f"value[{len(prefix)}:]"
        condition = 'value != ""' if not prefix else f"strings.HasPrefix(value, {quoted(prefix)})"
        out.add(
            f"if value := strings.TrimSpace({_value(name)}); {condition} {{",
            f"\tsignatures = append(signatures, {value})",
            "}",
        )


def _read_positions(source: Source, out: Lines) -> None:
    out.add(f"items := {_split(source)}")
    names = [_name(element.slot) for element in source.elements if element.slot != "sig"]
    _refuse_if(f"len(items) <= {len(names)}", out)
    out.add("for place := range items {", "\titems[place] = strings.TrimSpace(items[place])", "}")
    out.add(*(f"{name} := items[{place}]" for place, name in enumerate(names)))
    out.add(f"signatures := items[{len(names)}:]")


def _read_list(source: Source, out: Lines) -> None:
    out.add("signatures := []string{}")
    out.add(*(f'{_name(element.slot)} := ""' for element in source.elements if element.slot != "sig"))
    out.add(f"for _, item := range {_split(source)} {{", "\titem = strings.TrimSpace(item)", "\tswitch {")
    for element in source.elements:
        prefix = element.prefix.decode()
        value = f"item[{len(prefix)}:]"
        target = f"{_name(element.slot)} = {value}"
        if element.slot == "sig":
            target = f"signatures = append(signatures, {value})"
        out.add(f"\tcase strings.HasPrefix(item, {quoted(prefix)}):", f"\t\t{target}")
    out.add("\t}", "}")


def _key(plan: Plan, out: Lines) -> None:
    if plan.is_pair:
        _public_key(plan, out)
        return
    form = plan.scheme.keys[0]
    prefixes = () if form == "whole" else plan.scheme.key_prefixes
    if form == "base64-when-prefixed":
        out.add("key := []byte(secret)", f"if strings.HasPrefix(secret, {quoted(prefixes[0])}) {{")
        out.add(
            f"\tdecoded, err := base64.StdEncoding.DecodeString(secret[{len(prefixes[0])}:])",
            "\tif err != nil {",
            "\t\treturn false",
            "\t}",
            "\tkey = decoded",
            "}",
        )
        return
    text = "secret"
    for prefix in prefixes:
        text = f"strings.TrimPrefix({text}, {quoted(prefix)})"
    if form == "base64-after-underscore":
        text = 'secret[strings.Index(secret, "_")+1:]'
    decoders = {
        "base64": f'base64.RawStdEncoding.DecodeString(strings.TrimRight({text}, "="))',
        "base64-after-underscore": f'base64.RawStdEncoding.DecodeString(strings.TrimRight({text}, "="))',
        "base64url": f'base64.RawURLEncoding.DecodeString(strings.TrimRight({text}, "="))',
        "hex": f"hex.DecodeString({text})",
    }
    if form in decoders:
        out.add(f"key, err := {decoders[form]}")
        _refuse_if("err != nil", out)
    elif form in _SUMS:
        out.add(f"keySum := {_SUMS[form]}([]byte({text}))", "key := keySum[:]")
    else:
        out.add(f"key := []byte({text})")


def _public_key(plan: Plan, out: Lines) -> None:
    text = "publicKey"
    for prefix in plan.scheme.key_prefixes[1:]:
        text = f"strings.TrimPrefix({text}, {quoted(prefix)})"
    kind = _KEYS[plan.scheme.algorithm.partition("-")[0]]
    if plan.key_form in ("hex", "base64"):
        out.add(f"raw, err := {_DECODERS[plan.key_form] % text}")
        _refuse_if("err != nil || len(raw) != ed25519.PublicKeySize", out)
        out.add("key := ed25519.PublicKey(raw)")
        return
    if plan.key_form == "spki":
        out.add(f"der, err := base64.StdEncoding.DecodeString({text})")
        _refuse_if("err != nil", out)
        out.add("parsed, err := x509.ParsePKIXPublicKey(der)")
    else:
        out.add(f"block, _ := pem.Decode([]byte({text}))")
        _refuse_if("block == nil", out)
        is_certificate = plan.key_form == "certificate"
        parse = "x509.ParseCertificate" if is_certificate else "x509.ParsePKIXPublicKey"
        out.add(f"{'certificate' if is_certificate else 'parsed'}, err := {parse}(block.Bytes)")
        if is_certificate:
            _refuse_if("err != nil", out)
            out.add(f"key, isKey := certificate.PublicKey.({kind})")
            _refuse_if("!isKey", out)
            return
    _refuse_if("err != nil", out)
    out.add(f"key, isKey := parsed.({kind})")
    _refuse_if("!isKey", out)


def _content(plan: Plan, out: Lines) -> None:
    if plan.is_token:
        return
    if "body_sha256" in plan.slots:
        out.add("bodySum := sha256.Sum256(body)")
    if "sorted_form" in plan.slots:
        _sorted_form(out)
    computed = {
        "body": "string(body)",
        "secret": "string(key)",
        "body_sha256": "hex.EncodeToString(bodySum[:])",
        "body_crc32": "strconv.FormatUint(uint64(crc32.ChecksumIEEE(body)), 10)",
        "sorted_form": "form.String()",
    }
    parts: list[str] = []
    for literal, slot in plan.content:
        if literal:
            parts.append(quoted(literal))
        if slot is not None:
            parts.append(computed.get(slot, _name(slot)))
    out.add("content := body" if parts == ["string(body)"] else f"content := []byte({' + '.join(parts)})")


def _sorted_form(out: Lines) -> None:
    out.add("fields, err := url.ParseQuery(string(body))")
    _refuse_if("err != nil", out)
    out.add(
        "names := []string{}",
        "for name := range fields {",
        "\tnames = append(names, name)",
        "}",
        "sort.Strings(names)",
        "var form strings.Builder",
        "for _, name := range names {",
        "\tvalues := fields[name]",
        "\tsort.Strings(values)",
        "\tfor place, value := range values {",
        "\t\tif place == 0 || value != values[place-1] {",
        "\t\t\tform.WriteString(name + value)",
        "\t\t}",
        "\t}",
        "}",
    )


def _judge(plan: Plan, out: Lines) -> None:
    encoding = plan.scheme.encoding
    if plan.is_pair:
        _judge_pair(plan, out)
        return
    if plan.is_token:
        out.add(f"expected := {_ENCODERS['base64'] % 'key' if encoding == 'base64' else 'string(key)'}")
    elif plan.is_keyed:
        out.add(f"mac := hmac.New({_NEWS[plan.hash]}, key)", "mac.Write(content)")
        out.add(f"expected := {_ENCODERS[encoding] % 'mac.Sum(nil)'}")
    else:
        out.add(f"sum := {_SUMS[plan.hash]}(content)", f"expected := {_ENCODERS[encoding] % 'sum[:]'}")
    _any("hmac.Equal([]byte(expected), []byte(signature))", out)


def _judge_pair(plan: Plan, out: Lines) -> None:
    algorithm = plan.scheme.algorithm
    if algorithm == "ed25519":
        check = "ed25519.Verify(key, content, raw)"
    else:
        out.add(f"digest := {_SUMS[plan.hash]}(content)")
        check = "ecdsa.VerifyASN1(key, digest[:], raw)"
        if algorithm.startswith("rsa"):
            check = f"rsa.VerifyPKCS1v15(key, crypto.{plan.hash.upper()}, digest[:], raw) == nil"
    out.add(
        "isRight := func(signature string) bool {",
        f"\traw, err := {_DECODERS[plan.scheme.encoding] % 'signature'}",
        f"\treturn err == nil && {check}",
        "}",
    )
    _any("isRight(signature)", out)


def _any(condition: str, out: Lines) -> None:
    out.add(
        "isFound := false",
        "for _, signature := range signatures {",
        f"\tisFound = isFound || {condition}",
        "}",
    )
    _refuse_if("!isFound", out)


def _time(plan: Plan, out: Lines) -> None:
    policy = plan.timestamp
    if policy is None:
        out.add(*(f"// {line}" for line in moment_comment(plan)), "return true")
        return
    if policy.place is not None:
        (member,) = policy.place.path
        out.add(
            "document := map[string]interface{}{}",
            "decoder := json.NewDecoder(bytes.NewReader(body))",
            "decoder.UseNumber()",
        )
        _refuse_if("decoder.Decode(&document) != nil", out)
        out.add(f"timestamp := fmt.Sprint(document[{quoted(member)}])")
    if policy.unit == "iso8601":
        out.add("signedAt, err := time.Parse(time.RFC3339, timestamp)")
        _refuse_if("err != nil", out)
    else:
        out.add("number, err := strconv.ParseInt(timestamp, 10, 64)")
        _refuse_if("err != nil", out)
        out.add(
            "signedAt := time.UnixMilli(number)"
            if policy.unit == "ms"
            else "signedAt := time.Unix(number, 0)"
        )
    limit = f"{policy.tolerance_s:g}"
    out.add("age := now.Sub(signedAt).Seconds()")
    out.add(f"return {f'math.Abs(age) <= {limit}' if policy.is_future_refused else f'age <= {limit}'}")
