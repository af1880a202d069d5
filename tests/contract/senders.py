"""A small sender of webhooks, signed as Standard Webhooks asks, with a flaw when it is told one. Standard library only.

Run as `python senders.py URL [FLAW]`: sends one event and tries again while it is not accepted.
"""

import base64
import hashlib
import hmac
import json
import sys
import urllib.error
import urllib.request
from time import monotonic, sleep, time  # noqa: TID251  (a sender has a clock of its own)

KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()


def main(url: str, flaw: str) -> None:
    body = json.dumps({"type": "order.paid", "data": {"id": "ord_1"}}).encode()
    message_id, stamped_s, started_s = "msg_1", int(time()), 0.0
    gap_s = 1.0 if flaw == "no-backoff" else 0.05
    follow = flaw == "follows-redirect"
    for attempt in range(4):
        if attempt:
            sleep(gap_s)
            # By what the gap came out as: on a slow machine the next one has to be longer still.
            gap_s = gap_s / 3 if flaw == "no-backoff" else 2 * (monotonic() - started_s)
        started_s = monotonic()
        if flaw == "new-id":
            message_id = f"msg_{attempt}"
        at = stamped_s - 600 if flaw == "old-timestamp" else int(time())
        status = post(url, body, message_id, at, flaw, follow=follow)
        if 200 <= status < 300 or (status == 410 and flaw != "ignores-gone") or flaw == "never-retries":
            return


def post(url: str, body: bytes, message_id: str, at: int, flaw: str, *, follow: bool) -> int:
    key = b"another key" if flaw == "wrong-secret" else KEY
    signed = hmac.new(key, f"{message_id}.{at}.".encode() + body, hashlib.sha256).digest()
    headers = {"Content-Type": "application/json", "webhook-timestamp": str(at)}
    headers["webhook-id"] = message_id
    if flaw != "unsigned":
        headers["webhook-signature"] = "v1," + base64.b64encode(signed).decode()
    if flaw == "no-content-type":
        headers["Content-Type"] = "text/plain"
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers)) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        location = error.headers.get("Location")
        if follow and location and error.code == 307:
            return post(location, body, message_id, at, flaw, follow=False)
        return int(error.code)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "")
