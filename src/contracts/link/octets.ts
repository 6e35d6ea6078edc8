/** Streams that carry raw octets after their answer: as a Duplex, or joined to a connection. */

import { Duplex } from "node:stream";
import { buffer } from "#base/bytes";
import { Unavailable } from "#base/errors";
import type { LinkStream } from "./link.ts";

/** The stream's windows are the back pressure in both directions. */
export function duplexOn(stream: LinkStream): Duplex {
  let resume: (() => void) | undefined;
  let ended = false;
  const duplex = new Duplex({
    allowHalfOpen: false,
    read() {
      resume?.();
      resume = undefined;
    },
    write(chunk: Buffer, _encoding, done) {
      if (stream.send(chunk)) done();
      else stream.drained().then(() => done(), done);
    },
    final(done) {
      ended = true;
      stream.end();
      done();
    },
    destroy(error, done) {
      if (!ended || error !== null) stream.abort("closed");
      resume?.();
      done(error);
    },
  });
  stream.receive({
    data(chunk) {
      if (duplex.push(chunk)) return;
      return new Promise<void>((resolve) => {
        resume = resolve;
      });
    },
    end: () => void duplex.push(null),
    broken: (why) => void duplex.destroy(new Unavailable(why)),
  });
  return duplex;
}

/**
 * Octets both ways between a stream and a connection; whoever reads slowly slows the other end.
 *
 * @returns resolves when the connection is closed
 */
export function join(stream: LinkStream, socket: Duplex): Promise<void> {
  const over = Promise.withResolvers<void>();
  socket.on("data", (chunk: Uint8Array) => {
    if (stream.send(buffer(chunk))) return;
    socket.pause();
    stream.drained().then(
      () => void socket.resume(),
      () => void socket.destroy(),
    );
  });
  socket.on("end", () => stream.end());
  socket.on("error", () => stream.abort("connection failed"));
  socket.on("close", () => {
    stream.abort("connection closed"); // nothing when both directions have ended
    over.resolve();
  });
  stream.receive({
    data(chunk) {
      if (socket.write(chunk)) return;
      return new Promise<void>((resolve) => {
        const goOn = (): void => {
          socket.off("drain", goOn).off("close", goOn);
          resolve();
        };
        socket.on("drain", goOn).on("close", goOn);
      });
    },
    end: () => void socket.end(),
    broken: () => void socket.destroy(),
  });
  return over.promise;
}
