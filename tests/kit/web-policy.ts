/** Tells a web edge what is published, signed as the inside does. */

import { Buffer } from "node:buffer";
import { generateKeyPairSync, sign } from "node:crypto";
import type { Link } from "#contracts/link";
import type { WebPolicy } from "#model/publishing";

export interface WebPolicySigner {
  /** For the settings of the edge. */
  readonly policyPublicKey: string;
  /** Resolves with what the edge answers once it goes by the policy. */
  tell(inside: Link, policy: WebPolicy): Promise<unknown>;
}

export function webPolicySigner(): WebPolicySigner {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  return {
    policyPublicKey: publicKey.export({ type: "spki", format: "pem" }),
    tell(inside, policy) {
      const snapshot = JSON.stringify(policy);
      const signature = sign(null, Buffer.from(snapshot), privateKey).toString("base64");
      const data = Buffer.from(JSON.stringify({ snapshot, signature }));
      return inside.open("policy", {}, { data, end: {} }).answered;
    },
  };
}
