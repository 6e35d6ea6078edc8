/** Everything readers ask about a message, made once from its octets. */

import type { Description } from "#model/description";
import { bodyPartsOf, isAttached } from "./body-parts.ts";
import { envelopeOf, fieldText, messageIds } from "./envelope.ts";
import { previewOf } from "./text.ts";
import { readTree } from "./tree.ts";

/** Never throws, whatever the octets; linear in them. */
export function describeMessage(octets: Uint8Array): Description {
  const { header, root } = readTree(octets);
  return {
    envelope: envelopeOf(header),
    references: messageIds(fieldText(header, "references") ?? ""),
    root,
    sizeBytes: octets.length,
    preview: previewOf(octets, root),
    hasAttachment: bodyPartsOf(root).attachments.some(isAttached),
  };
}
