"""A signing scheme as a recipe to read: what is signed, how, where it goes, how old it may be, who says so.

Pure; the texts of a user's own scheme are made safe here.
"""

from webhookctl.formats import safe_line
from webhookctl.output.painter import Segments
from webhookctl.signing import Scheme


def recipe_lines(scheme: Scheme) -> list[Segments]:
    """The recipe of `scheme`, one fact a line."""
    style = "ok" if scheme.is_verified else "warn"
    lines: list[Segments] = [[("provider", scheme.id), ("plain", f"  {safe_line(scheme.name)}")]]
    facts: list[tuple[str, str]] = [
        ("sign", scheme.template.text),
        ("with", scheme.algorithm),
        ("key", " or ".join(scheme.keys)),
        ("secret", scheme.secret_form),
        ("encode", scheme.encoding),
        *(("header", f"{header.name}: {header.value.text}") for header in scheme.headers),
        ("time", _age(scheme)),
        ("variables", ", ".join(scheme.secret_variables)),
        ("answer", f"within {scheme.delivery.timeout_s:g} s" if scheme.delivery.timeout_s else ""),
        ("retries", scheme.delivery.retries),
        ("note", scheme.note),
    ]
    lines += [[("dim", f"  {name:<10}"), ("plain", safe_line(text))] for name, text in facts if text]
    lines.append([("dim", "  evidence  "), (style, safe_line(scheme.evidence))])
    lines += [[("dim", "            "), ("plain", safe_line(oracle))] for oracle in scheme.verified_with]
    if scheme.source:
        lines.append([("dim", "  source    "), ("plain", safe_line(scheme.source))])
    return lines


def _age(scheme: Scheme) -> str:
    policy = scheme.timestamp
    if policy is None:
        return "no timestamp: a replay is not refused for its age"
    if policy.tolerance_s is None:
        return f"in {policy.unit}; no age is checked"
    direction = "old, or as far ahead" if policy.is_future_refused else "old; the future is accepted"
    return f"in {policy.unit}, at most {policy.tolerance_s:g} s {direction}"
