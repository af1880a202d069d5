// Loads a module of a package that stands alone: what it needs beside its code is a stub that does nothing.
const Module = require("node:module");

const STUBBED = /^(n8n-workflow|change-case|ngrok|dotenv|needle)$/;
const nothing = new Proxy(function () {}, { get: (_, name) => (name === "__esModule" ? true : nothing), apply: () => nothing });

const load = Module._load;
Module._load = (name, ...rest) => {
  if (STUBBED.test(name)) return nothing;
  try {
    return load(name, ...rest);
  } catch (error) {
    if (error.code === "MODULE_NOT_FOUND" && name.startsWith(".")) return nothing; // it was not unpacked
    throw error;
  }
};
module.exports = (path) => require(`./node_modules/${path}`);
