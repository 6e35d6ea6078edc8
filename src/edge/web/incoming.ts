/** One request and the way back, whatever version of HTTP brought it. */

import type { HeaderList } from "#contracts/web";

/** What the transport knows of a request before anybody judges it. */
export interface IncomingHead {
  readonly version: "1.1" | "2";
  /** As sent: unchecked but for being a token. */
  readonly method: string;
  /** The request target, or `:path`; unchecked. */
  readonly target: string;
  /** Lower-case names; pseudo-fields are gone, `:authority` is "host". */
  readonly headers: HeaderList;
  /** What the framing says of the body. */
  readonly body: number | "chunked";
  /** Server name of the handshake; "" for a client that named none. */
  readonly serverName: string;
  readonly clientAddress: string;
}

export interface Incoming {
  readonly head: IncomingHead;
  /** Octets of the body. Resolve the promise to take more: a slow taker slows the client. */
  receive(taker: {
    data(chunk: Buffer): void | Promise<void>;
    end(): void;
    /** The client went away, or broke the framing, or took too long. */
    broken(why: string): void;
  }): void;
  /** For so long the client may wait for octets of the answer, beyond the idle time of others. */
  waits(mostMs: number): void;
  /** 100 (Continue), where the client waits for it. */
  proceed(): void;
  /**
   * The head of the answer, once. Framing fields are the transport's: `bodyBytes` absent means as
   * long as it takes.
   *
   * @param last the whole body, when it is at hand: goes out in the same write and ends the answer
   */
  answer(status: number, headers: HeaderList, bodyBytes?: number, last?: Uint8Array): void;
  /** False when the client reads more slowly: wait for `drained()`. */
  write(chunk: Uint8Array): boolean;
  /** Resolves also when the client is gone. */
  drained(): Promise<void>;
  end(): void;
  /** Breaks the answer so that no half of it looks whole. */
  destroy(why: string): void;
  /** After an answer of 101: raw octets both ways, through `receive`, `write` and `end`. */
  readonly upgradable: boolean;
  readonly answered: boolean;
  /** Whether the client is still there. */
  readonly open: boolean;
  /** Called once when the exchange is over, with the status sent (0: none). */
  onClosed(listener: (status: number, octetsOut: number) => void): void;
}
