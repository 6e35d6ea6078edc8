/** `postern pki root`: the own authority's root, in the forms in which devices are given it. */

import { hash, X509Certificate } from "node:crypto";
import type { Command } from "commander";
import { ExitError, exitCodes, print, say } from "../exit.ts";
import { layoutOf } from "../up/layout.ts";
import { textOf } from "./pki-file.ts";
import { dataOf } from "./shared.ts";

const formats: Readonly<Record<string, (root: X509Certificate) => string>> = {
  pem: (root) => root.toString(),
  mobileconfig,
  gpo: startUpScript,
};

const advice: Readonly<Record<string, string>> = {
  pem: "Linux: copy it to /usr/local/share/ca-certificates/postern.crt, then update-ca-certificates. Thunderbird and Firefox: settings, certificates, authorities, import.",
  mobileconfig:
    "iPhone, iPad, Mac: by your device management, or by opening the file; then switch full trust on under Settings, General, About, Certificate Trust Settings.",
  gpo: "Windows domain: as a start-up script of a group policy (Computer Configuration, Policies, Windows Settings, Scripts). Or import the PEM form under Public Key Policies, Trusted Root Certification Authorities.",
};

export function addPkiRoot(pki: Command): void {
  pki
    .command("root")
    .description("the root of the own authority, for devices that are to trust it")
    .option("--format <format>", "pem, mobileconfig (Apple) or gpo (Windows)", "pem")
    .action((options: { format: string }, command: Command) => {
      const write = Object.hasOwn(formats, options.format) ? formats[options.format] : undefined;
      if (write === undefined) {
        throw new ExitError(
          exitCodes.usage,
          `--format is one of ${Object.keys(formats).join(", ")}`,
        );
      }
      const root = new X509Certificate(textOf(layoutOf(dataOf(command)).siteAuthority));
      print(write(root));
      say(advice[options.format] ?? "");
      say(`Before a person trusts it, they compare its SHA-256: ${root.fingerprint256}`);
    });
}

/** Apple's configuration profile with one payload, com.apple.security.root. */
function mobileconfig(root: X509Certificate): string {
  const name = nameOf(root).replace(/[<>&]/g, "");
  const payload = plist({
    PayloadType: "com.apple.security.root",
    PayloadVersion: 1,
    PayloadIdentifier: "org.postern.root.certificate",
    PayloadUUID: uuidOf(root, "certificate"),
    PayloadDisplayName: name,
    PayloadContent: root.raw,
  });
  return `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
${plist({
  PayloadType: "Configuration",
  PayloadVersion: 1,
  PayloadIdentifier: "org.postern.root",
  PayloadUUID: uuidOf(root, "profile"),
  PayloadDisplayName: name,
  PayloadDescription: "Trusts the authority that signs this mail system's certificates.",
  PayloadContent: [payload],
})}
</plist>
`;
}

function plist(of: Readonly<Record<string, string | number | Buffer | readonly string[]>>): string {
  const entries = Object.entries(of).map(([key, value]) => `<key>${key}</key>${valueOf(value)}`);
  return `<dict>\n${entries.join("\n")}\n</dict>`;
}

function valueOf(value: string | number | Buffer | readonly string[]): string {
  if (typeof value === "string") return `<string>${value}</string>`;
  if (typeof value === "number") return `<integer>${value}</integer>`;
  if (Buffer.isBuffer(value)) return `<data>${value.toString("base64")}</data>`;
  return `<array>\n${value.join("\n")}\n</array>`;
}

/** The same for the same root, so that a profile replaces itself. */
function uuidOf(root: X509Certificate, what: string): string {
  const digest = hash("sha256", `${root.fingerprint256} ${what}`, "hex");
  const parts = [digest.slice(0, 8), digest.slice(8, 12), `8${digest.slice(13, 16)}`];
  return [...parts, `a${digest.slice(17, 20)}`, digest.slice(20, 32)].join("-").toUpperCase();
}

/** PowerShell; does nothing where the root is trusted already. */
function startUpScript(root: X509Certificate): string {
  // Windows names certificates by their SHA-1; nothing is trusted because of it.
  const thumbprint = root.fingerprint.replaceAll(":", "");
  return `# Trusts ${nameOf(root).replace(/[^\x20-\x7e]/g, "?")} on this computer. Start-up script of a group policy.
$ErrorActionPreference = "Stop"
$thumbprint = "${thumbprint}"
if (Test-Path "Cert:\\LocalMachine\\Root\\$thumbprint") { exit 0 }
$octets = [Convert]::FromBase64String("${root.raw.toString("base64")}")
$root = [System.Security.Cryptography.X509Certificates.X509Certificate2]::new($octets)
if ($root.Thumbprint -ne $thumbprint) { throw "the certificate in this script is damaged" }
$store = [System.Security.Cryptography.X509Certificates.X509Store]::new("Root", "LocalMachine")
$store.Open("ReadWrite")
$store.Add($root)
$store.Close()
`;
}

function nameOf(root: X509Certificate): string {
  return /^CN=(.*)$/m.exec(root.subject)?.[1] ?? root.subject;
}
