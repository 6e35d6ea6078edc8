import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { Misconfigured } from "#base/errors";
import { createAuthority } from "#keys/authority";
import { configTables } from "../config/families.ts";
import { inFile, readConfig } from "../config/read.ts";
import { checkFiles } from "./check-files.ts";
import { layoutOf } from "./layout.ts";
import { checkTogether } from "./prepare.ts";

const postern = join(import.meta.dirname, "../../../programs/postern.ts");
const folder = mkdtempSync(join(tmpdir(), "postern-files-"));
after(() => rmSync(folder, { recursive: true }));

const inside = '[outbound.i]\nspaces = ["example.org"]\nvia = "inside"\nhosts = ["10.0.0.5"]\n';
const gateway = `${inside}[gateway.g]\ndomains = ["example.org"]\n`;
const ldap = `${gateway}recipients = "ldap"\nldapUrl = "ldaps://a.example"\nldapBase = "dc=a"\nldapUser = "cn=a"\n`;
const out = '[outbound.o]\nspaces = ["*"]\nhosts = ["192.88.99.1"]\ntls = "required"\n';
const client = (key: string): string =>
  `${out}${key === "tlsKeyFile" ? 'tlsCertificateFile = "good.pem"' : 'tlsKeyFile = "good.key"'}\n`;
const oidc = '[login]\noidcIssuer = "https://a.example"\noidcClientId = "a"\n';
const s3 = '[backup]\ntarget = "s3://bucket"\nendpoint = "https://s3.example"\n';
const backup = '[backup]\ntarget = "/mnt"\n';
const acme = '[acme]\ndirectory = "https://a.example"\n';
const token = `[keyring]\ntokenLabel = "a"\n`;

/** A good table without its last line, which names the file, for each parameter that names one. */
const cases: Readonly<Record<string, string>> = {
  "login.oidcSecretFile": oidc,
  "login.oidcCaFile": `${oidc}oidcSecretFile = "good.secret"\n`,
  "backup.credentialsFile": s3,
  "backup.caFile": `${s3}credentialsFile = "good.credentials"\n`,
  "backup.recoveryKey": backup,
  "backup.drillKeyFile": backup,
  "keyring.tokenModule": token,
  "keyring.tokenPinFile": `${token}tokenModule = "${process.execPath}"\n`,
  "acme.caFile": acme,
  "acme.eabKeyFile": `${acme}eabKeyId = "a"\n`,
  "publish.NAME.caFile": '[publish.p]\nupstream = "https://a.example"\n',
  "outbound.NAME.tlsAuthorityFile": out,
  "outbound.NAME.tlsCertificateFile": client("tlsCertificateFile"),
  "outbound.NAME.tlsKeyFile": client("tlsKeyFile"),
  "outbound.NAME.secretFiles": `${out}auth = "plain"\nuser = "a"\n`,
  "inbound.NAME.secretFiles":
    '[inbound.b]\nuser = "a"\nsenderDomains = ["a.example"]\ntls = "required"\n',
  "gateway.NAME.listFile": `${gateway}recipients = "list"\n`,
  "gateway.NAME.ldapSecretFile": ldap,
  "gateway.NAME.ldapCaFile": `${ldap}ldapSecretFile = "good.secret"\n`,
};

const site = '[site]\ndomain = "example.org"\n';
const toml = join(folder, "postern.toml");
const hub = layoutOf(folder).hub;
const inHub = (name: string): string => join(hub, name);

function check(text: string): readonly string[] {
  writeFileSync(toml, site + text);
  try {
    const notes = checkFiles(layoutOf(folder), checkTogether(folder, readConfig(toml)));
    return notes.map((note) => inFile(toml, note).message);
  } catch (error) {
    throw error instanceof Misconfigured ? inFile(toml, error) : error;
  }
}

function put(name: string, text: string, mode = 0o600): void {
  writeFileSync(inHub(name), text);
  chmodSync(inHub(name), mode);
}

describe("the files that a configuration names", () => {
  mkdirSync(hub, { recursive: true, mode: 0o700 });
  const { certificatePem, keyPem } = createAuthority({
    name: "a",
    validDays: 1,
    nowMs: Date.now(),
  });
  put("good.pem", certificatePem);
  put("good.key", keyPem);
  put("good.secret", "secret\n");
  put("good.credentials", "aws_access_key_id = a\naws_secret_access_key = b\n");

  test("every parameter whose name says so is among them", () => {
    const named = Object.entries(configTables).flatMap(([header, table]) =>
      Object.keys(table)
        .filter((key) => /File?s?$|^recoveryKey$|^tokenModule$/.test(key))
        .map((key) => `${header}.${key}`),
    );
    assert.deepEqual(Object.keys(cases).toSorted(), named.toSorted());
  });

  for (const [parameter, text] of Object.entries(cases)) {
    const key = parameter.slice(parameter.lastIndexOf(".") + 1);
    const isList = key === "secretFiles";
    const withFile = (path: string): string =>
      `${text}${key} = ${JSON.stringify(isList ? [path] : path)}\n`;
    const line = (site + text).split("\n").length;

    test(`${parameter}: one that is not there is a fault, with its line and its name`, () => {
      const missing = inHub("missing");
      assert.throws(
        () => check(withFile(missing)),
        ({ message }: Error) =>
          message.startsWith(`${toml}:${line}:1: `) && message.includes(missing),
      );
    });
  }

  test("one that holds something else is a fault in the words of its reader", () => {
    put("junk", "junk\0\n");
    const wrong = [
      ["gateway.NAME.listFile", /listFile: .*junk:1: neither an address nor @DOMAIN/],
      ["outbound.NAME.secretFiles", /secretFiles: .*junk: a secret is one line of text/],
      ["outbound.NAME.tlsKeyFile", /tlsKeyFile is .*junk, which holds no such PEM/],
      ["outbound.NAME.tlsAuthorityFile", /tlsAuthorityFile is .*, which holds no such PEM/],
      ["publish.NAME.caFile", /caFile: .*junk holds no certificate/],
      ["login.oidcCaFile", /oidcCaFile: .*junk holds no certificate in PEM/],
      ["backup.credentialsFile", /credentialsFile: .*junk: no lines aws_access_key_id/],
      ["backup.recoveryKey", /recoveryKey: .*junk /],
    ] as const;
    for (const [parameter, expected] of wrong) {
      const key = parameter.slice(parameter.lastIndexOf(".") + 1);
      const value = key === "secretFiles" ? '["junk"]' : '"junk"';
      assert.throws(() => check(`${cases[parameter]}${key} = ${value}\n`), expected, parameter);
    }
    put("pin", "1234", 0o640);
    const pin = `${cases["keyring.tokenPinFile"]}tokenPinFile = "${inHub("pin")}"\n`;
    assert.throws(() => check(pin), /tokenPinFile: .*pin must be readable by its owner only/);
  });

  test("what nobody opens is not looked for, and the next secret may be missing", () => {
    const quiet = [
      `${gateway}recipients = "any"\nlistFile = "missing"\n`,
      '[login]\noidcCaFile = "missing"\n',
      '[acme]\ncaFile = "missing"\n',
      `${backup}credentialsFile = "missing"\n`,
      `${out}auth = "plain"\nuser = "a"\nsecretFiles = ["good.secret", "missing"]\n`,
    ];
    for (const text of quiet) assert.deepEqual(check(text), [], text);
  });

  test("a device is left alone: what comes out of it is the program's", () => {
    const text = `${out}auth = "plain"\nuser = "a"\nsecretFiles = ["/dev/null"]\n`;
    assert.deepEqual(check(text), []);
  });

  test("a pipe holds up nobody, in whatever place it is named", () => {
    execFileSync("mkfifo", [inHub("pipe")]);
    // Of its own program: whoever opened the pipe would wait for ever, and we with him.
    for (const [parameter, table] of Object.entries(cases)) {
      const key = parameter.slice(parameter.lastIndexOf(".") + 1);
      const path = parameter.startsWith("keyring.") ? inHub("pipe") : "pipe";
      const value = key === "secretFiles" ? `["${path}"]` : `"${path}"`;
      writeFileSync(toml, `${site}${table}${key} = ${value}\n`);
      execFileSync(process.execPath, [postern, "--data", folder, "config", "test", toml], {
        timeout: 20_000,
        killSignal: "SIGKILL",
        stdio: "pipe",
      });
    }
  });

  test("a secret that everybody can read is said, and is no fault", () => {
    put("open", "secret\n", 0o644);
    const [note, ...others] = check(`${out}auth = "plain"\nuser = "a"\nsecretFiles = ["open"]\n`);
    assert.match(note ?? "", /postern\.toml:9:1: .*open can be read by everybody .*: chmod 600/);
    assert.deepEqual(others, []);
  });

  const isRoot = process.getuid?.() === 0;
  test("root hears of a file that the hub's user may not read", { skip: !isRoot }, () => {
    chownSync(hub, 61_112, 61_112);
    try {
      const text = `${out}auth = "plain"\nuser = "a"\nsecretFiles = ["good.secret"]\n`;
      assert.match(check(text)[0] ?? "", /good\.secret is not for the user of the hub \(61112\)/);
      chownSync(inHub("good.secret"), 61_112, 61_112);
      assert.deepEqual(check(text), []);
    } finally {
      chownSync(hub, 0, 0);
      chownSync(inHub("good.secret"), 0, 0);
    }
  });

  test("who may read less than the hub is told so, and hears of no fault", {
    skip: !isRoot,
  }, () => {
    const text = `${out}auth = "plain"\nuser = "a"\nsecretFiles = ["good.secret"]\n`;
    chmodSync(folder, 0o755);
    writeFileSync(toml, site + text);
    const settings = checkTogether(folder, readConfig(toml));
    const hidden = join(folder, "hidden");
    mkdirSync(hidden, { mode: 0o700 });
    const layout = layoutOf(folder);
    // Of the second not even the owner can be seen.
    for (const hubFolder of [layout.hub, join(hidden, "hub")]) {
      process.seteuid?.(65_534);
      try {
        const [note] = checkFiles({ ...layout, hub: hubFolder, data: hubFolder }, settings);
        assert.match(
          note?.message ?? "",
          /^outbound\.o\.secretFiles: .*good\.secret: not looked at/,
        );
      } finally {
        process.seteuid?.(0);
      }
    }
  });
});
