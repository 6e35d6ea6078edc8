/**
 * A program for a namespace, in place of the Internet. "mail ADDRESS": an SMTP server at port 25 that
 * prints each mail as a line of JSON. "names ADDRESS ZONE": a name server with this zone (JSON).
 */

import { createSocket } from "node:dgram";
import { createServer } from "node:net";
import { startFakeDns, type Zone } from "./fake-dns.ts";
import { SmtpSink } from "./smtp-sink.ts";

const [what, address = "", zone = "{}"] = process.argv.slice(2);
if (what === "mail") serveMail();
else await serveNames(JSON.parse(zone) as Zone);

function serveMail(): void {
  const sink = new SmtpSink({
    answer(line) {
      // Called before the mail is kept: told of on the next turn.
      if (line === ".") setImmediate(tell);
      return undefined;
    },
  });
  const tell = (): void => {
    const mail = sink.mails.at(-1);
    if (mail === undefined) return;
    const { from, recipients, octets } = mail;
    console.log(JSON.stringify({ from, recipients, text: octets.toString("latin1") }));
  };
  createServer((socket) => sink.serve(socket)).listen(25, address, () => console.log("ready"));
}

/** The server of the kit stays on loopback; questions are carried to it. */
async function serveNames(entries: Zone): Promise<void> {
  const { endpoint } = await startFakeDns(entries);
  const door = createSocket("udp4");
  door.on("message", (question, from) => {
    const carrier = createSocket("udp4");
    carrier.once("message", (answer) => {
      door.send(answer, from.port, from.address);
      carrier.close();
    });
    carrier.send(question, endpoint.port, endpoint.host);
    setTimeout(() => carrier.unref(), 5000).unref();
  });
  door.bind(53, address, () => console.log("ready"));
}
