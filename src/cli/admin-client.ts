/** Talks to the running hub through its admin socket. */

import { readFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { errorCode } from "#base/disk";
import { ExitError, exitCodes } from "./exit.ts";

export interface AdminClient {
  get<Value>(path: string): Promise<Value>;
  send<Value>(method: "POST" | "PUT" | "DELETE", path: string, body?: unknown): Promise<Value>;
  /** Posts, and the answer is octets. */
  octets(path: string, body: unknown): Promise<Buffer>;
  /**
   * Posts what takes long: `onLine` gets each line of progress.
   *
   * @returns the line with the result
   */
  lines<Value>(path: string, body: unknown, onLine: (line: Line) => void): Promise<Value>;
}

/** One line of an answer that comes bit by bit; the last one has a result, or an error. */
export interface Line {
  readonly done?: number;
  readonly of?: number;
  /** Something that is ready. */
  readonly part?: unknown;
  readonly result?: unknown;
  readonly error?: string;
  readonly status?: number;
  readonly damage?: { readonly named: readonly string[] };
}

/** @param timeoutMs how long the hub may say nothing */
export function adminClient(dataFolder: string, timeoutMs: number = 60_000): AdminClient {
  const ask = async (
    method: string,
    path: string,
    body?: unknown,
    onData?: (chunk: Buffer) => void,
  ): Promise<Buffer> => {
    const sent = body === undefined ? undefined : JSON.stringify(body);
    const what = { method, path, timeoutMs };
    const { status, octets } = await roundTrip(dataFolder, what, sent, onData);
    if (status < 400) return octets;
    throw exitErrorOf(status, parsed(octets));
  };
  const call = async <Value>(method: string, path: string, body?: unknown): Promise<Value> =>
    parsed(await ask(method, path, body)) as Value;
  return {
    get: (path) => call("GET", path),
    send: call,
    octets: (path, body) => ask("POST", path, body),
    async lines<Value>(path: string, body: unknown, onLine: (line: Line) => void): Promise<Value> {
      let last: Line = {};
      /** Of a line whose end has not come: some are as long as a message. */
      let pieces: Buffer[] = [];
      await ask("POST", path, body, (chunk) => {
        let from = 0;
        for (let end = chunk.indexOf(0x0a); end >= 0; end = chunk.indexOf(0x0a, from)) {
          last = parsed(Buffer.concat([...pieces, chunk.subarray(from, end)]));
          pieces = [];
          from = end + 1;
          onLine(last);
        }
        pieces.push(chunk.subarray(from));
      });
      if (last.result !== undefined) return last.result as Value;
      throw exitErrorOf(last.status ?? 500, last);
    },
  };
}

function exitErrorOf(status: number, { error }: Line): ExitError {
  if (status === 400) return new ExitError(exitCodes.usage, error ?? "bad request");
  if (status === 403) return new ExitError(exitCodes.notPermitted, error ?? "denied");
  if (status === 404) return new ExitError(exitCodes.cannotOpen, error ?? "no such thing");
  if (status === 422) return new ExitError(exitCodes.configuration, error ?? "misconfigured");
  if (status === 503) return new ExitError(exitCodes.tryAgain, error ?? "not available now");
  return new ExitError(exitCodes.failed, error ?? `status ${status}`);
}

/** A hub that another version serves may answer with something else than JSON. */
function parsed(octets: Buffer): Line {
  try {
    return JSON.parse(octets.toString("utf8")) as Line;
  } catch {
    return {};
  }
}

/** The two codes of "nobody is there" say nothing more than the sentence. */
function detailOf(error: Error | undefined): string {
  if (error === undefined) return "";
  const code = errorCode(error) ?? error.message;
  return code === "ENOENT" || code === "ECONNREFUSED" ? "" : ` (${code})`;
}

function roundTrip(
  dataFolder: string,
  { timeoutMs, ...what }: { method: string; path: string; timeoutMs: number },
  body: string | undefined,
  onData?: (chunk: Buffer) => void,
): Promise<{ status: number; octets: Buffer }> {
  const secret = readSecret(join(dataFolder, "hub/admin.secret"));
  return new Promise((resolve, reject) => {
    const down = (error?: Error): void =>
      reject(
        new ExitError(
          exitCodes.serviceDown,
          `nothing runs on ${dataFolder}: start it with "postern up", or name another folder with --data${detailOf(error)}`,
        ),
      );
    const headers = { authorization: `Bearer ${secret}`, "content-type": "application/json" };
    const socketPath = join(dataFolder, "hub/admin.sock");
    const outgoing = request({ socketPath, ...what, headers, timeout: timeoutMs }, (incoming) => {
      const chunks: Buffer[] = [];
      const isTaken = onData !== undefined && incoming.statusCode === 200;
      incoming.on("data", (chunk: Buffer) => void (isTaken ? onData(chunk) : chunks.push(chunk)));
      incoming.on("error", down);
      incoming.on("end", () =>
        resolve({ status: incoming.statusCode ?? 500, octets: Buffer.concat(chunks) }),
      );
    });
    outgoing.on("error", down);
    outgoing.on("timeout", () => outgoing.destroy(new Error("no answer")));
    outgoing.end(body);
  });
}

function readSecret(path: string): string {
  try {
    return readFileSync(path, "utf8").trim();
  } catch (error) {
    const code = errorCode(error);
    if (code === "EACCES") throw new ExitError(exitCodes.notPermitted, `${path}: not permitted`);
    throw new ExitError(
      exitCodes.cannotOpen,
      `${path}: there is no installation here, or only its edge (--data FOLDER names another)`,
    );
  }
}
