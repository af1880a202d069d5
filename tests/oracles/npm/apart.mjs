// Unpacks the packages named in "apart" of package.json into node_modules, without what they depend on.
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync } from "node:fs";

const LEFT_OUT = ["*.map", "*.svg", "*.png", "*.d.ts", "*.schema.json", "*/__tests__/*"]; // most of n8n's 170 MB

const { apart } = JSON.parse(readFileSync("package.json", "utf8"));
for (const [name, version] of Object.entries(apart)) {
  const packed = execFileSync("npm", ["pack", `${name}@${version}`, "--silent"], { encoding: "utf8" }).trim();
  const folder = `node_modules/${name}`;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const excluded = LEFT_OUT.map((pattern) => `--exclude=${pattern}`);
  try {
    execFileSync("tar", ["-xzf", packed, "-C", folder, "--strip-components=1", ...excluded]);
  } finally {
    rmSync(packed);
  }
}
