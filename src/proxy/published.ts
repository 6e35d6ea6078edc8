/** Which host names the front answers for (RFC 9110 §7.2). */

/**
 * @param names "mail.example.org", or with a port; without one the listening port also fits
 */
export function publishedHosts(
  names: readonly string[],
  listeningPort: () => number,
): (host: string) => boolean {
  const known = new Set(names.map((name) => name.toLowerCase()));
  return (host) => {
    if (known.has(host)) return true;
    const colon = host.lastIndexOf(":");
    return (
      known.has(host.slice(0, Math.max(colon, 0))) &&
      host.slice(colon + 1) === String(listeningPort())
    );
  };
}
