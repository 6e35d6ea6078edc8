/** The hub's end of the keyring's socket: proves itself, asks many things at once, comes back. */

import { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";
import { connect, type Socket } from "node:net";
import type { Clock, Timer } from "#base/clock";
import { Unavailable } from "#base/errors";
import type { Log } from "#base/log";
import { errorOf } from "./keyring-faults.ts";
import {
  type Frame,
  FrameReader,
  formatFrame,
  isProof,
  nonceLength,
  proofOf,
} from "./keyring-wire.ts";

export interface KeyringAccess {
  readonly socket: string;
  readonly secretFile: string;
  readonly clock: Clock;
  readonly log: Log;
}

/** A keyring that restarts is back within this; making RSA keys may take as long again. */
const patienceMs = 5000;
const makingMs = 20_000;
const retryMs = 100;

const slow: readonly string[] = ["makeDkimKeys", "addDkimKeys", "rotateMaster"];

/** Repeating any of them does no harm. */
export interface Request {
  readonly do:
    | "dkimKeys"
    | "makeDkimKeys"
    | "allDkimKeys"
    | "addDkimKeys"
    | "activateDkimKeys"
    | "retireDkimKeys"
    | "dkimSign"
    | "wrapKey"
    | "unwrapKey"
    | "masterIds"
    | "rotateMaster"
    | "retireMaster"
    | "logKeys"
    | "signHead"
    | "renewLog";
  readonly domain?: string;
  readonly selector?: string;
  readonly purpose?: string;
  readonly master?: string;
  readonly log?: string;
  readonly selectors?: readonly string[];
  readonly isForced?: boolean;
}

interface Question {
  readonly octets: Buffer;
  readonly deadline: Timer;
  answer(frame: Frame): void;
  fail(error: Error): void;
}

export class Connection {
  readonly #access: KeyringAccess;
  readonly #secret: Buffer;
  /** Asked and not answered; sent again on a new connection. */
  readonly #open = new Map<number, Question>();
  #lastId = 0;
  #socket: Socket | undefined;
  #proved = false;
  #closed = false;

  constructor(access: KeyringAccess, secret: Buffer) {
    this.#access = access;
    this.#secret = secret;
  }

  ask(request: Request, body?: Uint8Array): Promise<Frame> {
    const id = (this.#lastId += 1);
    return new Promise((resolve, reject) => {
      const fail = (error: Error): void => {
        this.#open.delete(id);
        deadline.cancel();
        reject(error);
      };
      const limitMs = slow.includes(request.do) ? makingMs : patienceMs;
      const deadline = this.#access.clock.after(limitMs, () =>
        fail(new Unavailable("the keyring does not answer")),
      );
      const octets = formatFrame({ ...request, id }, body);
      const answer = (frame: Frame): void => {
        this.#open.delete(id);
        deadline.cancel();
        octets.fill(0); // it may have held a key
        resolve(frame);
      };
      this.#open.set(id, { octets, deadline, answer, fail });
      if (this.#closed) fail(new Unavailable("the keyring's client is closed"));
      else if (this.#proved) this.#socket?.write(octets);
      else this.#dial();
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const question of this.#open.values()) {
      question.fail(new Unavailable("the keyring's client is closed"));
    }
    this.#socket?.destroy();
  }

  #dial(): void {
    if (this.#socket !== undefined) return;
    const socket = connect({ path: this.#access.socket });
    this.#socket = socket;
    const reader = new FrameReader();
    let step = this.#prove(socket, reader);
    socket.on("data", (chunk: Buffer) => {
      const isSound = reader.feed(chunk, (frame) => {
        step = step(frame);
      });
      if (!isSound) socket.destroy();
    });
    socket.on("error", () => {}); // "close" follows
    socket.on("close", () => this.#lost());
  }

  #lost(): void {
    this.#socket = undefined;
    this.#proved = false;
    if (this.#closed || this.#open.size === 0) return;
    this.#access.clock.after(retryMs, () => {
      if (!this.#closed && this.#open.size > 0) this.#dial();
    });
  }

  /** Each step takes one frame and says which comes next. */
  #prove(socket: Socket, reader: FrameReader): Step {
    const client = randomBytes(nonceLength);
    const answers: Step = (frame) => {
      this.#answered(frame);
      return answers;
    };
    return ({ body: server }) => {
      const nonces = { server, client };
      const proof = proofOf(this.#secret, "client", nonces);
      socket.write(formatFrame({}, Buffer.concat([client, proof])));
      return ({ body }) => {
        if (
          server.length !== nonceLength ||
          !isProof(body, proofOf(this.#secret, "server", nonces))
        ) {
          this.#access.log.write("error", "keyring.server-not-proved");
          socket.destroy();
          return answers;
        }
        reader.trust();
        this.#proved = true;
        for (const question of this.#open.values()) socket.write(question.octets);
        return answers;
      };
    };
  }

  #answered(frame: Frame): void {
    const question = this.#open.get(Number(frame.head["id"]));
    if (question === undefined) return; // too late: its caller has given up
    const error = errorOf(frame.head);
    if (error === undefined) question.answer(frame);
    else question.fail(error);
  }
}

type Step = (frame: Frame) => Step;
