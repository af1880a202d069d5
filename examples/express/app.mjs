// A receiver of Stripe's webhooks with Express: checked by hand with node:crypto, idempotent, quick, in any order.
// BROKEN=… makes one of the usual mistakes, so that the contract can show that it finds it.
import { createHmac, timingSafeEqual } from "node:crypto";
import express from "express";

const secret = process.env.STRIPE_WEBHOOK_SECRET;
const crm = process.env.CRM_URL;
const broken = process.env.BROKEN ?? "";
const toleranceS = broken === "accepts-stale" ? 1e9 : 300;
const events = new Set(); // in an app that is more than an example, two tables of a database
const payments = new Map();
const app = express();

if (!secret) throw new Error("STRIPE_WEBHOOK_SECRET is not set");

// express.raw: the signature covers the bytes that came in, not what express.json makes of them.
app.post("/webhooks/stripe", express.raw({ type: "*/*", limit: "1mb" }), async (request, response) => {
  if (!isSigned(request.body, request.get("stripe-signature") ?? "")) {
    return response.status(400).send("bad signature");
  }
  const event = JSON.parse(request.body);
  if (broken === "too-slow" && event.type === "invoice.paid") {
    await new Promise((resolve) => setTimeout(resolve, 3000)); // a PDF that is made before the answer, say
  }
  // Nothing is awaited from here to the answer: two copies at the same moment cannot both be new.
  if (events.has(event.id) && broken !== "not-idempotent") return response.send("seen before");
  take(event.type, event.data.object);
  events.add(event.id); // last: what failed is tried again when it is delivered again
  response.send("ok");
});

function isSigned(body, header) {
  if (broken === "no-signature-check") return true;
  if (broken === "reserialised") body = JSON.stringify(JSON.parse(body), null, 2); // not what was signed
  const parts = header.split(",").map((part) => part.split("="));
  const at = parts.find(([name]) => name === "t")?.[1];
  if (at === undefined || Date.now() / 1000 - Number(at) > toleranceS) return false;
  const right = createHmac("sha256", secret).update(`${at}.`).update(body).digest();
  return parts.some(([name, value]) => {
    const given = Buffer.from(value ?? "", "hex");
    return name === "v1" && given.length === right.length && timingSafeEqual(given, right);
  });
}

function take(type, record) {
  if (type === "payment_intent.succeeded") {
    payments.set(record.id, { ...payments.get(record.id), amount: record.amount });
    tellCrm({ payment: record.id, amount: record.amount }); // not awaited: Stripe waits for the answer
  } else if (type === "charge.refunded") {
    const payment = payments.get(record.payment_intent);
    if (broken === "dies-on-reorder" && payment.amount === undefined) throw new Error("no payment");
    payments.set(record.payment_intent, { ...payment, refunded: true }); // the refund may come first
  }
}

async function tellCrm(order) {
  if (!crm) return;
  const headers = { "Content-Type": "application/json" };
  await fetch(`${crm}/orders`, { method: "POST", headers, body: JSON.stringify(order) }).catch(console.error);
}

app.get("/payments/:id", (request, response) => response.json(payments.get(request.params.id) ?? {}));

app.listen(Number(process.env.PORT ?? 3000), "127.0.0.1");
