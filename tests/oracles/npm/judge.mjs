// Reads deliveries and challenges as JSON, one a line, and writes for each a line "=> JSON": value, or error.
import { createInterface } from "node:readline";
import * as n8n from "./n8n.mjs";

const passes = async (judge, refusal) => {
  try {
    return (await judge()) !== false;
  } catch (error) {
    if (refusal.test(`${error.name}: ${error.message}`)) return false;
    throw error;
  }
};

const zoomReceives = async (secret, headers, body) => {
  const { AwsLambdaReceiver } = await import("@zoom/rivet/meetings");
  const receiver = new AwsLambdaReceiver({ webhooksSecretToken: secret });
  receiver.init({ eventEmitter: { emit: async () => {} } });
  return receiver.start()({ headers, body, isBase64Encoded: false }, {});
};

const judgesOf = ({ headers, bytes, text, secret, url }) => ({
  async github() {
    const { verify } = await import("@octokit/webhooks-methods");
    return verify(secret, text, headers["x-hub-signature-256"]);
  },
  async linear() {
    const { LinearWebhookClient } = await import("@linear/sdk/webhooks");
    const client = new LinearWebhookClient(secret);
    return passes(() => client.verify(bytes, headers["linear-signature"]), /Invalid webhook (signature|timestamp)/);
  },
  async notion() {
    const { verifyWebhookSignature } = await import("@notionhq/client");
    const signature = headers["x-notion-signature"];
    return verifyWebhookSignature({ body: text, signature, verificationToken: secret });
  },
  async sanity() {
    const { isValidSignature } = await import("@sanity/webhook");
    return isValidSignature(text, headers["sanity-webhook-signature"], secret);
  },
  async contentful() {
    const { verifyRequest } = await import("@contentful/node-apps-toolkit");
    const { pathname, search } = new URL(url);
    const request = { method: "POST", path: pathname + search, headers, body: text };
    return passes(() => verifyRequest(secret, request), /ExpiredRequest|expired/i);
  },
  async crisp() {
    const { Crisp } = await import("crisp-api");
    const [at, signature] = [headers["x-crisp-request-timestamp"], headers["x-crisp-signature"]];
    return new Crisp().verifyWidget(secret, JSON.parse(text), at, signature);
  },
  async shopify() {
    await import("@shopify/shopify-api/adapters/node");
    const { ApiVersion, LogSeverity, shopifyApi } = await import("@shopify/shopify-api");
    const shopify = shopifyApi({
      apiKey: "sample",
      apiSecretKey: secret,
      apiVersion: Object.values(ApiVersion)[0],
      hostName: "example.com",
      isEmbeddedApp: false,
      logger: { log: () => {}, level: LogSeverity.Error },
    });
    const wanted = {
      "x-shopify-topic": "demo/create",
      "x-shopify-shop-domain": "sample.myshopify.com",
      "x-shopify-api-version": "2026-01",
      "x-shopify-webhook-id": "evt_1",
    };
    const rawRequest = { method: "POST", url: "/hooks?x=1", headers: { ...wanted, ...headers } };
    const { valid, reason } = await shopify.webhooks.validate({ rawBody: text, rawRequest });
    if (!valid && reason !== "invalid_hmac") throw new Error(reason);
    return valid;
  },
  async mux() {
    const { default: Mux } = await import("@mux/mux-node");
    const mux = new Mux({ tokenId: "sample", tokenSecret: "sample", webhookSecret: secret });
    return passes(() => mux.webhooks.verifySignature(text, headers), /expected signature|Timestamp|old/i);
  },
  async clerk() {
    const { verifyWebhook } = await import("@clerk/backend/webhooks");
    const request = new Request(url, { method: "POST", headers, body: text });
    return passes(() => verifyWebhook(request, { signingSecret: secret }), /signature|timestamp/i);
  },
  async wix() {
    const { AppStrategy, createClient } = await import("@wix/sdk");
    const client = createClient({ auth: AppStrategy({ appId: "sample", publicKey: secret }), modules: {} });
    return passes(() => client.webhooks.process(text), /signature|jwt|expired|token/i);
  },
  async webflow() {
    const { WebflowClient } = await import("webflow-api");
    return new WebflowClient({ accessToken: "sample" }).webhooks.verifySignature({ headers, body: text, secret });
  },
  async chargebee() {
    const { basicAuthValidator } = await import("chargebee");
    const [user, password] = secret.split(":");
    return passes(() => basicAuthValidator((one, two) => one === user && two === password)(headers), /Invalid|credentials/i);
  },
  async hookdeck() {
    const { verifyWebhookSignature } = await import("@hookdeck/sdk/webhooks/helpers.js");
    const { isValidSignature } = await verifyWebhookSignature({ headers, rawBody: text, signingSecret: secret });
    return isValidSignature;
  },
  async twitter() {
    const { default: load } = await import("./apart.cjs");
    return load("twitter-autohook/index.js").validateSignature(headers, { consumer_secret: secret }, text);
  },
  async zoom() {
    const { statusCode, body } = await zoomReceives(secret, headers, text);
    if (statusCode !== 200 && !body.includes("Failed to verify")) throw new Error(body);
    return statusCode === 200;
  },
});

const greetersOf = ({ secret, query, headers, text }) => ({
  async twitter() {
    const { default: load } = await import("./apart.cjs");
    const answer = load("twitter-autohook/index.js").validateWebhook(query.crc_token, { consumer_secret: secret });
    return { status: 200, headers: { "Content-Type": "application/json" }, body: JSON.stringify(answer) };
  },
  async zoom() {
    const { statusCode, headers: own, body } = await zoomReceives(secret, headers, text);
    return { status: statusCode, headers: own ?? {}, body };
  },
});

// A delivery is judged: true or false. A challenge is answered: status, headers and body.
const done = async ({ oracle, body, isChallenge, ...rest }) => {
  const bytes = Buffer.from(body, "base64");
  const given = { ...rest, bytes, text: bytes.toString("utf8") };
  const own = (isChallenge ? greetersOf(given) : judgesOf(given))[oracle];
  if (own) return own();
  return isChallenge ? n8n.answers(oracle, given) : n8n.accepts(oracle, given);
};

for await (const line of createInterface({ input: process.stdin })) {
  const result = await done(JSON.parse(line)).then(
    (value) => ({ value }),
    (error) => ({ error: error.stack ?? String(error) }),
  );
  console.log(`\n=> ${JSON.stringify(result)}`);
}
