/** A report on TLS goes out by HTTPS POST (RFC 8460 §5.4). */

import { request } from "node:http";
import { Unavailable } from "#base/errors";
import { type HttpsPorts, withHttps } from "#transport/tls-policy";

/** @throws Unavailable where it was not taken: no connection, or an answer that is not 2xx */
export function postReport(url: string, octets: Uint8Array, ports: HttpsPorts): Promise<void> {
  const { hostname, port, pathname, search, protocol } = new URL(url);
  if (protocol !== "https:" || port !== "") {
    return Promise.reject(new Unavailable(`${url} is not reached: only https on port 443 is`));
  }
  const answered = (stream: Parameters<Parameters<typeof withHttps>[2]>[0]): Promise<void> =>
    new Promise((resolve, reject) => {
      const asked = request({
        createConnection: () => stream,
        method: "POST",
        path: `${pathname}${search}`,
        headers: {
          host: hostname,
          "content-type": "application/tlsrpt+gzip",
          "content-length": octets.length,
          connection: "close",
        },
        setHost: false,
      });
      asked.on("error", reject);
      asked.on("response", ({ statusCode = 0 }) => {
        if (statusCode >= 200 && statusCode < 300) resolve();
        else reject(new Unavailable(`${hostname} answers ${statusCode}`));
      });
      asked.end(octets);
    });
  return withHttps(hostname, ports, answered);
}
