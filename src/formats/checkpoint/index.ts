/** Signed tree heads in the manner of C2SP: the log signs twice, and a witness cosigns twice. */

export {
  formatHead,
  type Head,
  type HeadFault,
  parseHead,
  parseSignedHead,
  type SignedHead,
} from "./head.ts";
export {
  formatNoteKey,
  type NoteAlgorithm,
  type NoteKey,
  type NoteKeyFault,
  noteKey,
  parseNoteKey,
} from "./keys.ts";
export {
  formatNote,
  formatSignature,
  type Note,
  type NoteFault,
  type NoteSignature,
  parseSignatures,
} from "./note.ts";
export { cosignedAt, cosignHead, isSignedBy, signedBy, signHead } from "./signing.ts";
