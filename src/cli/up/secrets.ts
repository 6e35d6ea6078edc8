/** Certificates, keys and shared secrets of an installation: made once, renewed before they expire. */

import { createPublicKey, generateKeyPairSync, randomBytes, X509Certificate } from "node:crypto";
import {
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { isIP } from "node:net";
import { dirname, join } from "node:path";
import { errorCode } from "#base/disk";
import { passingAuthorityName } from "#contracts/certify";
import { makeSealKeys } from "#contracts/sealed";
import { type Credential, createAuthority, issueCertificate } from "#keys/authority";
import { ExitError, exitCodes } from "../exit.ts";
import type { Layout } from "./layout.ts";
import { hasEdge, hasInside, type Role } from "./roles.ts";

const dayMs = 86_400_000;
const renewBeforeMs = 14 * dayMs;

/** Root writes into folders of users that it does not trust: a link laid there is not followed. */
const anewHere =
  constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | (constants.O_NOFOLLOW ?? 0);

/** Writes a file that only its owner reads. */
export function writePrivate(path: string, text: string): void {
  const file = openSync(path, anewHere, 0o600);
  try {
    writeFileSync(file, text, { flush: true });
  } finally {
    closeSync(file);
  }
}

/**
 * Makes a folder and those above it, one by one: Node's own recursive way turns in circles for ever
 * where a folder exists and yet takes no entry, as below /proc.
 */
export function folder(path: string): void {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) return;
  if (dirname(path) !== path) folder(dirname(path));
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    const code = errorCode(error) ?? "error";
    const denied = code === "EACCES" || code === "EPERM" || code === "EROFS";
    throw new ExitError(
      denied ? exitCodes.notPermitted : exitCodes.cannotOpen,
      `${path}: ${code === "EEXIST" ? "is there and not a folder" : `cannot be made (${code})`}`,
    );
  }
}

function fresh(path: string, nowMs: number, names: readonly string[] = []): boolean {
  if (!existsSync(path)) return false;
  const certificate = new X509Certificate(readFileSync(path));
  // What somebody else issued was installed on purpose, and is theirs to renew.
  if (!ownAuthorities.some((name) => certificate.issuer === `CN=${name}`)) return true;
  const covers = names.every(
    (name) =>
      (isIP(name) === 0 ? certificate.checkHost(name) : certificate.checkIP(name)) !== undefined,
  );
  return covers && certificate.validToDate.getTime() - nowMs > renewBeforeMs;
}

const siteAuthorityName = "Postern site authority";
const ownAuthorities = [siteAuthorityName, passingAuthorityName];

function authority(path: string, name: string, nowMs: number): Credential {
  const keyPath = path.replace(/\.pem$/, ".key");
  if (!fresh(path, nowMs)) {
    const made = createAuthority({ name, validDays: 3650, nowMs });
    writePrivate(path, made.certificatePem);
    writePrivate(keyPath, made.keyPem);
    return made;
  }
  return {
    certificatePem: readFileSync(path, "utf8"),
    keyPem: readFileSync(keyPath, "utf8"),
  };
}

interface CertificatePlan {
  readonly path: string;
  readonly commonName: string;
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly string[];
  readonly usage: "server" | "client";
}

/** Makes PATH.pem and PATH.key unless good ones are there. */
function certificate(from: Credential, plan: CertificatePlan, nowMs: number): void {
  const names = plan.usage === "server" ? [...plan.dnsNames, ...plan.ipAddresses] : [];
  if (fresh(`${plan.path}.pem`, nowMs, names) && existsSync(`${plan.path}.key`)) return;
  const { path: _, ...wish } = plan;
  const made = issueCertificate(from, { ...wish, validDays: 397, nowMs });
  writePrivate(`${plan.path}.pem`, made.certificatePem);
  writePrivate(`${plan.path}.key`, made.keyPem);
}

export interface CertifiedNames {
  readonly hostname: string;
  /** Those that clients use at each place. */
  readonly names: Readonly<Record<"edge-smtp" | "edge-web" | "hub", readonly string[]>>;
}

/**
 * Certificates that clients see. Inside, the site's own authority signs them; its key stays there,
 * so an edge on a machine of its own begins with one that nobody vouches for.
 */
export function makeCertificates(
  layout: Layout,
  role: Role,
  { hostname, names }: CertifiedNames,
  nowMs: number,
): void {
  const places = [
    ...(hasEdge(role)
      ? [
          { folder: layout.edgeSmtp, used: names["edge-smtp"] },
          { folder: layout.edgeWeb, used: names["edge-web"] },
        ]
      : []),
    ...(hasInside(role) ? [{ folder: layout.hub, used: names.hub }] : []),
  ];
  const site = hasInside(role)
    ? authority(layout.siteAuthority, siteAuthorityName, nowMs)
    : createAuthority({ name: passingAuthorityName, validDays: 398, nowMs });
  for (const place of places) {
    const plan: CertificatePlan = {
      path: join(place.folder, "tls"),
      commonName: hostname,
      dnsNames: [...new Set([hostname, ...place.used, "localhost"])],
      ipAddresses: ["127.0.0.1", "::1"],
      usage: "server",
    };
    certificate(site, plan, nowMs);
  }
}

/** The key that signs the edges' policy; returns its public half in PEM. */
export function makePolicyKey(path: string): string {
  if (!existsSync(path)) {
    const { privateKey } = generateKeyPairSync("ed25519");
    writePrivate(path, privateKey.export({ type: "pkcs8", format: "pem" }).toString());
  }
  return createPublicKey(readFileSync(path)).export({ type: "spki", format: "pem" }).toString();
}

/** The keys that open what waits sealed in the DMZ; the hub alone reads the file. */
export function makeSealKeyFile(path: string): void {
  if (!existsSync(path)) writePrivate(path, JSON.stringify(makeSealKeys()));
}

/** A file with a random secret, made once. */
export function sharedSecret(path: string, bytes = 32): string {
  if (!existsSync(path)) writePrivate(path, randomBytes(bytes).toString("hex"));
  return readFileSync(path, "utf8").trim();
}
