"""Lines of code, literals, and the sentences that stand in every language's code alike.

Knows plans and text; must not know any language's syntax but what C, JavaScript, Go and Python share.
"""

from webhookctl.signing.code.plan import Plan


class Lines:
    """Lines of code in the making."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def add(self, *lines: str) -> None:
        self._lines.extend(lines)

    def text(self, indent: str) -> str:
        """All lines, each after `indent`, each with a line end."""
        return "".join(f"{indent}{line}".rstrip() + "\n" for line in self._lines)


def quoted(literal: bytes | str) -> str:
    """A literal in double quotes as all these languages write it."""
    text = (
        (literal if isinstance(literal, str) else literal.decode("ascii"))
        .replace("\\", "\\\\")
        .replace('"', '\\"')
        .replace("\n", "\\n")
    )
    return f'"{text}"'


def summary(plan: Plan) -> str:
    """What the code is for, in one line."""
    scheme = plan.scheme
    what = "the secret itself" if plan.is_token else f"{scheme.algorithm} of {scheme.template.text}"
    return _harmless(f"Verifies webhooks of {scheme.name}: {what}. Made by webhookctl.")


def _harmless(text: str) -> str:
    """`text` without what could end a comment or a literal."""
    line = " ".join(text.split())
    return "".join(letter for letter in line if letter.isprintable() and letter not in '"\\*`')


def moment_comment(plan: Plan) -> tuple[str, ...]:
    """What there is to say where no age is checked."""
    if plan.scheme.timestamp is None:
        return ("No time is signed: remember the ids of deliveries, or a captured one can be sent again.",)
    return ("The provider names no age that is too old: refuse old timestamps if your app can.",)
