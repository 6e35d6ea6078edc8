/** Who may connect: caps for all, for one address, for one IPv6 network. */

import { clientNetwork } from "#base/ip";
import type { SmtpLimits } from "./types.ts";

/** Counts open connections; enter() and leave() come in pairs. */
export class Admission {
  readonly #limits: SmtpLimits;
  readonly #open = new Map<string, number>();
  #total = 0;

  constructor(limits: SmtpLimits) {
    this.#limits = limits;
  }

  get total(): number {
    return this.#total;
  }

  /** False leaves nothing counted. */
  enter(address: string): boolean {
    const { connections, connectionsPerAddress, connectionsPerNetwork } = this.#limits;
    const network = networkOf(address);
    if (this.#total >= connections) return false;
    if ((this.#open.get(address) ?? 0) >= connectionsPerAddress) return false;
    if (network !== null && (this.#open.get(network) ?? 0) >= connectionsPerNetwork) return false;
    this.#total += 1;
    this.#count(address, 1);
    if (network !== null) this.#count(network, 1);
    return true;
  }

  leave(address: string): void {
    this.#total -= 1;
    this.#count(address, -1);
    const network = networkOf(address);
    if (network !== null) this.#count(network, -1);
  }

  #count(key: string, by: number): void {
    const count = (this.#open.get(key) ?? 0) + by;
    if (count <= 0) this.#open.delete(key);
    else this.#open.set(key, count);
  }
}

/** Null for IPv4, where an address is a network of its own. */
function networkOf(address: string): string | null {
  return address.includes(":") ? clientNetwork(address) : null;
}
