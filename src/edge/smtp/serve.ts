/** What the inside may ask of the mail edge: take a policy, resolve a name, dial out, witness. */

import { Buffer } from "node:buffer";
import type { RecordType, Resolver } from "#base/dns";
import type { LinkStream } from "#contracts/link";
import type { Witness } from "#edge/witness";
import type { EdgeEvents } from "./events.ts";
import { maxSnapshotBytes, type PolicyHolder } from "./policy.ts";

export interface ServePorts {
  readonly policy: PolicyHolder;
  readonly resolver: Resolver;
  readonly events: EdgeEvents;
  readonly dial: (stream: LinkStream) => void;
  /** Absent when its files cannot be used: mail goes on without it. */
  readonly witness?: Witness;
}

const recordTypes: readonly RecordType[] = [
  "A",
  "AAAA",
  "MX",
  "TXT",
  "PTR",
  "CNAME",
  "NS",
  "SRV",
  "TLSA",
];

export function serveInside(ports: ServePorts): (stream: LinkStream) => void {
  return (stream) => {
    switch (stream.kind) {
      case "policy":
        return takePolicy(stream, ports);
      case "resolve":
        return resolve(stream, ports.resolver);
      case "dial":
        return ports.dial(stream);
      case "witness":
        return witness(stream, ports);
      default:
        return stream.abort("not served here");
    }
  };
}

function takePolicy(stream: LinkStream, { policy, events }: ServePorts): void {
  const parts: Buffer[] = [];
  let sizeBytes = 0;
  const held = (): number => policy.current?.version ?? 0;
  stream.receive({
    data(chunk) {
      sizeBytes += chunk.length;
      if (sizeBytes > maxSnapshotBytes) stream.abort("snapshot too large");
      else parts.push(chunk);
    },
    end() {
      policy.take(Buffer.concat(parts)).then(
        (taken) => {
          events.policy(taken.ok ? "taken" : taken.fault, held());
          // The inside sees by the version whether its snapshot is in force.
          stream.answer({ version: held(), ...(!taken.ok && { refused: taken.fault }) });
        },
        () => {
          events.policy("not-saved", held());
          stream.abort("snapshot could not be saved");
        },
      );
    },
    broken() {},
  });
}

function resolve(stream: LinkStream, resolver: Resolver): void {
  const { name, type } = (stream.header ?? {}) as Readonly<Record<string, unknown>>;
  const known = recordTypes.find((one) => one === type);
  if (typeof name !== "string" || known === undefined)
    return stream.abort("name and type expected");
  resolver
    .query(name, known)
    .then((answer) => stream.answer(answer))
    // An answer too large for one header is as good as none.
    .catch(() => stream.abort("the answer cannot be sent"));
}

function witness(stream: LinkStream, { witness, events }: ServePorts): void {
  if (witness === undefined) return stream.abort("this witness cannot use its files");
  witness.cosign(stream.header).then(
    ({ outcome, answer }) => {
      events.witnessed(outcome);
      stream.answer(answer);
    },
    (error: unknown) => {
      events.witnessed("failed", error);
      stream.abort("the head could not be kept");
    },
  );
}
