// Addresses of brokers. kafkajs splits host:port at the first colon, so that an IPv6 address in brackets
// goes through it with other characters in place of its colons; the socket's factory takes them back.

const BRACKETED = /^\[([0-9A-Fa-f:.]+)\](?=$|:)/;
const HIDDEN = /^\[([0-9A-Fa-f_.]+)\]$/;

/** host:port as kafkajs may split it. */
export function hideColons(address: string): string {
  return address.replace(BRACKETED, (_, host: string) => `[${host.replaceAll(":", "_")}]`);
}

/** The host that kafkajs has, as it is connected to. */
export function hostOf(host: string): string {
  const [, hidden] = HIDDEN.exec(host) ?? [];
  return hidden === undefined ? host : hidden.replaceAll("_", ":");
}

/** host:port for messages, of what kafkajs has for one. */
export function shownAddress(address: string): string {
  const colon = address.lastIndexOf(":");
  const host = hostOf(address.slice(0, colon));
  return `${host.includes(":") ? `[${host}]` : host}${address.slice(colon)}`;
}
