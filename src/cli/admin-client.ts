/** Talks to the running hub through its admin socket. */

import { readFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { errorCode } from "#base/disk";
import { ExitError, exitCodes } from "./exit.ts";

export interface AdminClient {
  get<Value>(path: string): Promise<Value>;
  send<Value>(method: "POST" | "PUT" | "DELETE", path: string, body?: unknown): Promise<Value>;
}

const timeoutMs = 60_000;

export function adminClient(dataFolder: string): AdminClient {
  const call = async <Value>(method: string, path: string, body?: unknown): Promise<Value> => {
    const { status, text } = await roundTrip(dataFolder, method, path, body);
    const answer = parsed(text);
    if (status === 400) throw new ExitError(exitCodes.usage, answer.error ?? "bad request");
    if (status === 403) throw new ExitError(exitCodes.notPermitted, answer.error ?? "denied");
    if (status === 404) throw new ExitError(exitCodes.cannotOpen, answer.error ?? "no such thing");
    if (status === 503)
      throw new ExitError(exitCodes.tryAgain, answer.error ?? "not available now");
    if (status >= 400) throw new ExitError(exitCodes.failed, answer.error ?? `status ${status}`);
    return answer as Value;
  };
  return { get: (path) => call("GET", path), send: call };
}

/** A hub that another version serves may answer with something else than JSON. */
function parsed(text: string): { error?: string } {
  try {
    return JSON.parse(text) as { error?: string };
  } catch {
    return {};
  }
}

function roundTrip(
  dataFolder: string,
  method: string,
  path: string,
  body: unknown,
): Promise<{ status: number; text: string }> {
  const secret = readSecret(join(dataFolder, "hub/admin.secret"));
  return new Promise((resolve, reject) => {
    const down = (error?: Error): void =>
      reject(
        new ExitError(
          exitCodes.serviceDown,
          `nothing runs on ${dataFolder}: start it with "postern up"${error ? ` (${errorCode(error) ?? error.message})` : ""}`,
        ),
      );
    const headers = { authorization: `Bearer ${secret}`, "content-type": "application/json" };
    const socketPath = join(dataFolder, "hub/admin.sock");
    const outgoing = request(
      { socketPath, method, path, headers, timeout: timeoutMs },
      (incoming) => {
        const chunks: Buffer[] = [];
        incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
        incoming.on("error", down);
        incoming.on("end", () =>
          resolve({
            status: incoming.statusCode ?? 500,
            text: Buffer.concat(chunks).toString("utf8"),
          }),
        );
      },
    );
    outgoing.on("error", down);
    outgoing.on("timeout", () => outgoing.destroy(new Error("no answer")));
    outgoing.end(body === undefined ? undefined : JSON.stringify(body));
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
      `${path}: there is no installation here (--data FOLDER names another)`,
    );
  }
}
