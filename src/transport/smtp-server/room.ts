/** What messages may hold in memory on their way in, over all servers that share it. */

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
