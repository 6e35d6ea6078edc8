/** The two doors of the hub for mail servers inside: who may come by them is said by [inbound.NAME]. */

import { isAbsolute } from "node:path";
import { Misconfigured } from "#base/errors";
import type { Endpoint } from "#base/net";
import type { InboundConnector } from "#model/connector";

/** An address, or a socket whose folder's permissions say who may connect. */
export type LmtpDoor = Endpoint | { readonly path: string };

/** @param text HOST:PORT or an absolute path */
export function lmtpDoorOf(
  text: string,
  endpointOf: (text: string, key: string) => Endpoint,
): LmtpDoor {
  return isAbsolute(text) ? { path: text } : endpointOf(text, "listen.lmtp");
}

/** @throws Misconfigured when a door is open to nobody, or to anybody, or a connector is for none */
export function checkDoors(
  doors: { readonly relay?: Endpoint; readonly lmtp?: LmtpDoor },
  inbound: readonly InboundConnector[],
): void {
  const forDoor = (door: InboundConnector["door"]): readonly InboundConnector[] =>
    inbound.filter((one) => one.door === door);
  for (const { name, certificates, user, mayRelay } of forDoor("relay")) {
    // An address proves nothing: whoever gets into the network could send in our name.
    if (mayRelay && certificates.length === 0 && user === undefined) {
      throw new Misconfigured(
        `inbound.${name}.mayRelay needs certificates or user: an address alone proves nothing`,
      );
    }
  }
  if (doors.relay === undefined) checkDead(forDoor("relay"), 'listen.relay = "HOST:PORT"');
  if (doors.relay !== undefined && forDoor("relay").length === 0) {
    throw new Misconfigured(
      'listen.relay is open to nobody: write [inbound.NAME] with door = "relay"',
    );
  }
  const isTcp = doors.lmtp !== undefined && !("path" in doors.lmtp);
  // A socket asks nobody: its folder's permissions say who may connect.
  if (!isTcp) checkDead(forDoor("lmtp"), 'listen.lmtp = "HOST:PORT"');
  if (isTcp && forDoor("lmtp").length === 0) {
    throw new Misconfigured(
      'listen.lmtp is open to nobody: write [inbound.NAME] with door = "lmtp"',
    );
  }
}

/** @throws Misconfigured when there is one: nobody could come by it */
function checkDead([one]: readonly InboundConnector[], listen: string): void {
  if (one === undefined) return;
  throw new Misconfigured(
    `inbound.${one.name}.door "${one.door}" is not open: write ${listen}, or take [inbound.${one.name}] out`,
  );
}
