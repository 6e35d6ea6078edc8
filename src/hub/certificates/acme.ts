/** Certificates ordered from an ACME server (RFC 8555), each name proven by tls-alpn-01 (RFC 8737). */

import { createHash, generateKeyPairSync } from "node:crypto";
import { existsSync, readFileSync, renameSync, rmSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import type * as acme from "acme-client";
import { Misconfigured, Unavailable } from "#base/errors";
import { acmeAgent, type Dial, NoAgent } from "./agent.ts";
import type { Place } from "./places.ts";
import type { CertificateSettings } from "./settings.ts";

export interface AcmePorts {
  readonly settings: CertificateSettings["acme"];
  /** Where the account's key is kept. */
  readonly folder: string;
  /** Through the edge; not used where the settings say `direct`. */
  readonly dial: Dial;
  /** How often the server is asked whether it is ready, at first. */
  readonly pollMs?: number;
}

const requestMs = 30_000;
/** Of one answer; a chain has a few thousand octets. */
const maxAnswerBytes = 1024 * 1024;
const pollMs = 2000;
/** With growing pauses between them: some minutes in all. */
const pollAttempts = 10;

const accountKeyFile = "acme-account.key";

/** @throws Misconfigured when the settings do not say enough to order anything */
export function checkAcmeSettings({
  directory,
  agreeTerms,
  eabKeyId,
  eabKeyFile,
}: AcmePorts["settings"]): void {
  if (!/^https:\/\/[^\s/]/.test(directory)) {
    throw new Misconfigured("acme.directory must be an https URL");
  }
  if (!agreeTerms) {
    throw new Misconfigured(
      "acme.agreeTerms is false: read the terms of service of the ACME server first",
    );
  }
  if ((eabKeyId === "") !== (eabKeyFile === "")) {
    throw new Misconfigured("acme.eabKeyId and acme.eabKeyFile belong together");
  }
}

/**
 * What the files hold that the settings name.
 *
 * @throws Misconfigured when one cannot be read
 */
export function acmeFiles({ eabKeyId, eabKeyFile, caFile }: AcmePorts["settings"]): {
  readonly bindingKey?: string;
  readonly authorities?: string;
} {
  return {
    ...(eabKeyId !== "" && { bindingKey: fileText(eabKeyFile) }),
    ...(caFile !== "" && { authorities: fileText(caFile) }),
  };
}

/** Makes the next order open an account anew: the old one was deactivated, or its key leaked. */
export function forgetAccount(folder: string): void {
  rmSync(join(folder, accountKeyFile), { force: true });
}

/**
 * Orders a certificate for a place and has it installed there.
 *
 * @param web where the names are proven: all of them must lead to it
 * @throws Unavailable, with what the server said; Misconfigured
 */
export async function orderCertificate(ports: AcmePorts, place: Place, web: Place): Promise<void> {
  const { names } = place.settings;
  const client = await openClient(ports);
  const { requestPem } = await place.ask({ do: "request", names });
  if (requestPem === undefined) throw new Unavailable(`${place.name} gave no request`);
  const order = await said("order", () =>
    client.createOrder({ identifiers: names.map((value) => ({ type: "dns", value })) }),
  );
  const authorizations = await said("authorizations", () => client.getAuthorizations(order));
  for (const authorization of authorizations) {
    if (authorization.status !== "valid") await prove(client, authorization, web);
  }
  const chainPem = await said("certificate", async () => {
    await client.waitForValidStatus(order);
    return client.getCertificate(await client.finalizeOrder(order, requestPem));
  });
  await place.ask({ do: "install", chainPem });
}

async function prove(
  client: acme.Client,
  authorization: acme.Authorization,
  web: Place,
): Promise<void> {
  const name = authorization.identifier.value;
  // The library answers this one too; its types do not say so.
  const isWanted = ({ type }: { readonly type: string }): boolean => type === "tls-alpn-01";
  const challenge = authorization.challenges.find(isWanted);
  if (challenge === undefined) {
    throw new Unavailable(`the ACME server offers no tls-alpn-01 for ${name}`);
  }
  const keyAuthorization = await client.getChallengeKeyAuthorization(challenge);
  const keyAuthorizationSha256 = createHash("sha256").update(keyAuthorization).digest("hex");
  await web.ask({ do: "challenge", name, keyAuthorizationSha256 });
  try {
    await said(`${name} must lead to the web edge, on port 443`, async () => {
      await client.completeChallenge(challenge);
      await client.waitForValidStatus(challenge);
    });
  } finally {
    await web.ask({ do: "withdraw", name }).catch(() => {});
  }
}

async function openClient(ports: AcmePorts): Promise<acme.Client> {
  const { settings, folder } = ports;
  checkAcmeSettings(settings);
  // Only now: it is large, and most of the time nothing is ordered.
  const library = await import("acme-client");
  routeAll(library.axios, ports);
  const { bindingKey } = acmeFiles(settings);
  const pauseMs = ports.pollMs ?? pollMs;
  const client = new library.Client({
    directoryUrl: settings.directory,
    accountKey: await accountKey(join(folder, accountKeyFile)),
    backoffAttempts: pollAttempts,
    backoffMin: pauseMs,
    backoffMax: pauseMs * 15,
    ...(bindingKey !== undefined && {
      externalAccountBinding: { kid: settings.eabKeyId, hmacKey: bindingKey },
    }),
  });
  await said("account", () => openAccount(client, settings.contact));
  return client;
}

/** RFC 8555 §7.3.1: an account that is there is found by its key, and told a change of contact. */
async function openAccount(client: acme.Client, addresses: readonly string[]): Promise<void> {
  const contact = addresses.length > 0 ? { contact: [...addresses] } : {};
  try {
    await client.createAccount({ onlyReturnExisting: true, ...contact });
  } catch {
    await client.createAccount({ termsOfServiceAgreed: true, ...contact });
  }
}

/** The library has one HTTP client for all; nothing else of the hub uses it. */
function routeAll(axios: typeof acme.axios, { settings, dial }: AcmePorts): void {
  const { defaults, interceptors } = axios;
  const { authorities } = acmeFiles(settings);
  defaults.httpsAgent = acmeAgent(settings.direct ? undefined : dial, authorities);
  defaults.httpAgent = new NoAgent();
  defaults.proxy = false;
  defaults.maxRedirects = 0;
  defaults.timeout = requestMs;
  defaults.maxContentLength = maxAnswerBytes;
  // The library's own way to try again loses the reason of a connection that failed; ours, which
  // comes after a longer pause, is told it.
  interceptors.request.clear();
  interceptors.response.clear();
}

/** One failure, in words that an administrator can act on; the server's own are bounded. */
async function said<Value>(about: string, act: () => Promise<Value>): Promise<Value> {
  try {
    return await act();
  } catch (error) {
    if (error instanceof Unavailable) throw error;
    const text = error instanceof Error ? error.message : String(error);
    const plain = text.replace(/[^\x20-\x7e]/g, " ").slice(0, 500);
    throw new Unavailable(`ACME ${about}: ${plain}`, { cause: error });
  }
}

/** Made once. Whoever holds it can order for the names that this account has proven. */
async function accountKey(path: string): Promise<string> {
  if (existsSync(path)) return fileText(path);
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const pem = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  {
    await using file = await open(`${path}.new`, "w", 0o600);
    await file.writeFile(pem);
    await file.sync();
  }
  renameSync(`${path}.new`, path);
  return pem;
}

function fileText(path: string): string {
  try {
    return readFileSync(path, "utf8").trim();
  } catch (error) {
    throw new Misconfigured(`${path}: cannot be read`, { cause: error });
  }
}
