/** Which objects of a target hold which pages, and which pages none holds. */

import type { SourcePiece, SourceSegment } from "#store";
import type { SegmentObject } from "./manifest.ts";

/** A segment in more pieces than these is copied anew, as one. */
const maxPieces = 16;

export class Pieces {
  readonly #bySegment: Map<number, SegmentObject[]>;
  /** Segments that count. */
  #counted: readonly number[] = [];

  constructor(before: readonly SegmentObject[]) {
    this.#bySegment = Map.groupBy(before, ({ segment }) => segment);
  }

  /** What has to be copied so that all of these segments are there. */
  missing(segments: readonly SourceSegment[]): SourcePiece[] {
    this.#counted = segments.map(({ segment }) => segment);
    const missing: SourcePiece[] = [];
    for (const { segment, revision, pages } of segments) {
      const held = this.#bySegment.get(segment) ?? [];
      const covered = held.reduce((sum, one) => sum + one.pages, 0);
      const isSame = held.every((one) => one.revision === revision);
      if (isSame && covered === pages) continue;
      const goesOn = isSame && covered < pages && held.length < maxPieces;
      if (!goesOn) this.#bySegment.delete(segment);
      const first = goesOn ? covered : 0;
      missing.push({ segment, revision, first, count: pages - first });
    }
    return missing;
  }

  /** In order of its segment. */
  add(object: SegmentObject): void {
    const held = this.#bySegment.get(object.segment);
    if (held === undefined) this.#bySegment.set(object.segment, [object]);
    else held.push(object);
  }

  /** As a manifest wants them. */
  inOrder(): readonly SegmentObject[] {
    return this.#counted.flatMap((segment) => this.#bySegment.get(segment) ?? []);
  }
}
