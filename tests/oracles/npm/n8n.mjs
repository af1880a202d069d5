// n8n's webhook triggers as judges: the context that n8n gives them, and whether they take the delivery.
import load from "./apart.cjs";

// "helpers": verifySignature() says it; "trigger": webhook() returns the delivery as data.
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
  clickup: ["trigger", "ClickUp/ClickUpTrigger.node.js"],
  helpscout: ["trigger", "HelpScout/HelpScoutTrigger.node.js"],
  webex: ["trigger", "Cisco/Webex/CiscoWebexTrigger.node.js"],
  woocommerce: ["trigger", "WooCommerce/WooCommerceTrigger.node.js"],
};

const context = (headers, rawBody, secret, url) => {
  const read = () => JSON.parse(rawBody.toString("utf8"));
  const all = { "x-wc-webhook-id": "1", ...headers };
  const answer = { status: () => answer, send: () => answer, end: () => answer };
  return {
    getRequestObject: () => ({ header: (name) => all[name.toLowerCase()], rawBody, get body() { return read(); } }),
    getResponseObject: () => answer,
    getHeaderData: () => all,
    getBodyData: read,
    getNodeParameter: (_, otherwise) => otherwise,
    getNodeWebhookUrl: () => url,
    getWorkflowStaticData: () => ({ webhookSecret: secret, hookSecret: secret, secret, key: secret }),
    getCredentials: async () => ({ webhookSigningKey: secret, signingSecret: secret, oauthSecret: secret, apiKey: secret }),
    helpers: { returnJsonArray: (data) => data },
  };
};

export const providers = Object.keys(NODES);

export const accepts = async (provider, headers, body, secret, url) => {
  const [kind, path] = NODES[provider];
  const found = load(`n8n-nodes-base/dist/nodes/${path}`);
  const given = context(headers, body, secret, url);
  if (kind === "helpers") return found.verifySignature.call(given);
  const [Trigger] = Object.values(found);
  const result = await new Trigger().webhook.call(given);
  return result.workflowData !== undefined;
};
