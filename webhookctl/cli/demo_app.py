"""The app of the demo: a web server that accepts a webhook only when Stripe's own SDK says its signature is right.

Run as `python -m webhookctl.cli.demo_app`; prints its URL and what it verifies with, then serves until it is ended.
"""

import sys
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

Check = Callable[[bytes, str], str]
"""(body, signature header) to a sentence about the accepted event; raises ValueError when it is refused."""


def _stripe_check(secret: str) -> tuple[Check, str]:
    import stripe

    def check(body: bytes, signature: str) -> str:
        try:
            event: Any = stripe.Webhook.construct_event(body, signature, secret)
        except stripe.SignatureVerificationError as error:
            raise ValueError(str(error)) from error
        payment = event["data"]["object"]
        return f"thank you for {event['type']}, {payment['amount']} {payment['currency']}"

    return check, f"stripe.Webhook.construct_event (stripe {stripe.VERSION})"


def _own_check(secret: str) -> tuple[Check, str]:
    from webhookctl import signing
    from webhookctl.model import Request, Secret
    from webhookctl.wiring.project import now_s

    def check(body: bytes, signature: str) -> str:
        request = Request("POST", "/", ((b"Stripe-Signature", signature.encode("latin-1")),), body)
        verdict = signing.verify(signing.load("stripe"), [Secret(secret)], request, now_s=now_s())
        if not verdict.is_ok:
            raise ValueError(verdict.reason)
        return "thank you"

    return check, "webhookctl itself (pip install stripe to see Stripe's own SDK do it)"


def main() -> None:
    """Serve on a free port of 127.0.0.1."""
    from webhookctl.config import environment_secret

    secret = environment_secret("STRIPE_WEBHOOK_SECRET")
    try:
        check, verifier = _stripe_check(secret)
    except ImportError:
        check, verifier = _own_check(secret)

    class App(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            try:
                status, text = 200, check(body, self.headers.get("Stripe-Signature", ""))
            except ValueError as error:
                status, text = 400, f"refused: {error}"
            answer = f"{text}\n".encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain; charset=utf-8")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  (its name there)
            """The listener shows what happens."""

    server = HTTPServer(("127.0.0.1", 0), App)
    sys.stdout.write(f"http://127.0.0.1:{server.server_port}/webhooks {verifier}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main()
