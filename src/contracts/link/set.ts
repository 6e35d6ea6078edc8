/** All links to one peer, by class: finds the one that carries a kind, and says when that changes. */

import { kindRules, type LinkClass, linkClasses } from "./kinds.ts";
import type { Link, LinkStream, StreamKind } from "./link.ts";

export interface Links {
  /** A link that is up and carries this kind, or nothing; several take turns. */
  forKind(kind: StreamKind): Link | undefined;
  /** Streams that the peer opens, on any link of now or later. */
  onStream(handler: (stream: LinkStream, link: Link) => void): void;
  /** Called when a class gets its first link or loses its last. Returns the way to stop. */
  onChange(listener: (linkClass: LinkClass, up: boolean) => void): () => void;
}

export class LinkSet implements Links {
  readonly #links = new Map<LinkClass, Link[]>(linkClasses.map((name) => [name, []]));
  readonly #listeners = new Set<(linkClass: LinkClass, up: boolean) => void>();
  #handler: (stream: LinkStream, link: Link) => void = (stream) => stream.abort("not served");
  #turn = 0;

  /** Keeps the link while it lives. Streams of a kind that belongs to the other class are aborted. */
  add(linkClass: LinkClass, link: Link): void {
    const links = this.#of(linkClass);
    links.push(link);
    link.onStream((stream) => {
      if (kindRules[stream.kind].linkClass !== linkClass) stream.abort("wrong class of link");
      else this.#handler(stream, link);
    });
    void link.closed.then(() => {
      links.splice(links.indexOf(link), 1);
      if (links.length === 0) this.#tell(linkClass, false);
    });
    if (links.length === 1) this.#tell(linkClass, true);
  }

  forKind(kind: StreamKind): Link | undefined {
    const { linkClass, since = 1 } = kindRules[kind];
    const links = this.#of(linkClass).filter((link) => link.version >= since);
    this.#turn += 1;
    return links[this.#turn % links.length];
  }

  onStream(handler: (stream: LinkStream, link: Link) => void): void {
    this.#handler = handler;
  }

  onChange(listener: (linkClass: LinkClass, up: boolean) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  count(linkClass: LinkClass): number {
    return this.#of(linkClass).length;
  }

  closeAll(why: string): void {
    for (const links of this.#links.values()) for (const link of links) link.close(why);
  }

  #of(linkClass: LinkClass): Link[] {
    return this.#links.get(linkClass) ?? [];
  }

  #tell(linkClass: LinkClass, up: boolean): void {
    for (const listener of this.#listeners) listener(linkClass, up);
  }
}
