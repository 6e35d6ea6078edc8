#!/usr/bin/env python3
"""Reads a store as docs/store-format.md describes it, and shares no code with Postern.

    read_store.py DIRECTORY --master KEY-FILE
    read_store.py DIRECTORY --wrapping-key HEX --aad "store {storeId}"

Prints one JSON object: what counts in the store, the root of its history (RFC 6962 section 2.1), every
message that can still be read, and every damage. Nothing is written. Exit codes: 0 sound, 1 damaged.
Needs python3-cryptography.
"""

import argparse
import base64
import hashlib
import json
import mmap
import re
import sys
import zlib
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

PAGE, HEADER = 8192, 64
PAYLOAD = PAGE - HEADER
PARITY_BLOCK = HEADER + PAGE
MAGIC, VERSION = 0x50535432, 2
FIRST, LAST, PARITY = 1, 2, 4
HOLLOW = 1
GROUP = 16
ZERO_PAGE = bytes(PAGE)
KEYRING_AAD = "store {storeId}\n{master}"


class Damage(Exception):
    """Octets that are not what was written."""


def number(octets, at, length):
    return int.from_bytes(octets[at : at + length], "little")


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def unbase64(text):
    return base64.b64decode(text, validate=True)


def unseal(key, sealed, associated=None):
    """Opens nonce, ciphertext, tag."""
    return AESGCM(key).decrypt(sealed[:12], sealed[12:], associated)


# Pages


class Page(NamedTuple):
    flags: int
    payload: bytes
    first_record: int
    generation: int
    revision: int
    mark: int


def read_block(octets, store_id, segment, place):
    """A page or parity block, when checksum, hash and place are right."""
    if number(octets, 0, 4) != MAGIC:
        raise Damage("no page")
    if number(octets, 4, 4) != zlib.crc32(octets[:4] + bytes(4) + octets[8:]):
        raise Damage("checksum")
    if octets[8:24] != sha256(octets[24:])[:16]:
        raise Damage("hash")
    if number(octets, 24, 2) != VERSION:
        raise Damage(f"version {number(octets, 24, 2)}")
    if octets[32:40] != store_id:
        raise Damage("page of another store")
    if number(octets, 40, 4) != segment:
        raise Damage(f"page of segment {number(octets, 40, 4)}")
    if number(octets, 28, 4) != place:
        raise Damage(f"page {number(octets, 28, 4)} of the segment")
    if any(octets[62:64]):
        raise Damage("reserved octets")
    used = number(octets, 44, 2)
    return Page(
        flags=number(octets, 26, 2),
        payload=octets[HEADER : HEADER + used],
        first_record=number(octets, 46, 2),
        generation=number(octets, 48, 6),
        revision=number(octets, 54, 2),
        mark=number(octets, 56, 6),
    )


def read_page(octets, store_id, segment, place):
    page = read_block(octets, store_id, segment, place)
    if page.flags & ~(FIRST | LAST):
        raise Damage("flags")
    if len(page.payload) != number(octets, 44, 2) or any(octets[HEADER + len(page.payload) :]):
        raise Damage("padding")
    return page


class Segment:
    """One segment file; pages are read on demand, and mended in memory when they are damaged."""

    def __init__(self, path, store_id, damages):
        self.path, self.store_id, self.damages = path, store_id, damages
        self.number = int(path.name[-8:])
        self.octets = read_mapped(path)
        self.tail = read_mapped(path.with_name(f"tail-{self.number:08}"))
        self.parity = read_mapped(path.with_name(f"parity-{self.number:08}"))
        self.pages = len(self.octets) // PAGE
        self.mended = {}

    def raw(self, place):
        return self.mended.get(place) or self.octets[place * PAGE : (place + 1) * PAGE]

    def read(self, octets, place):
        return read_page(octets, self.store_id, self.number, place)

    def page(self, place, generation, mend):
        """The page of a batch, mended if need be and allowed."""
        try:
            page = self.read(self.raw(place), place)
            if page.generation == generation:
                return page
            what = f"generation {page.generation}"
        except Damage as damage:
            what = str(damage)
        for means, candidate in self.candidates(place) if mend else ():
            try:
                page = self.read(candidate, place)
            except Damage:
                continue
            if page.generation == generation:
                self.mended[place] = candidate
                self.damages.append(damage_of(self, place, what, means))
                return page
        raise Damage(what)

    def candidates(self, place):
        """What a page may have been, in the order in which repair tries it."""
        raw = self.raw(place)
        if len(raw) == PAGE:
            yield "bit", flip_back(raw)
        if self.tail:
            yield "tail", self.tail[place * PAGE : (place + 1) * PAGE]
        if self.parity:
            rebuilt = rebuild(self, place)
            if rebuilt is not None:
                yield "parity", rebuilt

    def payload(self, place, offset, length):
        """Octets of a batch that begins at a page: every page of it but the last is full."""
        pieces = []
        while length > 0:
            page, begin = divmod(offset, PAYLOAD)
            pieces.append(self.raw(place + page)[HEADER + begin : HEADER + min(PAYLOAD, begin + length)])
            offset += len(pieces[-1])
            length -= len(pieces[-1])
        return b"".join(pieces)

    def batch(self, place, generation, mend=False):
        """The pages of the batch that begins at a page; Damage when it is not whole."""
        pages = []
        while True:
            page = self.page(place + len(pages), generation, mend)
            if bool(page.flags & FIRST) != (not pages):
                raise Damage("place in its batch")
            if page.mark >= generation or (pages and page.revision != pages[0].revision):
                raise Damage("durable mark or revision")
            pages.append(page)
            if page.flags & LAST:
                return pages
            if len(page.payload) != PAYLOAD:
                raise Damage("a page that is not full")

    def latest(self, place):
        """The highest generation of a sound page from a place on."""
        latest = 0
        for at in range(place, self.pages):
            try:
                latest = max(latest, self.read(self.raw(at), at).generation)
            except Damage:
                pass
        return latest


def damage_of(segment, place, what, mended=None):
    found = {"file": segment.path.name, "page": place, "what": what}
    return found if mended is None else found | {"mendedBy": mended}


def read_mapped(path):
    if not path.exists() or path.stat().st_size == 0:
        return b""
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def find_batch(segments, current, place, generation, mend):
    """Where a batch stands whole: where it should, or at the beginning of a later segment."""
    for index in range(current, len(segments)):
        start = place if index == current else 0
        try:
            return index, start, segments[index].batch(start, generation, mend)
        except Damage:
            pass
    return None


def find_batches(segments, damages):
    """What counts: (segment, first page, pages) of every batch, in order."""
    batches = []
    current, place, generation = 0, 0, 1
    while True:
        # Mended only when it is nowhere: what is void may stand whole in a tail copy.
        found = find_batch(segments, current, place, generation, mend=False)
        found = found or find_batch(segments, current, place, generation, mend=True)
        if found is None:
            break
        current, place = found[0], found[1] + len(found[2])
        batches.append((segments[current], found[1], found[2]))
        generation += 1
    for index in range(current, len(segments)):
        later = segments[index].latest(place if index == current else 0)
        if later > generation:
            damages.append(damage_at_end(segments[current], place, generation, later))
            break
    return batches


def damage_at_end(segment, place, generation, later):
    try:
        segment.batch(place, generation)
        what = "unknown"
    except Damage as damage:
        what = str(damage)
    return damage_of(segment, place, f"batch {generation} is not whole ({what}), but there is {later}")


# Records


class Record(NamedTuple):
    lsn: int
    kind: int
    hollow: bool
    commitment: bytes
    sealed: bytes
    blob_bytes: int
    segment: Segment
    page: int
    blob_offset: int

    def blob(self):
        return self.segment.payload(self.page, self.blob_offset, self.blob_bytes)


def split_records(segment, place, pages):
    """The records of one batch."""
    joined = b"".join(page.payload for page in pages)
    starts, at = [], 0
    while at < len(joined):
        if len(joined) - at < 24:
            raise Damage("end of a record is missing")
        region, blob = number(joined, at, 4), number(joined, at + 4, 4)
        body = at + 24
        end = body + region + blob
        flags = number(joined, at + 10, 2)
        if region < 60 or end > len(joined) or flags & ~HOLLOW or any(joined[at + 12 : at + 16]):
            raise Damage("header of a record")
        starts.append(at)
        yield Record(
            lsn=number(joined, at + 16, 8),
            kind=number(joined, at + 8, 2),
            hollow=bool(flags & HOLLOW),
            commitment=joined[body : body + 32],
            sealed=joined[body + 32 : body + region],
            blob_bytes=blob,
            segment=segment,
            page=place,
            blob_offset=body + region,
        )
        at = end
    check_first_records(pages, starts)


def check_first_records(pages, starts):
    begin = 0
    for page in pages:
        end = begin + len(page.payload)
        first = next((at - begin for at in starts if begin <= at < end), 0xFFFF)
        if page.first_record != first:
            raise Damage("place of the first record in a page")
        begin = end


def leaf_of(record):
    head = b"\0" + record.lsn.to_bytes(8, "little") + record.kind.to_bytes(2, "little")
    return sha256(head, record.commitment, sha256(record.sealed))


def tree_root(leaves):
    """RFC 6962 section 2.1 over hashes of leaves."""
    if not leaves:
        return sha256()
    level = leaves
    while len(level) > 1:
        pairs = [sha256(b"\1", level[at], level[at + 1]) for at in range(0, len(level) - 1, 2)]
        level = pairs + level[len(level) - len(level) % 2 :]
    return level[0]


# Keys


def read_keys(path):
    lines = path.read_bytes().split(b"\n")
    if lines[0] != b"postern-store-keys-1" or len(lines) < 3:
        raise Damage("not a file of keys")
    if hashlib.sha256(lines[1]).hexdigest().encode() != lines[2]:
        raise Damage("hash of the keys")
    return json.loads(lines[1])


def newest_keys(directory, damages):
    found = []
    for name in ("keys", "keys.copy"):
        try:
            found.append(read_keys(directory / name))
        except (OSError, Damage) as damage:
            damages.append({"file": name, "what": str(damage)})
    if not found:
        sys.exit("no file of keys can be read")
    return max(found, key=lambda keys: keys["serial"])


def derive(key, salt, info):
    return HKDF(hashes.SHA256(), 32, salt, info.encode()).derive(key)


def wrapping_key(file):
    """From the keyring's key file: 32 octets and a line feed."""
    return derive(file[:32], None, "postern master wrap")


class Keys:
    """Every key of a store that still exists."""

    def __init__(self, file, master, associated):
        self.store_id = bytes.fromhex(file["storeId"])
        store_key = unseal(master, unbase64(file["wrapped"]), associated)
        epochs = json.loads(unseal(store_key, unbase64(file["sealed"]), self.store_id))
        self.records = derive(store_key, self.store_id, "records")
        self.epochs = {name: unbase64(key) for name, key in epochs["keys"].items()}
        self.holders = {}
        self.contents = {}

    def learn_holder(self, epoch, holder, sealed):
        key = self.epochs.get(str(epoch))
        if key is not None:
            self.holders[str(epoch), holder] = unseal(key, unbase64(sealed), holder.encode())

    def learn_content(self, content, epoch, holder, sealed):
        epoch_key, holder_key = self.epochs.get(str(epoch)), self.holders.get((str(epoch), holder))
        if epoch_key is None or holder_key is None:
            return
        opened = unseal(sha256(epoch_key, holder_key), unbase64(sealed))
        if sha256(opened).hex() != content:
            raise Damage("id of a content")
        self.contents[content] = (opened[:32], opened[32:])


def open_record(record, keys):
    associated = (
        keys.store_id
        + record.lsn.to_bytes(8, "little")
        + record.kind.to_bytes(2, "little")
        + record.commitment
    )
    return json.loads(unseal(keys.records, record.sealed, associated))


# Repair and parity


def crc_steps():
    """What one octet does to a CRC-32 register."""
    steps = []
    for octet in range(256):
        for _ in range(8):
            octet = octet >> 1 ^ (0xEDB88320 if octet & 1 else 0)
        steps.append(octet)
    return steps


def bits_of_syndromes(length):
    """By the difference that a flipped bit makes to the CRC: the number of that bit."""
    steps = crc_steps()
    bits = {1 << bit: 32 + bit for bit in range(32)}
    registers = [steps[1 << bit] for bit in range(8)]
    for at in range(length - 1, -1, -1):
        if not 4 <= at < 8:
            bits.update((register, 8 * at + bit) for bit, register in enumerate(registers))
        registers = [register >> 8 ^ steps[register & 255] for register in registers]
    return bits


SYNDROMES = {}


def flip_back(octets):
    """The page or block with the one bit flipped that its CRC names, if it names one."""
    length = len(octets)
    if length not in SYNDROMES:
        SYNDROMES[length] = bits_of_syndromes(length)
    difference = number(octets, 4, 4) ^ zlib.crc32(octets[:4] + bytes(4) + octets[8:])
    bit = SYNDROMES[length].get(difference)
    flipped = bytearray(octets)
    if bit is not None:
        flipped[bit // 8] ^= 1 << bit % 8
    return bytes(flipped)


def times(one, other):
    """In GF(2^8) with the polynomial 11d."""
    product = 0
    while other:
        product ^= one if other & 1 else 0
        one = one << 1 ^ (0x11D if one & 0x80 else 0)
        other >>= 1
    return product


TABLES = [bytes(times(one, other) for other in range(256)) for one in range(256)]
DOUBLE = TABLES[2]


def exclusive_or(one, other):
    return (int.from_bytes(one, "little") ^ int.from_bytes(other, "little")).to_bytes(PAGE, "little")


def parity_of(members):
    p = q = ZERO_PAGE
    for member in members:
        p, q = exclusive_or(p, member), exclusive_or(q.translate(DOUBLE), member)
    return p, q


def parity_blocks(segment):
    """(n, headers of the sound blocks by their numbers, octets of those blocks)."""
    octets, heads, blocks = segment.parity, {}, {}
    for at in range(len(octets) // PARITY_BLOCK):
        block = octets[at * PARITY_BLOCK : (at + 1) * PARITY_BLOCK]
        try:
            heads[at] = read_block(block, segment.store_id, segment.number, at)
        except Damage:
            continue
        blocks[at] = block[HEADER:]
    return (next(iter(heads.values())).mark if heads else 0), heads, blocks


def rebuild(segment, place):
    """A page from the others of its group; None when too much of it is lost."""
    used, _, blocks = parity_blocks(segment)
    groups = -(-used // GROUP)
    if place >= used:
        return None
    group = place % groups
    places = list(range(group, used, groups))
    members, lost = [], []
    for at in places:
        member = sound_member(segment, at) if at != place else None
        members.append(member or ZERO_PAGE)
        lost += [at] if member is None else []
    p, q = parity_of(members)
    rest_p = exclusive_or(blocks[group], p) if group in blocks else None
    rest_q = exclusive_or(blocks[groups + group], q) if groups + group in blocks else None
    weight = {at: power_of_two(len(places) - 1 - index) for index, at in enumerate(places)}
    if len(lost) == 1 and rest_p is not None:
        return rest_p
    if len(lost) == 1 and rest_q is not None:
        return rest_q.translate(TABLES[inverse(weight[place])])
    if len(lost) == 2 and rest_p is not None and rest_q is not None:
        other = next(at for at in lost if at != place)
        mixed = exclusive_or(rest_q, rest_p.translate(TABLES[weight[other]]))
        return mixed.translate(TABLES[inverse(weight[place] ^ weight[other])])
    return None


def sound_member(segment, place):
    for octets in (segment.raw(place), flip_back(segment.raw(place))):
        try:
            segment.read(octets, place)
            return octets
        except Damage:
            pass
    return None


def power_of_two(exponent):
    return 1 if exponent == 0 else times(2, power_of_two(exponent - 1))


def inverse(octet):
    return TABLES[octet].index(1)


def check_parity(segment, used, last_page):
    """
    Compares P and Q of every group with the pages.

    used: how many pages of the segment count; last_page: the last of them
    """
    octets = segment.parity
    groups = -(-used // GROUP)
    in_file, heads, blocks = parity_blocks(segment)
    if in_file != used:
        raise Damage(f"made of {in_file} pages of {used}")
    if len(octets) != 2 * groups * PARITY_BLOCK or len(blocks) != 2 * groups:
        raise Damage("number of blocks")
    for at, head in heads.items():
        place = (head.flags, head.mark, head.generation, head.revision)
        if place != (PARITY, used, last_page.generation, last_page.revision):
            raise Damage(f"header of block {at}")
    for group in range(groups):
        p, q = parity_of([segment.raw(place) for place in range(group, used, groups)])
        if blocks[group] != p:
            raise Damage(f"P of group {group}")
        if blocks[groups + group] != q:
            raise Damage(f"Q of group {group}")


# Messages


class Ledger:
    """What the records of a store say, as far as contents and messages go."""

    def __init__(self, keys):
        self.keys = keys
        self.leaves, self.records = [], {}
        self.contents, self.messages = {}, {}
        self.grants = []
        self.kinds, self.hollow = Counter(), 0

    def enter(self, record):
        if record.lsn != len(self.leaves) + 1:
            raise Damage(f"LSN {record.lsn}")
        self.leaves.append(leaf_of(record))
        value = open_record(record, self.keys)
        if record.hollow and record.blob_bytes:
            raise Damage("a hollow record with a blob")
        self.hollow += record.hollow
        kind = value["kind"]
        self.kinds[kind] += 1
        if kind == "holder-key":
            self.keys.learn_holder(value["epoch"], value["holder"], value["sealed"])
        elif kind == "content":
            self.contents[value["id"]] = (record, value)
        elif kind == "content-part":
            self.records[record.lsn] = record
        elif kind in ("accepted", "appended"):
            self.messages[value["id"]] = (record, value)
        if kind in ("content", "content-keys", "kept"):
            for holder, sealed in value["keys"]:
                self.grants.append((value["id"], value["epoch"], holder, sealed))

    def readable(self, damages):
        """Every message whose content's key exists, with the hash of its octets."""
        for grant in self.grants:
            try:
                self.keys.learn_content(*grant)
            except (Damage, InvalidTag) as damage:
                damages.append({"what": f"key of content {grant[0]}: {damage!r}"})
        found = []
        for name, (record, _) in self.messages.items():
            try:
                octets = self.message(name)
            except (Damage, InvalidTag, KeyError) as damage:
                damages.append(damage_of(record.segment, record.page, f"message {name}: {damage!r}"))
                continue
            if octets is not None:
                found.append({"id": name, "sha256": sha256(octets).hex()})
        return found

    def content(self, name):
        """The octets of a content, or None when its key was destroyed."""
        opened = self.keys.contents.get(name)
        if opened is None:
            return None
        record, value = self.contents[name]
        key, digest = opened
        parts = value.get("parts")
        sealed = [record] if parts is None else [self.records[lsn] for lsn in parts["records"]]
        octets = []
        for at, part in enumerate(sealed):
            if part.hollow:
                raise Damage(f"content {name} lives and is hollow")
            nonce = at.to_bytes(4, "little") + bytes(8)
            octets.append(AESGCM(key).decrypt(nonce, part.blob(), None))
        if parts is not None and any(len(part) != parts["bytes"] for part in octets[:-1]):
            raise Damage(f"length of the parts of {name}")
        whole = b"".join(octets)
        if sha256(whole) != digest or len(whole) != value["sizeBytes"]:
            raise Damage(f"hash of content {name}")
        return whole

    def message(self, name):
        """Head and content, or None when the content's key was destroyed."""
        record, value = self.messages[name]
        content = self.content(value["content"])
        if content is None or record.blob_bytes == 0:
            return content
        return unseal(self.keys.contents[value["content"]][0], record.blob()) + content


# The whole


def read_store(directory, wrapping, aad):
    damages = []
    file = newest_keys(directory, damages)
    keys = Keys(file, wrapping, aad.format(**file).encode())
    names = sorted(path for path in directory.iterdir() if re.fullmatch("segment-[0-9]{8}", path.name))
    segments = [Segment(path, keys.store_id, damages) for path in names]
    for at, segment in enumerate(segments, 1):
        if segment.number != at:
            damages.append({"file": f"segment-{at:08}", "what": "missing"})
            break
    batches = find_batches(segments, damages)
    ledger = Ledger(keys)
    used = {}
    for segment, place, pages in batches:
        used[segment] = (place + len(pages), pages[-1])
        try:
            for record in split_records(segment, place, pages):
                ledger.enter(record)
        except (Damage, InvalidTag) as damage:
            damages.append(damage_of(segment, place, f"record: {damage!r}"))
            break
    parities = 0
    for segment in segments:
        if segment.parity:
            parities += 1
            try:
                check_parity(segment, *used.get(segment, (0, None)))
            except Damage as damage:
                damages.append({"file": f"parity-{segment.number:08}", "what": str(damage)})
    messages = ledger.readable(damages)
    return {
        "storeId": keys.store_id.hex(),
        "segments": len(used),
        "pages": sum(pages for pages, _ in used.values()),
        "parities": parities,
        "records": len(ledger.leaves),
        "root": tree_root(ledger.leaves).hex(),
        "contents": len(ledger.contents),
        "erased": sum(name not in keys.contents for name in ledger.contents),
        "hollow": ledger.hollow,
        "kinds": ledger.kinds,
        "messages": messages,
        "damages": damages,
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path)
    master = parser.add_mutually_exclusive_group(required=True)
    master.add_argument("--master", type=Path, help="key file of the keyring")
    master.add_argument("--wrapping-key", type=bytes.fromhex, help="the key that wraps, in hexadecimal")
    parser.add_argument("--aad", default=KEYRING_AAD, help="associated data of the wrapped store key")
    options = parser.parse_args()
    wrapping = options.wrapping_key or wrapping_key(options.master.read_bytes())
    report = read_store(options.directory, wrapping, options.aad)
    json.dump(report, sys.stdout, indent=1)
    print()
    sys.exit(1 if report["damages"] else 0)


if __name__ == "__main__":
    main()
