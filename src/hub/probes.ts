/** Can people send, receive and read? Asked each minute through the doors that they use. */

import { type ConnectionOptions, connect } from "node:tls";
import type { Clock } from "#base/clock";
import type { Endpoint } from "#base/net";
import type { Edges } from "./edges.ts";
import type { Inside } from "./inside.ts";

export const probeNames = ["send", "receive", "read"] as const;
export type ProbeName = (typeof probeNames)[number];

export interface ProbeResult {
  readonly ok: boolean;
  readonly atMs: number;
  readonly why: string;
}

export interface Probes extends Disposable {
  results(): ReadonlyMap<ProbeName, ProbeResult>;
}

const everyMs = 60_000;
const greetingMs = 10_000;

export function startProbes(inside: Inside, edges: Edges): Probes {
  const { settings, clock, registry } = inside;
  const results = new Map<ProbeName, ProbeResult>();
  const gauge = registry.gauge("probe_success", "1 when the last probe of the door succeeded");
  const measure = registry.histogram("probe_duration_seconds", "Time that a probe took, by door");
  const asks: Readonly<Record<ProbeName, () => Promise<void>>> = {
    send: () => greeted(settings.listen.submission, "220 ", settings.hostname, clock),
    read: () => greeted(settings.listen.imap, "* OK ", settings.hostname, clock),
    receive: () => takesMail(edges),
  };
  const probe = async (name: ProbeName): Promise<void> => {
    const startedTick = clock.tickMs();
    const why = await asks[name]().then(
      () => "",
      (error: Error) => error.message,
    );
    const ok = why === "";
    gauge.set(ok ? 1 : 0, { door: name });
    measure.observe((clock.tickMs() - startedTick) / 1000, { door: name });
    if (results.get(name)?.ok !== ok) inside.events.probed(name, ok, why);
    results.set(name, { ok, atMs: clock.nowMs(), why });
  };
  let timer = { cancel() {} };
  const round = (): void => {
    for (const name of probeNames) void probe(name);
    timer = clock.after(everyMs, round);
  };
  round();
  // A link that comes or goes is news at once.
  const stopListening = edges.smtp.onChange(() => void probe("receive"));
  return {
    results: () => results,
    [Symbol.dispose]() {
      timer.cancel();
      stopListening();
    },
  };
}

/** Nobody inside may dial the edge's public door; its link, and that it counts, is what we see. */
async function takesMail(edges: Edges): Promise<void> {
  if (edges.smtp.forKind("deposit") === undefined) throw new Error("no link to edge-smtp");
}

/** TLS as a client sees it, and the greeting of the protocol. */
function greeted(at: Endpoint, greeting: string, servername: string, clock: Clock): Promise<void> {
  return new Promise((resolve, reject) => {
    // Our own door on our own machine: whether it answers is the question, not who it is.
    const options: ConnectionOptions = { ...at, servername, rejectUnauthorized: false };
    const socket = connect(options);
    const timer = clock.after(greetingMs, () => socket.destroy(new Error("no greeting")));
    let heard = "";
    socket.on("data", (chunk: Buffer) => {
      heard += chunk.toString("latin1");
      if (heard.length < greeting.length) return;
      if (heard.startsWith(greeting)) resolve();
      else reject(new Error(`greeted with ${heard.slice(0, 40).trim()}`));
      socket.destroy();
    });
    socket.on("error", reject);
    socket.on("close", () => {
      timer.cancel();
      reject(new Error("closed without a greeting"));
    });
  });
}
