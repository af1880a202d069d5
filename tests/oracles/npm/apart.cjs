// Loads a module of a package that stands alone: what it needs beside its code is a stub that does nothing.
const Module = require("node:module");

const STUBBED = /^(n8n-workflow|ngrok|dotenv|needle)$|\/GenericFunctions$/;
const nothing = new Proxy(function () {}, { get: (_, name) => (name === "__esModule" ? true : nothing), apply: () => nothing });

const load = Module._load;
Module._load = (name, ...rest) => (STUBBED.test(name) ? nothing : load(name, ...rest));
module.exports = (path) => require(`./node_modules/${path}`);
