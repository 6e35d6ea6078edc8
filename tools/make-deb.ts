/**
 * Makes a Debian package from this clone: node_modules/.bin/node tools/make-deb.ts [--out FOLDER]
 * [--compress xz|zstd|none]. Needs `npm start` once before (packages, webmail) and dpkg-deb. The same
 * clone gives the same octets when SOURCE_DATE_EPOCH is set.
 */

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { parseArgs } from "node:util";
import { gzipSync } from "node:zlib";

interface Package {
  readonly version: string;
  readonly dependencies?: Readonly<Record<string, string>>;
}

const root = dirname(import.meta.dirname);
/** Not below node_modules: Node runs no TypeScript there. */
const home = "usr/lib/postern";
const docs = "usr/share/doc/postern";

function readPackage(folder: string): Package {
  return JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as Package;
}

/** Folders of what the programs need, below the root: what is for tests and building stays out. */
export function productionPackages(from: string): string[] {
  const found = new Set<string>();
  const pending = [""];
  for (let at = pending.pop(); at !== undefined; at = pending.pop()) {
    for (const name of Object.keys(readPackage(join(from, at)).dependencies ?? {})) {
      const path = resolvePackage(from, at, name);
      if (!found.has(path)) pending.push(path);
      found.add(path);
    }
  }
  return [...found].sort();
}

/** As Node looks for it: beside the one that asks, then further out. */
function resolvePackage(from: string, asker: string, name: string): string {
  for (let at = asker; ; at = at.slice(0, Math.max(0, at.lastIndexOf("node_modules/") - 1))) {
    const path = join(at, "node_modules", name);
    if (existsSync(join(from, path, "package.json"))) return path;
    if (at === "") throw new Error(`${name}, which ${asker} needs, is not installed`);
  }
}

function copyTree(stage: string): void {
  const to = (path: string): string => join(stage, home, path);
  const isProgram = (path: string): boolean => !/\.test\.tsx?$/.test(path);
  for (const folder of ["programs", "src", "web/dist"]) {
    cpSync(join(root, folder), to(folder), { recursive: true, filter: isProgram });
  }
  for (const file of ["package.json", "sendmail"]) cpSync(join(root, file), to(file));
  for (const path of productionPackages(root)) {
    const own = join(root, path);
    const isOwn = (file: string): boolean =>
      !relative(own, file).split("/").includes("node_modules");
    cpSync(own, to(path), { recursive: true, filter: isOwn });
  }
  mkdirSync(to("bin"));
  const node = realpathSync(process.execPath);
  cpSync(node, to("bin/node"));
  const licence = join(dirname(dirname(node)), "LICENSE");
  mkdirSync(join(stage, docs), { recursive: true });
  if (existsSync(licence)) cpSync(licence, join(stage, docs, "LICENSE.node"));
}

function writeDocs(stage: string): void {
  const from = (path: string): string => join(root, path);
  const to = (path: string): string => join(stage, docs, path);
  cpSync(from("deploy/debian/copyright"), to("copyright"));
  cpSync(from("docs/deployment.md"), to("deployment.md"));
  cpSync(from("deploy/examples"), to("examples"), { recursive: true });
  writeFileSync(to("changelog.gz"), gzipSync(readFileSync(from("CHANGELOG.md"))));
}

/** The command, and the users of the services. */
function writeSystem(stage: string): void {
  mkdirSync(join(stage, "usr/bin"), { recursive: true });
  cpSync(join(root, "deploy/debian/postern"), join(stage, "usr/bin/postern"));
  const units = mkdtempSync(join(tmpdir(), "postern-units-"));
  const command = [join(stage, home, "programs/postern.ts"), "--data", "/var/lib/postern"];
  const args = ["units", "--role", "all", "--out", units];
  // Run from the package itself: what is missing in it shows here.
  execFileSync(join(stage, home, "bin/node"), [...command, ...args], { stdio: "pipe" });
  mkdirSync(join(stage, "usr/lib/sysusers.d"), { recursive: true });
  cpSync(join(units, "postern.sysusers"), join(stage, "usr/lib/sysusers.d/postern.conf"));
  rmSync(units, { recursive: true });
}

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .sort();
}

const executables = new Set(["usr/bin/postern", `${home}/bin/node`, `${home}/sendmail`]);

/** The same modes on every machine, whatever the clone's are. */
function setModes(stage: string): void {
  for (const entry of readdirSync(stage, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    const mayRun = entry.isDirectory() || executables.has(relative(stage, path));
    chmodSync(path, mayRun ? 0o755 : 0o644);
  }
  chmodSync(stage, 0o755);
}

function writeControl(stage: string, version: string, architecture: string): void {
  const control = join(stage, "DEBIAN");
  const files = filesBelow(stage);
  const sizeKib = files.reduce(
    (sum, file) => sum + Math.ceil(statSync(join(stage, file)).size / 1024),
    0,
  );
  const sums = files.map((file) => {
    const digest = createHash("md5")
      .update(readFileSync(join(stage, file)))
      .digest("hex");
    return `${digest}  ${file}\n`;
  });
  mkdirSync(control);
  const text = readFileSync(join(root, "deploy/debian/control"), "utf8")
    .replace("@VERSION@", version)
    .replace("@ARCHITECTURE@", architecture)
    .replace("@SIZE@", String(sizeKib));
  writeFileSync(join(control, "control"), text, { mode: 0o644 });
  writeFileSync(join(control, "md5sums"), sums.join(""), { mode: 0o644 });
  for (const script of ["postinst", "prerm", "postrm"]) {
    cpSync(join(root, "deploy/debian", script), join(control, script));
    chmodSync(join(control, script), 0o755);
  }
}

/** @returns path of the package */
export function makePackage(out: string, compression: string): string {
  for (const path of ["web/dist/index.html", "node_modules"]) {
    if (!existsSync(join(root, path))) throw new Error(`${path} is missing: run "npm start" once`);
  }
  const dpkg = (...args: string[]): string =>
    execFileSync("dpkg", args, { encoding: "utf8" }).trim();
  const architecture = dpkg("--print-architecture");
  const version = `${readPackage(root).version}-1`;
  const stage = mkdtempSync(join(tmpdir(), "postern-deb-"));
  try {
    copyTree(stage);
    writeDocs(stage);
    writeSystem(stage);
    setModes(stage);
    writeControl(stage, version, architecture);
    mkdirSync(out, { recursive: true });
    const path = join(out, `postern_${version}_${architecture}.deb`);
    const how = ["--root-owner-group", `-Z${compression}`, "--build", stage, path];
    execFileSync("dpkg-deb", how, { stdio: ["ignore", "ignore", "inherit"] });
    return path;
  } finally {
    rmSync(stage, { recursive: true, force: true });
  }
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      out: { type: "string", default: join(root, ".cache/packages") },
      compress: { type: "string", default: "xz" },
    },
  });
  process.stdout.write(`${makePackage(values.out, values.compress)}\n`);
}
