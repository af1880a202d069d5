// n8n's webhook triggers as judges: the context that n8n gives them, and whether they take the delivery.
import load from "./apart.cjs";

// "helpers": verifySignature() says it; "trigger": webhook() returns the delivery as data; else the function's name.
const NODES = {
  acuity: ["helpers", "AcuityScheduling/AcuitySchedulingTriggerHelpers.js"],
  asana: ["helpers", "Asana/AsanaTriggerHelpers.js"],
  calcom: ["helpers", "Cal/CalTriggerHelpers.js"],
  calendly: ["helpers", "Calendly/CalendlyTriggerHelpers.js"],
  customerio: ["helpers", "CustomerIo/CustomerIoTriggerHelpers.js"],
  figma: ["helpers", "Figma/FigmaTriggerHelpers.js"],
  formstack: ["helpers", "Formstack/FormstackTriggerHelpers.js"],
  mailerlite: ["helpers", "MailerLite/v2/MailerLiteTriggerHelpers.js"],
  mautic: ["helpers", "Mautic/MauticTriggerHelpers.js"],
  netlify: ["helpers", "Netlify/NetlifyTriggerHelpers.js"],
  onfleet: ["helpers", "Onfleet/OnfleetTriggerHelpers.js"],
  taiga: ["helpers", "Taiga/TaigaTriggerHelpers.js"],
  trello: ["helpers", "Trello/TrelloTriggerHelpers.js"],
  typeform: ["helpers", "Typeform/TypeformTriggerHelpers.js"],
  zendesk: ["helpers", "Zendesk/ZendeskTriggerHelpers.js"],
  microsoft_graph: ["verifyWebhook", "Microsoft/Teams/v2/helpers/utils-trigger.js"],
  clickup: ["trigger", "ClickUp/ClickUpTrigger.node.js"],
  helpscout: ["trigger", "HelpScout/HelpScoutTrigger.node.js"],
  webex: ["trigger", "Cisco/Webex/CiscoWebexTrigger.node.js"],
  woocommerce: ["trigger", "WooCommerce/WooCommerceTrigger.node.js"],
};

// What answers the challenges of a provider.
const GREETERS = {
  asana: "Asana/AsanaTrigger.node.js",
  mailchimp: "Mailchimp/MailchimpTrigger.node.js",
  meta: "WhatsApp/WhatsAppTrigger.node.js",
  microsoft_graph: "Microsoft/Teams/MicrosoftTeamsTrigger.node.js",
  onfleet: "Onfleet/OnfleetTrigger.node.js",
  slack: "Slack/SlackTrigger.node.js",
  strava: "Strava/StravaTrigger.node.js",
  trello: "Trello/TrelloTrigger.node.js",
};

// An answer as Express makes it, with what was made of it.
const answering = () => {
  const made = { status: 200, headers: {}, body: "" };
  const answer = {
    status: (status) => ((made.status = status), answer),
    set: (name, value) => ((made.headers[name] = value), answer),
    type: (type) => answer.set("Content-Type", type),
    json: (value) => answer.type("application/json").send(JSON.stringify(value)),
    send: (body) => ((made.body = body), answer),
    end: () => answer,
  };
  return [made, answer];
};

const context = ({ headers, bytes, secret, url, method, query, token }, answer) => {
  const read = () => (bytes.length ? JSON.parse(bytes.toString("utf8")) : {});
  const all = { "x-wc-webhook-id": "1", ...headers };
  return {
    getRequestObject: () => ({
      header: (name) => all[name.toLowerCase()],
      rawBody: bytes,
      query,
      get body() { return read(); },
    }),
    getResponseObject: () => answer,
    getHeaderData: () => all,
    getBodyData: read,
    getQueryData: () => query,
    getNode: () => ({ id: token }),
    getNodeParameter: (_, otherwise) => otherwise,
    getNodeWebhookUrl: () => url,
    getWebhookName: () => (method === "POST" ? "default" : "setup"),
    getWorkflowStaticData: () => ({ webhookSecret: secret, hookSecret: secret, secret, key: secret }),
    getCredentials: async () => ({
      apiKey: secret,
      clientSecret: secret,
      oauthSecret: secret,
      signatureSecret: secret,
      signingSecret: secret,
      webhookSigningKey: secret,
    }),
    helpers: { returnJsonArray: (data) => data },
  };
};

const trigger = (path) => {
  const found = Object.entries(load(`n8n-nodes-base/dist/nodes/${path}`));
  const [, Trigger] = found.find(([name]) => name.endsWith("Trigger"));
  return new Trigger();
};

// Whether n8n takes the delivery.
export const accepts = async (provider, delivery) => {
  const [kind, path] = NODES[provider];
  const given = context(delivery, answering()[1]);
  if (kind === "trigger") return (await trigger(path).webhook.call(given)).workflowData !== undefined;
  const judge = load(`n8n-nodes-base/dist/nodes/${path}`)[kind === "helpers" ? "verifySignature" : kind];
  return judge.call(given);
};

// What n8n answers to a challenge; 404 where it gives none.
export const answers = async (provider, challenge) => {
  const [made, answer] = answering();
  const { noWebhookResponse } = await trigger(GREETERS[provider]).webhook.call(context(challenge, answer));
  return noWebhookResponse ? made : { ...made, status: 404 };
};
