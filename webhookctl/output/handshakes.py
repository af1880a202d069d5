"""Shows the challenges that `trigger handshake:NAME` sent, and what the provider would dislike about the answers.

Must not know how they are judged.
"""

from webhookctl.delivery.challenge import Variant
from webhookctl.delivery.run import Sent
from webhookctl.formats import safe_line
from webhookctl.handshake import Handshake, Judgement
from webhookctl.output import lines
from webhookctl.output.painter import Painter
from webhookctl.output.record import Record
from webhookctl.output.sending import answer_line, sent_line, sent_record


def show(painter: Painter, handshake: Handshake, variant: Variant, sent: Sent, judgement: Judgement) -> None:
    """One challenge and its answer; then what is wrong, or that it is right."""
    is_plain = not painter.is_live
    painter.line(sent_line(sent, is_plain=is_plain))
    painter.line(answer_line(sent, is_plain=is_plain))
    if sent.attempt.failure is not None:
        for line in lines.failure_details(sent.attempt, None, replay=""):
            painter.line(line)
        return
    for complaint in judgement.complaints:
        painter.line([("bad", f"      wrong: {safe_line(complaint)}")])
    if not judgement.is_right:
        if variant is Variant.RIGHT or handshake.is_tested:
            painter.line([("hint", f"      so {safe_line(handshake.consequence)}")])
        return
    if variant is not Variant.RIGHT:
        painter.line([("ok", f"      right: refused, as {variant.value} has to be")])
    else:
        painter.line([("ok", f"      right: as {safe_line(handshake.name)} wants it")])


def challenge_record(variant: Variant, sent: Sent, judgement: Judgement) -> Record:
    """One of `data.attempts[]`."""
    return {
        **sent_record(sent),
        "variant": variant.value,
        "complaints": list(judgement.complaints),
    }
