"""A signing scheme as a recipe to read: numbered steps, traps, deliveries, and who says so.

Pure; the texts of a user's own scheme are made safe here.
"""

from webhookctl.formats import safe_line
from webhookctl.output.painter import Segments
from webhookctl.signing import Scheme, recipe


def recipe_lines(scheme: Scheme) -> list[Segments]:
    """The recipe of `scheme`, one step or fact a line."""
    style = "ok" if scheme.is_verified else "warn"
    lines: list[Segments] = [[("provider", scheme.id), ("plain", f"  {safe_line(scheme.name)}")]]
    found = recipe(scheme)
    for number, (what, how) in enumerate(found.steps, start=1):
        lines.append([("dim", f"  {number:>2}. {what:<9} "), ("plain", safe_line(how))])
    lines += [[("dim", "      trap      "), ("plain", safe_line(trap))] for trap in found.traps]
    delivery = scheme.delivery
    facts: list[tuple[str, str]] = [
        ("secret", scheme.secret_form),
        ("variables", ", ".join(scheme.secret_variables)),
        ("answer", f"within {delivery.timeout_s:g} s" if delivery.timeout_s else ""),
        ("retries", delivery.retries),
    ]
    lines += [[("dim", f"      {name:<9} "), ("plain", safe_line(text))] for name, text in facts if text]
    lines.append([("dim", "      evidence  "), (style, safe_line(scheme.evidence))])
    lines += [[("dim", "                "), ("plain", safe_line(oracle))] for oracle in scheme.verified_with]
    lines += [
        [("dim", "                "), ("plain", f"{safe_line(oracle)}, once")]
        for oracle in scheme.verified_once
    ]
    if scheme.source:
        lines.append([("dim", "      source    "), ("plain", safe_line(scheme.source))])
    return lines
