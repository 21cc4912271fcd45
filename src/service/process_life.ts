/** The header of an answer that names the life of the process which gave it. Earlier programs ask for it, too. */
export const LIFE_HEADER = "stockflow-instance";

const WILDCARDS = ["0.0.0.0", "::"];

/** Whether an address stands for all of a machine, and names none that others could ask. */
export function isWildcard(host: string): boolean {
  return WILDCARDS.includes(host);
}

/** One life of a process, from its start to its end. */
export class ProcessLife {
  #address: string | null = null;

  /** @param id a UUID of this life */
  constructor(readonly id: string) {}

  /** Where other processes may ask it, as host:port; null = nowhere. */
  get address(): string | null {
    return this.#address;
  }

  /** It listens there from now on, until it ends. */
  listensAt(host: string, port: number): void {
    this.#address = isWildcard(host) ? null : addressOf(host, port);
  }
}

/** `host:port`, an IPv6 address in brackets. */
export function addressOf(hostname: string, port: number): string {
  return `${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}`;
}
