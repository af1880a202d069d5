// Unpacks the packages named in "apart" of package.json into node_modules, without what they depend on.
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";

// Of n8n's 20,000 files only what judges is needed.
const NEEDED = { "n8n-nodes-base": /^package\/(package\.json|dist\/utils\/webhook-.*\.js|dist\/nodes\/.*[Tt]rigger[^/]*\.js)$/ };

const { apart } = JSON.parse(readFileSync("package.json", "utf8"));
for (const [name, version] of Object.entries(apart)) {
  const packed = execFileSync("npm", ["pack", `${name}@${version}`, "--silent"], { encoding: "utf8" }).trim();
  const [folder, list] = [`node_modules/${name}`, `${packed}.list`];
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  try {
    const files = execFileSync("tar", ["-tzf", packed], { encoding: "utf8", maxBuffer: 1 << 26 }).split("\n");
    writeFileSync(list, files.filter((file) => file && (NEEDED[name] ?? /./).test(file)).join("\n"));
    execFileSync("tar", ["-xzf", packed, "-C", folder, "--strip-components=1", "-T", list]);
  } finally {
    rmSync(packed);
    rmSync(list, { force: true });
  }
}
