/** The DKIM keys of our domains: what an administrator sees of them, and how they are changed. */

import type { Context, Hono } from "hono";
import { HTTPException } from "hono/http-exception";
import * as v from "valibot";
import { Denied, Unavailable } from "#base/errors";
import type { KeptKey } from "#contracts/keyring";
import { parseTagList } from "#formats/tag-list";
import { type DkimRecord, dnsRecord } from "#identity/dkim";
import type { AdminPorts } from "./admin.ts";
import { body } from "./admin-input.ts";

const selector = v.pipe(v.string(), v.regex(/^[a-z0-9]{1,63}$/));
const wished = v.strictObject({
  /** Absent: every key that the act is about. */
  selectors: v.optional(v.pipe(v.array(selector), v.minLength(1), v.maxLength(100))),
  force: v.optional(v.boolean(), false),
});

type Ports = Pick<AdminPorts, "directory" | "keyring" | "resolver" | "events">;

export function dkimRoutes(app: Hono, ports: Ports, by: string): void {
  const { keyring, events, directory } = ports;
  const domainIn = (c: Context): string => (c.req.param("name") ?? "").toLowerCase();
  const keysOf = (domain: string): Promise<readonly KeptKey[]> => keyring.allDkimKeys(domain);
  const done = (c: Context, what: string, selectors: readonly string[]): Response => {
    events.adminActed(what, by);
    return c.json({ done: what, selectors });
  };

  app.get("/domains/:name/dkim", async (c) => c.json((await keysOf(domainIn(c))).map(withRecord)));
  app.post("/domains/:name/dkim", async (c) => {
    const domain = domainIn(c);
    if (!directory.domains().some(({ name }) => name === domain)) {
      throw new HTTPException(409, { message: `${domain} is not one of our domains` });
    }
    const keys = await keyring.addDkimKeys(domain);
    const selectors = keys.map((key) => key.selector);
    return done(c, `add DKIM keys ${selectors.join(" ")} of ${domain}`, selectors);
  });
  app.post("/domains/:name/dkim/activate", async (c) => {
    const domain = domainIn(c);
    const { selectors, force } = await body(c, wished);
    const chosen = choose(await keysOf(domain), selectors, "pending", domain);
    if (!force) for (const key of chosen) await needPublished(key, ports.resolver);
    const names = chosen.map((key) => key.selector);
    await allowed(() => keyring.activateDkimKeys(domain, names));
    return done(c, `activate DKIM keys ${names.join(" ")} of ${domain}`, names);
  });
  app.post("/domains/:name/dkim/retire", async (c) => {
    const domain = domainIn(c);
    const { selectors, force } = await body(c, wished);
    const chosen = choose(await keysOf(domain), selectors, "retiring", domain);
    const names = chosen.map((key) => key.selector);
    await allowed(() => keyring.retireDkimKeys(domain, names, force));
    return done(c, `destroy DKIM keys ${names.join(" ")} of ${domain}`, names);
  });
}

function withRecord(key: KeptKey): KeptKey & DkimRecord {
  return { ...key, ...dnsRecord(key) };
}

/** @throws HTTPException 404 without such a key, 409 when no key is in that state */
function choose(
  keys: readonly KeptKey[],
  selectors: readonly string[] | undefined,
  state: KeptKey["state"],
  domain: string,
): readonly KeptKey[] {
  if (selectors !== undefined) {
    return selectors.map((one) => {
      const key = keys.find((held) => held.selector === one);
      if (key !== undefined) return key;
      throw new HTTPException(404, { message: `there is no key ${one} of ${domain}` });
    });
  }
  const found = keys.filter((key) => key.state === state);
  if (found.length > 0) return found;
  throw new HTTPException(409, { message: `no key of ${domain} is ${state}` });
}

/** Whoever gets a signature looks its key up (RFC 6376 §6.1.2): without a record it is worth nothing. */
async function needPublished(key: KeptKey, resolver: Ports["resolver"]): Promise<void> {
  const { name, text } = dnsRecord(key);
  const answer = await resolver.query(name, "TXT");
  if (answer.kind === "failed") throw new Unavailable(`TXT of ${name}: ${answer.why}`);
  const texts = answer.kind === "found" ? answer.records.map((record) => record.text) : [];
  // §3.6.2.2: with several records, receivers may take any.
  if (texts.length === 1 && isSameKey(texts[0] ?? "", text)) return;
  const what =
    texts.length === 0 ? "is not published" : texts.length > 1 ? "has several records" : "differs";
  throw new HTTPException(409, { message: `${name} ${what}: it must be ${text}` });
}

/** Other tags and the spaces may differ. */
function isSameKey(published: string, own: string): boolean {
  const [theirs, ours] = [parseTagList(published), parseTagList(own)];
  if (!theirs.ok || !ours.ok) return false;
  const keyIn = (tags: ReadonlyMap<string, string>): string =>
    `${tags.get("k") ?? "rsa"} ${(tags.get("p") ?? "").replace(/\s/g, "")}`;
  const hashes = theirs.value.get("h") ?? "sha256";
  return keyIn(theirs.value) === keyIn(ours.value) && /\bsha256\b/.test(hashes);
}

/** What the keyring will not do is a conflict, not a want of rights. */
async function allowed(act: () => Promise<void>): Promise<void> {
  try {
    await act();
  } catch (error) {
    if (error instanceof Denied) throw new HTTPException(409, { message: error.message });
    throw error;
  }
}
