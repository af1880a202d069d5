// What tap-parser makes of the TAP on standard input, as JSON: the whole, and each test point.
import { Parser } from "tap-parser";

const points = [];
const parser = new Parser({ strict: true }, (results) => {
  console.log(JSON.stringify({
    ok: results.ok, count: results.count, pass: results.pass, fail: results.fail, skip: results.skip,
    plan: results.plan.end, strays: results.failures.filter((each) => each.tapError).length, points,
  }));
});
parser.on("assert", (each) => points.push({ ok: each.ok, id: each.id, name: each.name, skip: each.skip || false, diag: each.diag }));
process.stdin.pipe(parser);
