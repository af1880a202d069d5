"""`python bench/contracts.py`: 200 cases of `webhookctl test` beside the same 200 requests sent bare, in one run.

Rounds are interleaved; the receiver is a process of its own that checks each signature. The bar is 1.5.
"""

import argparse
import asyncio
import http.client
import multiprocessing
import os
import sys
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from time import perf_counter

from aiohttp import ClientSession, web

from webhookctl import signing
from webhookctl.cli.running import run_async
from webhookctl.contract.result import CaseResult, Outcome
from webhookctl.model import Request, Secret
from webhookctl.wiring.project import now_s, open_project
from webhookctl.wiring.testing import TestPlan, TestRun, load_contracts, validate_by_schema

SECRET = "whsec_bench_4f1c2d"
BAR = 1.5
_PLAYED, _READ = "webhookctl test, played", "the same with the contract read"
_HEADER = (
    'version = 1\n[receiver]\nurl = "{url}"\n[signer]\nprovider = "stripe"\n'
    '[expect]\nstatus = "2xx"\nwithin = "2s"\n'
)
_CASE = '[[cases]]\nname = "case {number}"\nsend = "sample"\nexpect.body.received = true\n'
_FIXTURE = """format = 1
provider = "stripe"
event = "invoice.paid"
delivery_id = "evt_1SampleSampleSample"
[request]
method = "POST"
target = "/"
headers = [["Content-Type", "application/json"], ["Stripe-Signature", "{resign}"]]
body = "sample.body.json"
body_recipe = "raw"
"""
_BODY = b'{"id": "evt_1SampleSampleSample", "type": "invoice.paid", "data": {"object": {"note": "%s"}}}' % (
    b"x" * 900
)


def receiver(pipe: Connection) -> None:
    """An aiohttp app, as people write them, that verifies by the standard library alone."""
    import hmac

    async def take(request: web.Request) -> web.Response:
        body = await request.read()
        parts = dict(part.split("=", 1) for part in request.headers["Stripe-Signature"].split(","))
        wanted = hmac.new(SECRET.encode(), parts["t"].encode() + b"." + body, "sha256").hexdigest()
        if not hmac.compare_digest(wanted, parts["v1"]):
            return web.json_response({"error": "signature"}, status=400)
        return web.json_response({"received": True})

    async def serve() -> None:
        app = web.Application()
        app.router.add_post("/hooks", take)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        assert runner.addresses
        pipe.send(runner.addresses[0][1])
        await asyncio.Event().wait()

    run_async(serve())


def signed(count: int) -> list[Request]:
    """The requests as the contract's cases send them, signed before the clock runs."""
    scheme = signing.load("stripe")
    requests = []
    for number in range(count):
        body = _BODY.replace(b"evt_1SampleSampleSample", b"evt_%023d" % number)
        made = signing.sign_request(scheme, Secret(SECRET), body=body, timestamp_s=now_s(), message_id="evt")
        requests.append(
            Request("POST", "/hooks", ((b"Content-Type", b"application/json"), *made.headers), body)
        )
    return requests


def by_http_client(port: int, requests: list[Request]) -> float:
    """Seconds that http.client takes, one after the other over one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    start = perf_counter()
    for request in requests:
        headers = {name.decode(): value.decode() for name, value in request.headers}
        connection.request("POST", "/hooks", body=request.body, headers=headers)
        response = connection.getresponse()
        response.read()
        assert response.status == 200
    taken = perf_counter() - start
    connection.close()
    return taken


def by_aiohttp(port: int, requests: list[Request]) -> float:
    """Seconds that aiohttp's client takes, one after the other over one connection."""

    async def work() -> float:
        async with ClientSession() as session:
            start = perf_counter()
            for request in requests:
                headers = {name.decode(): value.decode() for name, value in request.headers}
                async with session.post(
                    f"http://127.0.0.1:{port}/hooks", data=request.body, headers=headers
                ) as response:
                    await response.read()
                    assert response.status == 200
            return perf_counter() - start

    return run_async(work())


def by_cases(folder: Path, count: int) -> tuple[float, float]:
    """Seconds that playing and judging the contract takes, and the same with reading and preparing it."""
    os.chdir(folder)
    start = perf_counter()
    project = open_project(folder)
    plan = TestPlan(paths=(str(folder / "bench.contract.toml"),))
    test = TestRun(project, load_contracts(project, plan), plan)
    results: list[CaseResult] = []
    run = run_async(test.play(validate=validate_by_schema, tell=results.append))
    taken = perf_counter() - start
    assert [each.outcome for each in results] == [Outcome.PASSED] * count, results[0]
    return run.duration_s, taken


def main() -> int:
    """Print the figures; 1 when the bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    os.environ["STRIPE_WEBHOOK_SECRET"] = SECRET
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=receiver, args=(theirs,), daemon=True)
    process.start()
    port = ours.recv()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / ".git").mkdir()
        (folder / "sample.toml").write_text(_FIXTURE)
        (folder / "sample.body.json").write_bytes(_BODY)
        cases = "".join(_CASE.format(number=number) for number in range(options.cases))
        url = f"http://127.0.0.1:{port}/hooks"
        (folder / "bench.contract.toml").write_text(_HEADER.format(url=url) + cases)
        taken: dict[str, list[float]] = {way: [] for way in ("http.client", "aiohttp", _PLAYED, _READ)}
        for _ in range(options.rounds + 1):
            taken["http.client"].append(by_http_client(port, signed(options.cases)))
            taken["aiohttp"].append(by_aiohttp(port, signed(options.cases)))
            played, whole = by_cases(folder, options.cases)
            taken[_PLAYED].append(played)
            taken[_READ].append(whole)
        os.chdir("/")
    process.kill()
    medians = {way: median(each[1:]) for way, each in taken.items()}  # the first round is a warm-up
    bare = min(medians["http.client"], medians["aiohttp"])
    for way, seconds in medians.items():
        print(f"{way:32} {seconds * 1000:8.1f} ms  {seconds / bare:5.2f} x the fastest bare requests")
    ratio = medians[_PLAYED] / bare
    verdict = "met" if ratio <= BAR else "missed"
    print(f"bar {BAR} for what is played: {verdict}; {options.cases} cases, {options.rounds} rounds")
    return 0 if ratio <= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
