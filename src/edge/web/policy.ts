/** The web policy that this edge goes by: signed by the inside, held in memory, never an older one. */

import type { Buffer } from "node:buffer";
import { createPublicKey, type KeyObject } from "node:crypto";
import { accept, type Result, refuse } from "#base/result";
import { parseObject, readSigned, type SignedFault } from "#edge/signed-policy";
import type { LoginOffer, PublishingRule, WebPolicy } from "#model/publishing";
import { type CompiledPolicy, compilePolicy, isRulePath } from "#proxy";

export type WebPolicyFault = SignedFault | "bad-shape" | "older";

/** Thousands of rules; each request looks at those of its host. */
export const maxWebPolicyBytes: number = 1024 * 1024;

export interface WebPolicyHolder {
  /** Of version 0, which publishes nothing, until the inside has told one. */
  readonly current: CompiledPolicy;
  /** What the login page offers. */
  offer(): LoginOffer;
  take(octets: Buffer): Result<number, WebPolicyFault>;
}

/**
 * @param publicKeyPem Ed25519
 * @param hosts known before the first policy: they are told to wait, others that they are not served
 * @throws Error when the key is no key
 */
export function webPolicyHolder(
  publicKeyPem: string,
  hosts: readonly string[],
  listeningPort: () => number,
): WebPolicyHolder {
  const key = createPublicKey(publicKeyPem);
  const nothing: WebPolicy = { version: 0, hosts, rules: [], login: { passkeys: false } };
  let current = compilePolicy(nothing, listeningPort);
  return {
    get current() {
      return current;
    },
    offer: () => current.login,
    take(octets) {
      const read = readWebPolicy(octets, key);
      if (!read.ok) return read;
      if (read.value.version < current.version) return refuse("older");
      current = compilePolicy(read.value, listeningPort);
      return accept(current.version);
    },
  };
}

function readWebPolicy(octets: Buffer, key: KeyObject): Result<WebPolicy, WebPolicyFault> {
  const signed = readSigned(octets, key, maxWebPolicyBytes);
  if (!signed.ok) return signed;
  const policy = parseObject(signed.value);
  // The signature vouches for the author, not for our versions to agree.
  return policy !== undefined && isPolicy(policy)
    ? accept(policy as unknown as WebPolicy)
    : refuse("bad-shape");
}

type Fields = Readonly<Record<string, unknown>>;

function isPolicy({ version, hosts, rules, texts, login }: Fields): boolean {
  return (
    Number.isSafeInteger(version) &&
    (version as number) > 0 &&
    isTextList(hosts) &&
    Array.isArray(rules) &&
    rules.every(isRule) &&
    (texts === undefined || (Array.isArray(texts) && texts.every(isText))) &&
    isOffer(login)
  );
}

const ruleKeys: ReadonlySet<string> = new Set<keyof PublishingRule>([
  "application",
  "hosts",
  "path",
  "exact",
  "ignoreCase",
  "methods",
  "login",
  "targets",
  "webSocket",
  "needsJson",
  "crossOrigin",
  "bodyMaxBytes",
  "answerTimeoutMs",
]);

/** A rule with a key that this edge does not know might mean less than it would take it for. */
function isRule(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  const rule = value as Fields;
  const { application, hosts, path, methods, login, targets } = rule;
  const flags = [rule["exact"], rule["ignoreCase"], rule["webSocket"], rule["needsJson"]];
  return (
    Object.keys(rule).every((key) => ruleKeys.has(key)) &&
    typeof application === "string" &&
    isTextList(hosts) &&
    typeof path === "string" &&
    isRulePath(path) &&
    isTextList(methods) &&
    ["form", "basic", "none"].includes(login as string) &&
    ["plain", "mail"].includes(targets as string) &&
    [...flags, rule["crossOrigin"]].every(
      (flag) => flag === undefined || typeof flag === "boolean",
    ) &&
    [rule["bodyMaxBytes"], rule["answerTimeoutMs"]].every(
      (bound) => bound === undefined || (Number.isSafeInteger(bound) && Number(bound) > 0),
    )
  );
}

function isText(value: unknown): boolean {
  const { hosts, path, text } = (value ?? {}) as Fields;
  return isTextList(hosts) && typeof path === "string" && typeof text === "string";
}

function isOffer(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  const { passkeys, oidcLabel } = value as Fields;
  const fits = oidcLabel === undefined || typeof oidcLabel === "string";
  return typeof passkeys === "boolean" && fits;
}

function isTextList(value: unknown): boolean {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}
