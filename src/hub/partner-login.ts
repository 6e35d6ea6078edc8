/** Logins of partners, judged inside: the mail edge carries the words, the secrets stay here. */

import { Buffer, isUtf8 } from "node:buffer";
import { createHmac, timingSafeEqual } from "node:crypto";
import type { Clock } from "#base/clock";
import { Misconfigured } from "#base/errors";
import { clientNetwork, parseIp } from "#base/ip";
import { Gate } from "#base/limits";
import type { Random } from "#base/random";
import {
  dialogueLastsMs,
  type LoginAnswer,
  type LoginStep,
  maxLoginResponse,
  type PartnerMechanism,
  partnerMechanisms,
} from "#contracts/inbound-login";
import type { LinkStream } from "#contracts/link";
import { type DirectoryLimits, Guard, type Try } from "#directory";
import {
  judgeScram,
  makeScramVerifier,
  offerScram,
  prepareSecret,
  readPlain,
  readScramFirst,
  type ScramFirst,
  type ScramOffer,
  scramNonce,
  scramSalt,
} from "#formats/sasl";
import type { InboundConnector, InboundDoor } from "#model/connector";
import { readSecrets } from "#transport/connectors";
import type { HubEvents } from "./events.ts";
import { matching, object, oneOf, textThat } from "./shape.ts";

export interface PartnerLoginPorts {
  readonly connectors: readonly InboundConnector[];
  readonly door: InboundDoor;
  readonly clock: Clock;
  readonly random: Random;
  readonly limits: DirectoryLimits;
  readonly events: Pick<HubEvents, "partnerLogin" | "partnerSecretFailed">;
}

export interface PartnerLogins {
  /** Every refusal is the same, after the same work, whether or not there is such a user. */
  step(step: LoginStep): Promise<LoginAnswer>;
}

/** Ours: an honest one is open for a round trip. */
const maxDialogues = 1000;
const maxDialoguesPerNetwork = 32;
/** RFC 7677 §4. */
const iterations = 4096;
/** Derivations at once, and how many may wait. */
const [width, depth] = [2, 64];
/** Secrets that count: the present one and the next. */
const secretsAtOnce = 2;
const day = 86_400_000;

const base64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

const shape = object<LoginStep>(
  {
    dialogue: matching(/^[0-9a-f]{32}$/),
    mechanism: oneOf(...partnerMechanisms),
    response: textThat((text) => text.length <= maxLoginResponse && base64.test(text)),
    from: textThat((text) => parseIp(text) !== undefined),
  },
  { exporter: textThat((text) => text.length <= 128 && base64.test(text)) },
);

/** Serves one stream of kind authenticate. @param misshapen what happens to one of another shape */
export function answerLogin(
  stream: LinkStream,
  logins: PartnerLogins,
  misshapen: () => void,
): void {
  if (!shape(stream.header)) return misshapen();
  logins.step(stream.header as LoginStep).then(
    (answer) => stream.answer(answer),
    () => stream.abort("the login failed"),
  );
}

export function partnerLogins(ports: PartnerLoginPorts): PartnerLogins {
  return new Logins(ports);
}

interface Dialogue {
  readonly step: LoginStep;
  readonly untilMs: number;
  readonly attempt: Try;
  readonly offer: ScramOffer;
  readonly known: Known | undefined;
  /** The proof was good: the client only has to say that it heard ours. */
  isProven: boolean;
}

/** A user that there is, with what it may prove. */
interface Known {
  readonly connector: InboundConnector;
  readonly files: readonly string[];
}

interface Candidates {
  readonly known: Known | undefined;
  /** Always as many, so that the work tells nothing; those that fill up fit nobody. */
  readonly secrets: readonly string[];
}

const refused: LoginAnswer = { refused: "refused" };
const busy: LoginAnswer = { refused: "busy" };
const badResponse: LoginAnswer = { refused: "bad-response" };

class Logins implements PartnerLogins {
  readonly #ports: PartnerLoginPorts;
  readonly #guard: Guard;
  readonly #gate = new Gate(width, depth);
  /** In the order in which they began. */
  readonly #dialogues = new Map<string, Dialogue>();
  readonly #pepper: Buffer;

  constructor(ports: PartnerLoginPorts) {
    const { clock, random, limits } = ports;
    this.#ports = ports;
    this.#pepper = random.bytes(32);
    this.#guard = new Guard(clock, {
      ...limits,
      recoveryMs: limits.failureRecoveryS * 1000,
      knownMs: limits.knownNetworkDays * day,
    });
  }

  async step(step: LoginStep): Promise<LoginAnswer> {
    this.#forgetOld();
    const octets = Buffer.from(step.response, "base64");
    if (!isUtf8(octets)) return badResponse;
    const said = octets.toString("utf8");
    const open = this.#dialogues.get(step.dialogue);
    if (open !== undefined) return this.#goOn(step, open, said);
    return step.mechanism === "PLAIN" ? this.#plain(step, said) : this.#offer(step, said);
  }

  async #plain(step: LoginStep, said: string): Promise<LoginAnswer> {
    const read = readPlain(said);
    if (!read.ok) return badResponse;
    const user = prepareSecret(read.value.user);
    if (user === undefined) return badResponse;
    const attempt = this.#enter(user, step);
    if (attempt === undefined) return this.#tooMany(step);
    const candidates = this.#candidates(user);
    if (candidates === undefined) return this.#unable(attempt);
    const fits = candidates.secrets.map((secret) => this.#isSame(secret, read.value.secret));
    return this.#settle(step, {
      attempt,
      known: candidates.known,
      secret: fits.indexOf(true),
    });
  }

  /** Under a key of this process, so that neither length nor content shows in the time. */
  #isSame(one: string, other: string): boolean {
    const digest = (text: string): Buffer =>
      createHmac("sha256", this.#pepper)
        .update(prepareSecret(text) ?? text)
        .digest();
    return timingSafeEqual(digest(one), digest(other));
  }

  async #offer(step: LoginStep, said: string): Promise<LoginAnswer> {
    const first = readScramFirst(said);
    if (!first.ok) return first.fault === "acts-for-another" ? refused : badResponse;
    const { user } = first.value;
    const attempt = this.#enter(user, step);
    if (attempt === undefined) return this.#tooMany(step);
    const candidates = this.#candidates(user);
    if (candidates === undefined) return this.#unable(attempt);
    const offer = await this.#gate.run(() => this.#derive(step, first.value, candidates));
    if (offer === undefined) return this.#unable(attempt);
    if (offer === "refused") return refused;
    const untilMs = this.#ports.clock.tickMs() + dialogueLastsMs;
    const { known } = candidates;
    const begun: Dialogue = { step, untilMs, attempt, offer, known, isProven: false };
    this.#makeRoom(clientNetwork(step.from));
    this.#dialogues.set(step.dialogue, begun);
    return challenge(offer.message);
  }

  async #derive(
    { mechanism, exporter }: LoginStep,
    first: ScramFirst,
    { secrets }: Candidates,
  ): Promise<ScramOffer | "refused"> {
    const salt = scramSalt("sha256", first.user, this.#pepper);
    const verifier = await makeScramVerifier("sha256", secrets, salt, iterations);
    if (!verifier.ok) return "refused"; // candidates were prepared
    const offer = offerScram(first, verifier.value, {
      mechanism: { hash: "sha256", plus: isPlus(mechanism) },
      plusOffered: exporter !== undefined,
      ...(exporter !== undefined && { exporter: Buffer.from(exporter, "base64") }),
      nonce: scramNonce(this.#ports.random),
    });
    return offer.ok ? offer.value : "refused";
  }

  async #goOn(step: LoginStep, open: Dialogue, said: string): Promise<LoginAnswer> {
    const isSame = step.mechanism === open.step.mechanism && step.from === open.step.from;
    if (open.isProven) {
      this.#dialogues.delete(step.dialogue);
      return isSame && said === "" ? welcome(open.known) : badResponse;
    }
    const judged = judgeScram(open.offer, said);
    const secret = isSame && judged.ok ? judged.value.secret : -1;
    const answer = this.#settle(step, { ...open, secret });
    if ("refused" in answer || !judged.ok) {
      this.#dialogues.delete(step.dialogue);
      return answer;
    }
    open.isProven = true;
    return challenge(judged.value.message); // RFC 4954 §4: more data goes before the success
  }

  #settle(
    step: LoginStep,
    { attempt, known, secret }: Pick<Dialogue, "attempt" | "known"> & { secret: number },
  ): LoginAnswer {
    const file = known?.files[secret];
    const isIn = known !== undefined && file !== undefined;
    this.#ports.events.partnerLogin(isIn ? "ok" : "refused", step, {
      ...(known && { connector: known.connector.name }),
      ...(isIn && { file }),
    });
    if (!isIn) return refused;
    attempt.welcome();
    return welcome(known);
  }

  #enter(user: string, { from }: LoginStep): Try | undefined {
    const key = createHmac("sha256", this.#pepper).update(user.toLowerCase()).digest("base64url");
    return this.#guard.enter(key, clientNetwork(from));
  }

  #tooMany(step: LoginStep): LoginAnswer {
    this.#ports.events.partnerLogin("slow-down", step, {});
    return { refused: "slow-down" };
  }

  #unable(attempt: Try): LoginAnswer {
    attempt.refund();
    return busy;
  }

  /** @returns undefined when the secrets of a user cannot be read: an administrator has to look */
  #candidates(user: string): Candidates | undefined {
    const { connectors, door, random, events } = this.#ports;
    const connector = connectors.find((one) => one.door === door && isUser(one, user));
    const filler = Array.from({ length: secretsAtOnce }, () => random.bytes(16).toString("hex"));
    if (connector === undefined) return { known: undefined, secrets: filler };
    try {
      const read = readSecrets({ secretFiles: connector.secretFiles ?? [] });
      const secrets = read.slice(0, secretsAtOnce).map(({ secret }) => secret);
      const unfit = read.find(({ secret }) => prepareSecret(secret) === undefined);
      if (unfit !== undefined) throw new Misconfigured(`${unfit.file}: no text for a password`);
      const files = read.map(({ file }) => file);
      return {
        known: { connector, files },
        secrets: [...secrets, ...filler.slice(secrets.length)],
      };
    } catch (error) {
      if (!(error instanceof Misconfigured)) throw error;
      events.partnerSecretFailed(connector.name, error);
      return undefined;
    }
  }

  /**
   * One more never shuts out another partner: of a network with many open its own oldest goes, and
   * where there are many in all, the oldest of a network from which nobody was let in before.
   */
  #makeRoom(network: string): void {
    const open = [...this.#dialogues.values()];
    const near = open.filter(({ step }) => clientNetwork(step.from) === network);
    if (near.length >= maxDialoguesPerNetwork) this.#forget(near[0]);
    else if (open.length >= maxDialogues) {
      this.#forget(open.find(({ attempt }) => !attempt.known) ?? open[0]);
    }
  }

  #forget(one: Dialogue | undefined): void {
    if (one !== undefined) this.#dialogues.delete(one.step.dialogue);
  }

  #forgetOld(): void {
    const nowMs = this.#ports.clock.tickMs();
    for (const [id, { untilMs }] of this.#dialogues) {
      if (untilMs > nowMs) return;
      this.#dialogues.delete(id);
    }
  }
}

function isUser({ user }: InboundConnector, prepared: string): boolean {
  return user !== undefined && prepareSecret(user) === prepared;
}

function isPlus(mechanism: PartnerMechanism): boolean {
  return mechanism.endsWith("-PLUS");
}

function challenge(message: string): LoginAnswer {
  return { challenge: Buffer.from(message).toString("base64") };
}

/** As the configuration spells it: connectors are found by that. */
function welcome(known: Known | undefined): LoginAnswer {
  const user = known?.connector.user;
  return user === undefined ? refused : { user };
}
