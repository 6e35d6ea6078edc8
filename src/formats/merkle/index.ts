/** The Merkle tree of a ledger (RFC 6962 §2.1): running head, stored hashes, proofs and their checks. */

export {
  appendLeaf,
  emptyFrontier,
  type Frontier,
  type FrontierFault,
  formatFrontier,
  frontierRoot,
  parseFrontier,
  rootOf,
} from "./frontier.ts";
export { emptyRoot, hashBytes, nodeHash } from "./hash.ts";
export { consistencyProof, inclusionProof } from "./prove.ts";
export { type TileReader, tileRoot, tileWidth } from "./tiles.ts";
export { type TreeHead, verifyConsistency, verifyInclusion } from "./verify.ts";
