"""A receiver to be started by contracts: checks Stripe signatures, drops duplicates, tells a CRM; or has a fault."""

SOURCE = """
import hashlib, hmac, json, os, sys, time, urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

fault = sys.argv[1] if len(sys.argv) > 1 else ""
secret = os.environ.get("STRIPE_WEBHOOK_SECRET", "").encode()
seen = set()


def is_right(headers, body):
    parts = dict(part.split("=", 1) for part in headers.get("Stripe-Signature", "").split(",") if "=" in part)
    if fault == "reserialised":
        body = json.dumps(json.loads(body), separators=(",", ":")).encode()
    made = hmac.new(secret, parts.get("t", "").encode() + b"." + body, hashlib.sha256).hexdigest()
    is_fresh = fault == "stale" or abs(time.time() - int(parts.get("t", "0"))) < 300
    return fault == "unchecked" or (hmac.compare_digest(made, parts.get("v1", "")) and is_fresh)


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def answer(self, status, document):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.answer(200, {"seen": sorted(seen)})

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        print("got", len(body), "bytes", flush=True)
        if fault == "dies":
            print("secret is", secret.decode(), flush=True)
            os._exit(3)
        if fault == "hangs":
            time.sleep(60)
        if fault == "slow":
            time.sleep(0.4)
        if not is_right(self.headers, body):
            return self.answer(400, {"error": "signature"})
        event = json.loads(body)
        if event["id"] not in seen or fault == "twice":
            seen.add(event["id"])
            if "CRM" in os.environ:
                order = json.dumps({"payment": event["data"]["object"]["id"]}).encode()
                urllib.request.urlopen(urllib.request.Request(os.environ["CRM"] + "/orders", data=order)).read()
        self.answer(200, {"received": True, "id": event["id"]})


if fault == "megabytes":
    for _ in range(40):
        print("x" * 100_000)
    sys.exit("no database")
if fault == "never":
    print("waiting for a database that never comes", flush=True)
    time.sleep(60)
if fault == "stubborn":
    import signal
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
server = ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Receiver)
if fault == "forks" and os.fork() == 0:
    os.setsid()
    with open("stray", "w") as file:
        file.write(str(os.getpid()))
print("up", os.getpid(), flush=True)
with open("pid-" + str(os.getpid()), "w"):
    pass
server.serve_forever()
"""

CONTRACT = """
version = 1
settle = "50ms"
[receiver]
url = "http://127.0.0.1:{port}/webhooks"
start = ["PYTHON", "receiver.py", "FAULT"]
env = { CRM = "{crm.url}" }
stop_after = "300ms"
ready = { within = "10s" }
[signer]
provider = "stripe"
secret = "env:STRIPE_WEBHOOK_SECRET"
[mocks.crm]
[expect]
status = "2xx"
within = "300ms"

[[cases]]
name = "paid once"
trigger = "payment_intent.succeeded"
times = 3
expect = { status = 200, body = { id = "{event.id}" } }
[[cases.effects]]
mock = "crm"
count = 1
request = { method = "POST", path = "/orders", body = { payment = "{event.data.object.id}" } }
[[cases.effects]]
get = "/state"
matches = "{event.id}"

[[cases]]
name = "forged"
trigger = "payment_intent.succeeded"
forge = ["unsigned", "reserialised", "stale"]
[[cases.effects]]
mock = "crm"
count = 0
"""
