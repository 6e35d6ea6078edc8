/** What messages may hold in memory on their way in, over all servers that share it. */

/**
 * What a piece costs besides its octets: objects and places of their own (some 220 octets of heap, and
 * as much and more beside it). Who sends octet by octet would hold hundreds of times what was counted.
 */
export const pieceBytes = 512;

export interface MessageRoom {
  /** Would so many octets fit now? */
  fits(bytes: number): boolean;
  /** False, and nothing is counted, when they do not fit. */
  hold(bytes: number): boolean;
  release(bytes: number): void;
}

export function messageRoom(maxBytes: number): MessageRoom {
  let heldBytes = 0;
  const fits = (bytes: number): boolean => heldBytes + bytes <= maxBytes;
  return {
    fits,
    hold(bytes) {
      if (!fits(bytes)) return false;
      heldBytes += bytes;
      return true;
    },
    release(bytes) {
      heldBytes -= bytes;
    },
  };
}
