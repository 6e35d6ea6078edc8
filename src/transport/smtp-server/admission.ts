/** Who may connect: caps for all, for one address, for one IPv6 network. */

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

/** The first 64 bits of an IPv6 address, as four groups; null for IPv4. */
export function networkOf(address: string): string | null {
  if (!address.includes(":")) return null;
  const [head = "", tail] = address.split("::");
  const groups = head === "" ? [] : head.split(":");
  if (tail !== undefined) {
    const behind = tail === "" ? [] : tail.split(":");
    const width = behind.length + (behind.at(-1)?.includes(".") ? 1 : 0);
    while (groups.length + width < 8) groups.push("0");
    groups.push(...behind);
  }
  const four = groups.slice(0, 4).map((group) => Number.parseInt(group, 16).toString(16));
  return `${four.join(":")}::/64`;
}

/** IPv4-mapped addresses are written as IPv4; a zone is dropped. */
export function plainAddress(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address);
  return mapped?.[1] ?? address.replace(/%.*$/, "");
}
