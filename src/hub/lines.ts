/** An answer that comes line by line, as JSON: for work that takes long and says how far it is. */

import type { Context } from "hono";
import { Denied, Misconfigured, Unavailable } from "#base/errors";
import { DamagedMail } from "#store";

export interface LineWriter {
  /** How far the work is; told now and then only. */
  readonly tell: (done: number, of: number) => void;
  /** Something that is ready. Resolves when there is room for more. */
  readonly part: (value: object) => Promise<void>;
}

/** Progress is told at most so often. */
const progressMs = 200;

/**
 * Lines {done, of} and {part}, then one with {result}, or with {error} and the status it would have,
 * and {damage} when mail cannot be read whole.
 *
 * @param work stops when a line cannot be written any more: then `part` throws
 */
export function inLines(c: Context, work: (lines: LineWriter) => Promise<object>): Response {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const writer = writable.getWriter();
  const write = async (line: object): Promise<void> => {
    await writer.ready;
    void writer.write(Buffer.from(`${JSON.stringify(line)}\n`)).catch(() => undefined);
  };
  let toldMs = 0;
  const tell = (done: number, of: number): void => {
    const nowMs = performance.now();
    if (nowMs - toldMs < progressMs) return;
    toldMs = nowMs;
    void write({ done, of }).catch(() => undefined);
  };
  void work({ tell, part: (value) => write({ part: value }) })
    .then(
      (result) => write({ result }),
      (error: unknown) => write(failureLine(error)),
    )
    .then(() => writer.close())
    .catch(() => undefined); // nobody listens any more
  return c.body(readable, 200, { "content-type": "application/x-ndjson" });
}

function failureLine(error: unknown): object {
  if (error instanceof DamagedMail) {
    return { error: error.message, status: 500, damage: { ...error.place, named: error.named } };
  }
  if (error instanceof Misconfigured) return { error: error.message, status: 422 };
  if (error instanceof Denied) return { error: error.message, status: 403 };
  if (error instanceof Unavailable) return { error: error.message, status: 503 };
  return { error: "internal failure", status: 500 };
}
