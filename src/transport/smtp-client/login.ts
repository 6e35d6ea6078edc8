/** Logging in to a server inside TLS (RFC 4954): the mechanism, the secrets in turn, and what went wrong. */

import type { Buffer } from "node:buffer";
import { systemRandom } from "#base/random";
import {
  answerScram,
  beginScram,
  decodeBase64,
  encodeBase64,
  formatOAuthBearer,
  formatPlain,
  oauthDummyResponse,
  prepareSecret,
  readOAuthError,
  type ScramAnswer,
  type ScramHash,
  scramMechanism,
  scramNonce,
  verifyScram,
} from "#formats/sasl";
import type { TlsFacts } from "#model/connection";
import type { ConnectorLogin } from "#model/connector";
import type { Reply } from "#model/reply";
import { hideSecrets } from "./hide-secrets.ts";
import { type Failure, failureOf } from "./transaction.ts";
import type { Wire, WireFault } from "./wire.ts";

/** How we log in there. */
export interface ClientLogin extends Pick<ConnectorLogin, "mechanism" | "user"> {
  /** Tried in this order; the first that the server takes counts. */
  readonly secrets: readonly string[];
}

export interface LoginTerms {
  readonly login: ClientLogin;
  /** What AUTH named in the EHLO reply inside TLS; upper case. */
  readonly offered: readonly string[];
  readonly tls: TlsFacts | undefined;
  /** tls-exporter of the connection (RFC 9266 §2); absent below TLS 1.3. */
  readonly exporter?: Buffer;
  /** For each step. */
  readonly timeoutMs: number;
}

/** One exchange: what is sent first, and what on each challenge. */
interface Dialogue {
  readonly initial: string;
  /** Undefined: nothing may be answered to this. */
  next(challenge: string): Promise<string | undefined>;
  /** Whether a success can be believed; and otherwise why not. */
  doubt(): string | undefined;
  /** What the server said of it besides its reply. */
  remark?(): string | undefined;
}

interface Choice {
  readonly name: string;
  /** Undefined when the user or the secret cannot be sent by it. */
  begin(secret: string): Dialogue | undefined;
}

/** @returns undefined when the server knows us now */
export async function logIn(wire: Wire, terms: LoginTerms): Promise<Failure | undefined> {
  const choice = choose(terms);
  if (typeof choice === "string") return ours(choice);
  let last = ours("none of the secrets can be sent by this mechanism");
  for (const secret of terms.login.secrets) {
    const dialogue = choice.begin(secret);
    if (dialogue === undefined) continue;
    const exchange = new Exchange(wire, terms.timeoutMs);
    const reply = await exchange.run(choice.name, dialogue);
    if (exchange.broken !== undefined) return ours(exchange.broken);
    if (typeof reply === "string") return failureOf("login", reply, "during AUTH");
    const doubt = reply.code < 300 ? dialogue.doubt() : undefined;
    if (doubt !== undefined) return ours(doubt);
    if (reply.code === 235) return undefined;
    const words = withRemark(reply, dialogue.remark?.());
    last = failureOf("login", hideSecrets(words, [secret, ...exchange.sent]), "after AUTH");
    // RFC 4954 §6: 535 is about the secret; everything else is about the server or the mechanism.
    if (reply.code !== 535) return last;
  }
  return last;
}

function ours(text: string): Failure {
  return { phase: "login", answered: false, reply: { code: 454, status: "4.7.0", text } };
}

function withRemark(reply: Reply, remark: string | undefined): Reply {
  if (remark === undefined) return reply;
  const lines = typeof reply.text === "string" ? [reply.text] : reply.text;
  return { ...reply, text: lines.map((line, at) => (at === 0 ? `${line} (${remark})` : line)) };
}

class Exchange {
  readonly #wire: Wire;
  readonly #timeoutMs: number;
  /** All that may not be seen again in words of the server's. */
  readonly sent: string[] = [];
  /** Why it was given up by us. */
  broken: string | undefined;

  constructor(wire: Wire, timeoutMs: number) {
    this.#wire = wire;
    this.#timeoutMs = timeoutMs;
  }

  async run(name: string, dialogue: Dialogue): Promise<Reply | WireFault> {
    const initial = encodeBase64(dialogue.initial);
    const whole = `AUTH ${name} ${initial}`;
    // RFC 4954 §4: what does not fit into a command waits for the server to ask.
    let isGiven = whole.length <= maxCommand;
    let reply = await this.#say(isGiven ? whole : `AUTH ${name}`, initial);
    for (let round = 0; round < maxRounds && isChallenge(reply); round += 1) {
      const answer = isGiven ? await this.#answer(reply, dialogue) : initial;
      isGiven = true;
      if (answer === undefined) return this.#cancel();
      reply = await this.#say(answer, answer);
    }
    return reply;
  }

  async #answer({ text }: Reply, dialogue: Dialogue): Promise<string | undefined> {
    const challenge = typeof text === "string" ? decodeBase64(text) : undefined;
    const answer = challenge === undefined ? undefined : await dialogue.next(challenge);
    return answer === undefined ? undefined : encodeBase64(answer);
  }

  /** RFC 4954 §4: "*" ends an exchange; what the server says to it does not matter. */
  async #cancel(): Promise<Reply | WireFault> {
    this.broken =
      "the server did not keep to the mechanism, or did not prove that it knows the secret";
    return this.#say("*", "");
  }

  async #say(line: string, secret: string): Promise<Reply | WireFault> {
    if (secret !== "") this.sent.push(secret);
    this.#wire.write(`${line}\r\n`);
    return this.#wire.reply(this.#timeoutMs);
  }
}

/** RFC 5321 §4.5.3.1.4, without its CRLF. */
const maxCommand = 510;
/** More than any mechanism of ours needs. */
const maxRounds = 4;

function isChallenge(reply: Reply | WireFault): reply is Reply {
  return typeof reply !== "string" && reply.code === 334;
}

/** The mechanism, or why there is none. */
function choose(terms: LoginTerms): Choice | string {
  const { login, offered, tls } = terms;
  if (tls === undefined) return "a login needs TLS, and there is none on this connection";
  const isProven = tls.proof !== undefined;
  if (login.mechanism === "scram") return chooseScram(terms, isProven);
  const name = login.mechanism === "plain" ? "PLAIN" : "OAUTHBEARER";
  if (!offered.includes(name)) return noneOffered(offered);
  // The secret itself crosses, so whoever is at the other end has it (RFC 4616 §6, RFC 7628 §4).
  if (!isProven) return `the server's certificate is not proved: no secret is sent by ${name}`;
  const begin = login.mechanism === "plain" ? plain : oauthBearer;
  return { name, begin: (secret) => begin(login.user, secret) };
}

function noneOffered(offered: readonly string[]): string {
  const names = offered
    .join(" ")
    .replace(/[^A-Z0-9 _-]+/g, "?")
    .slice(0, 200);
  return `the server offers no way to log in that the connector allows (${names || "none at all"})`;
}

/**
 * Strongest first. SHA-1 only where the server knows nothing else and has proved who it is: nobody
 * can make us use it then, nor collect what is sent for guessing.
 */
function chooseScram({ login, offered, exporter }: LoginTerms, isProven: boolean): Choice | string {
  const known = ["SCRAM-SHA-512", "SCRAM-SHA-256", ...(isProven ? ["SCRAM-SHA-1"] : [])];
  const plus = exporter === undefined ? [] : known.map((name) => `${name}-PLUS`);
  const strong = [...plus.slice(0, 2), ...known.slice(0, 2)];
  const names = [...strong, ...plus.slice(2), ...known.slice(2)];
  const name = names.find((one) => offered.includes(one));
  const mechanism = name === undefined ? undefined : scramMechanism(name);
  if (name === undefined || mechanism === undefined) return noneOffered(offered);
  const hasPlus = offered.some((one) => one.startsWith("SCRAM-") && one.endsWith("-PLUS"));
  // RFC 5802 §6: "y" tells a server whose -PLUS was taken out on the way.
  const unbound = exporter !== undefined && !hasPlus ? "unoffered" : "none";
  const binding = mechanism.plus && exporter !== undefined ? exporter : unbound;
  return { name, begin: (secret) => scram(mechanism.hash, login.user, secret, binding) };
}

function scram(
  hash: ScramHash,
  user: string,
  secret: string,
  binding: "none" | "unoffered" | Buffer,
): Dialogue | undefined {
  const start = beginScram(hash, user, binding, scramNonce(systemRandom));
  if (!start.ok || prepareSecret(secret) === undefined) return undefined;
  let answer: ScramAnswer | undefined;
  let isVerified = false;
  return {
    initial: start.value.message,
    async next(challenge) {
      if (answer === undefined) {
        const outcome = await answerScram(start.value, challenge, secret);
        if (!outcome.ok) return undefined;
        answer = outcome.value;
        return answer.message;
      }
      const outcome = verifyScram(answer, challenge);
      isVerified = outcome.ok;
      // RFC 5802 §7: after its "e" the server has the last word.
      return outcome.ok || outcome.fault === "server-error" ? "" : undefined;
    },
    doubt: () => (isVerified ? undefined : "the server did not prove that it knows the secret"),
  };
}

function plain(user: string, secret: string): Dialogue | undefined {
  const initial = formatPlain({ user, secret });
  if (initial === undefined) return undefined;
  return { initial, next: async () => undefined, doubt: () => undefined };
}

function oauthBearer(user: string, token: string): Dialogue | undefined {
  const initial = formatOAuthBearer(user, token);
  if (initial === undefined) return undefined;
  let remark: string | undefined;
  let wasRefused = false;
  return {
    initial,
    async next(challenge) {
      if (wasRefused) return undefined;
      wasRefused = true;
      remark = readOAuthError(challenge);
      return oauthDummyResponse;
    },
    doubt: () => (wasRefused ? "the server refused the token and then took it" : undefined),
    remark: () => remark,
  };
}
