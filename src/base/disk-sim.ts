/** A disk in memory that does to unsynced writes what a power cut may do, and fails when told to. */

import type { Disk, DiskFile } from "#base/disk";
import { pick, type Random } from "#base/random";

/** What a disk writes whole or not at all. */
const sectorBytes = 512;

export interface DiskFaults {
  /** The power fails when this operation, counted from 1, is under way. */
  readonly cutAtOperation?: number;
  /** This operation fails; with `failsOn` also all that follow. */
  readonly failAtOperation?: number;
  readonly failsOn?: boolean;
  /** Code of that failure: EIO by default. */
  readonly failCode?: string;
  /** Room for all files together; growing beyond it is ENOSPC. */
  readonly roomBytes?: number;
  /** Chance that a read or write has one bit flipped. */
  readonly flipOnRead?: number;
  readonly flipOnWrite?: number;
  /** Chance that a write never reaches its place: what was there before stays. */
  readonly loseOnWrite?: number;
  /** Chance that a write goes to another place of the file instead. */
  readonly misdirectOnWrite?: number;
  /** `sync()` says yes and does nothing. */
  readonly syncLies?: boolean;
}

export interface SimulatedDisk extends Disk {
  faults: DiskFaults;
  /** Operations begun so far. */
  readonly operations: number;
  /** Resolves when the power has failed. From then on no operation of this disk ever ends. */
  readonly dead: Promise<void>;
  /** Cuts the power, if it is still on; the disk as it is found when the power is back. */
  powerCut(faults?: DiskFaults): SimulatedDisk;
  /** Only the process dies: everything written is there for the next one, synced or not. */
  kill(faults?: DiskFaults): SimulatedDisk;
  /** The octets of a file as a reader sees them now, for looking at and for damaging. */
  octets(path: string): Buffer;
  /** From now on reading any of these octets is EIO, until their sectors are written again. */
  spoil(path: string, offset: number, bytes: number): void;
}

interface Write {
  readonly offset: number;
  readonly data: Buffer;
}
interface Resize {
  readonly resizeTo: number;
}

/** A file's octets as readers see them, as the platter has them, and what lies between. */
class Node {
  current: Buffer = Buffer.alloc(0);
  durable: Buffer = Buffer.alloc(0);
  pending: (Write | Resize)[] = [];
  /** A failed sync has parted what readers see from what will be left of it. */
  isParted = false;
  /** Numbers of the sectors that cannot be read. */
  readonly spoilt = new Set<number>();

  change(change: Write | Resize): void {
    if ("data" in change) {
      for (const { offset, data } of sectors(change)) {
        if (data.length === sectorBytes) this.spoilt.delete(offset / sectorBytes);
      }
    }
    this.current = changed(this.current, change);
    this.pending.push(change);
  }

  sync(): void {
    for (const change of this.pending) this.durable = changed(this.durable, change);
    this.pending = [];
  }

  /** An unsynced change survives whole, in part by sectors, or not at all, in any order. */
  cut(random: Random): void {
    if (this.pending.length === 0 && !this.isParted) return;
    const chance = [0, 0.5, 0.9, 1][pick(random, 4)] ?? 0;
    for (const change of this.pending) {
      if ("resizeTo" in change) {
        if (random.fraction() < chance) this.durable = changed(this.durable, change);
      } else {
        for (const piece of sectors(change)) {
          if (random.fraction() < chance) this.durable = changed(this.durable, piece);
        }
      }
    }
    this.pending = [];
    this.isParted = false;
    this.current = Buffer.from(this.durable);
  }
}

function changed(octets: Buffer, change: Write | Resize): Buffer {
  if ("resizeTo" in change) {
    const resized = Buffer.alloc(change.resizeTo);
    octets.copy(resized);
    return resized;
  }
  const end = change.offset + change.data.length;
  let target = octets;
  if (end > octets.length) {
    target = Buffer.alloc(end);
    octets.copy(target);
  }
  change.data.copy(target, change.offset);
  return target;
}

function* sectorsOf(offset: number, bytes: number): Generator<number> {
  const end = Math.ceil((offset + bytes) / sectorBytes);
  for (let sector = Math.floor(offset / sectorBytes); sector < end; sector += 1) yield sector;
}

function* sectors({ offset, data }: Write): Generator<Write> {
  for (let at = 0; at < data.length; ) {
    const length = Math.min(sectorBytes - ((offset + at) % sectorBytes), data.length - at);
    yield { offset: offset + at, data: data.subarray(at, at + length) };
    at += length;
  }
}

type NameChange = {
  readonly directories: readonly string[];
  apply(names: Map<string, Node>): void;
};

export function simulatedDisk(random: Random, faults: DiskFaults = {}): SimulatedDisk {
  return new MemoryDisk(random, faults, new Map());
}

class MemoryDisk implements SimulatedDisk {
  faults: DiskFaults;
  operations = 0;
  readonly dead: Promise<void>;
  readonly #random: Random;
  #names: Map<string, Node>;
  /** As they are after a cut, but for what is pending. */
  #durableNames: Map<string, Node>;
  #pendingNames: NameChange[] = [];
  #isDead = false;
  #die!: () => void;

  constructor(random: Random, faults: DiskFaults, names: Map<string, Node>) {
    this.#random = random;
    this.faults = faults;
    this.#names = new Map(names);
    this.#durableNames = new Map(names);
    this.dead = new Promise((resolve) => {
      this.#die = resolve;
    });
  }

  powerCut(faults: DiskFaults = {}): SimulatedDisk {
    this.#stop();
    const names = new Map(this.#durableNames);
    for (const change of this.#pendingNames) if (this.#random.fraction() < 0.5) change.apply(names);
    for (const node of new Set(names.values())) node.cut(this.#random);
    return new MemoryDisk(this.#random, faults, names);
  }

  kill(faults: DiskFaults = {}): SimulatedDisk {
    this.#stop();
    const next = new MemoryDisk(this.#random, faults, this.#names);
    next.#durableNames = this.#durableNames;
    next.#pendingNames = this.#pendingNames;
    return next;
  }

  octets(path: string): Buffer {
    return this.#node(path).current;
  }

  spoil(path: string, offset: number, bytes: number): void {
    const { spoilt } = this.#node(path);
    for (const sector of sectorsOf(offset, bytes)) spoilt.add(sector);
  }

  async open(path: string, mode: "read" | "write" | "create"): Promise<DiskFile> {
    await this.#operation();
    if (mode === "create") {
      if (this.#names.has(path)) throw systemError("EEXIST", path);
      const node = new Node();
      this.#rename([path], (names) => names.set(path, node));
    }
    return this.#file(this.#node(path));
  }

  async list(directory: string): Promise<readonly string[]> {
    await this.#operation();
    const start = `${directory}/`;
    const names = [...this.#names.keys()].filter((path) => path.startsWith(start));
    return names.map((path) => path.slice(start.length)).sort();
  }

  async sizeBytes(path: string): Promise<number | undefined> {
    await this.#operation();
    return this.#names.get(path)?.current.length;
  }

  async makeDirectory(): Promise<void> {
    await this.#operation();
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#operation();
    const node = this.#node(from);
    this.#rename([from, to], (names) => {
      names.delete(from);
      names.set(to, node);
    });
  }

  async remove(path: string): Promise<void> {
    await this.#operation();
    if (this.#names.has(path)) this.#rename([path], (names) => void names.delete(path));
  }

  async syncDirectory(path: string): Promise<void> {
    await this.#operation();
    if (this.faults.syncLies) return;
    const rest: NameChange[] = [];
    for (const change of this.#pendingNames) {
      if (change.directories.includes(path)) change.apply(this.#durableNames);
      else rest.push(change);
    }
    this.#pendingNames = rest;
  }

  #rename(paths: readonly string[], apply: NameChange["apply"]): void {
    apply(this.#names);
    this.#pendingNames.push({ directories: paths.map(directoryOf), apply });
  }

  #node(path: string): Node {
    const node = this.#names.get(path);
    if (node === undefined) throw systemError("ENOENT", path);
    return node;
  }

  #file(node: Node): DiskFile {
    return {
      read: async (into, offset) => {
        await this.#operation();
        const end = Math.min(offset + into.length, node.current.length);
        if (end <= offset) return 0;
        for (const sector of sectorsOf(offset, end - offset)) {
          if (node.spoilt.has(sector)) throw systemError("EIO", `sector ${sector}`);
        }
        into.set(node.current.subarray(offset, end));
        this.#flip(into.subarray(0, end - offset), this.faults.flipOnRead);
        return end - offset;
      },
      write: async (parts, offset) => {
        const data = Buffer.concat(parts);
        this.#flip(data, this.faults.flipOnWrite);
        await this.#operation(() => node.change({ offset, data }));
        this.#assertRoom(offset + data.length - node.current.length);
        for (const change of this.#astray(node, { offset, data })) node.change(change);
      },
      sync: async () => {
        // After a failed sync the cache counts as clean: what it held never reaches the platter.
        await this.#operation(() => {
          const seen = node.current;
          node.cut(this.#random);
          node.current = seen;
          node.isParted = true;
        });
        if (!this.faults.syncLies) node.sync();
      },
      resize: async (sizeBytes) => {
        await this.#operation();
        this.#assertRoom(sizeBytes - node.current.length);
        node.change({ resizeTo: sizeBytes });
      },
      sizeBytes: async () => {
        await this.#operation();
        return node.current.length;
      },
      close: async () => undefined,
    };
  }

  /** Counts, waits a little, and fails or dies when it is time. */
  async #operation(half?: () => void): Promise<void> {
    this.operations += 1;
    const number = this.operations;
    if (this.#isDead) await never();
    for (let turns = pick(this.#random, 3); turns >= 0; turns -= 1) await Promise.resolve();
    const { cutAtOperation, failAtOperation = 0, failsOn = false } = this.faults;
    if (number === cutAtOperation) {
      half?.();
      this.#stop();
    }
    if (this.#isDead) await never();
    if (
      number === failAtOperation ||
      (failsOn && failAtOperation > 0 && number > failAtOperation)
    ) {
      half?.();
      throw systemError(this.faults.failCode ?? "EIO", `operation ${number}`);
    }
  }

  #assertRoom(growth: number): void {
    const { roomBytes } = this.faults;
    if (roomBytes === undefined || growth <= 0) return;
    let used = 0;
    for (const node of this.#names.values()) used += node.current.length;
    if (used + growth > roomBytes) throw systemError("ENOSPC", "write");
  }

  /** What a write does when the device loses or misdirects it. */
  #astray(node: Node, write: Write): Write[] {
    const { loseOnWrite = 0, misdirectOnWrite = 0 } = this.faults;
    const isLost = loseOnWrite > 0 && this.#random.fraction() < loseOnWrite;
    const isElsewhere = misdirectOnWrite > 0 && this.#random.fraction() < misdirectOnWrite;
    if (!isLost && !isElsewhere) return [write];
    const { offset, data } = write;
    const before = Buffer.alloc(data.length);
    node.current.copy(before, 0, offset, offset + data.length);
    const kept = { offset, data: before };
    const room = Math.max(0, node.current.length - data.length) / sectorBytes;
    if (!isElsewhere) return [kept];
    return [kept, { offset: pick(this.#random, Math.floor(room) + 1) * sectorBytes, data }];
  }

  #flip(octets: Uint8Array, chance = 0): void {
    if (chance === 0 || octets.length === 0 || this.#random.fraction() >= chance) return;
    const at = pick(this.#random, octets.length);
    octets[at] = (octets[at] ?? 0) ^ (1 << pick(this.#random, 8));
  }

  #stop(): void {
    this.#isDead = true;
    this.#die();
  }
}

/** A promise of its own for each: one for all would keep everybody who waits for it. */
function never(): Promise<never> {
  return new Promise(() => undefined);
}

function directoryOf(path: string): string {
  return path.slice(0, Math.max(path.lastIndexOf("/"), 1));
}

function systemError(code: string, what: string): Error {
  return Object.assign(new Error(`${code}: ${what}`), { code });
}
