/** What the inside may ask of the mail edge: take a policy or a certificate, resolve, dial, witness. */

import type { RecordType, Resolver } from "#base/dns";
import type { LinkStream } from "#contracts/link";
import type { Certify } from "#edge/certify";
import { type PolicyTaker, takePolicy } from "#edge/signed-policy";
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
  /** Absent when it serves no TLS. */
  readonly certify?: Pick<Certify, "handle">;
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
        return takePolicy(stream, takerOf(ports));
      case "resolve":
        return resolve(stream, ports.resolver);
      case "dial":
        return ports.dial(stream);
      case "witness":
        return witness(stream, ports);
      case "certify":
        return ports.certify === undefined
          ? stream.abort("no TLS here")
          : ports.certify.handle(stream);
      default:
        return stream.abort("not served here");
    }
  };
}

function takerOf({ policy, events }: ServePorts): PolicyTaker {
  return {
    maxBytes: maxSnapshotBytes,
    take: (octets) => policy.take(octets),
    held: () => policy.current?.version ?? 0,
    onTaken: (outcome, version) => events.policy(outcome, version),
  };
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
