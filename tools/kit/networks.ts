// Networks for processes as if each had a machine of its own: network namespaces (ip-netns(8)) on one bridge, whose
// links can be cut. What is sent over a cut link is lost without a word, as with a cable. Needs root.

const BRIDGE_PREFIX = "sfb";

/** Runs ip; what it says is the error. */
async function ip(args: string): Promise<void> {
  const { success, stderr } = await new Deno.Command("ip", { args: args.split(" ") }).output();
  if (!success) throw new Error(`ip ${args}: ${new TextDecoder().decode(stderr).trim()}`);
}

/** A place of a process, with an address that the others reach. */
export interface Network {
  readonly address: string;
  /** What is to come before a command that runs there. */
  readonly enter: readonly string[];
  /** Cuts it off from everything. */
  cut(): Promise<void>;
  mend(): Promise<void>;
}

export class Networks {
  readonly #names: string[] = [];
  readonly #links: string[] = [];

  private constructor(readonly bridge: string, readonly subnet: string) {}

  /** Why there can be none here; null = there can. */
  static async whyNot(): Promise<string | null> {
    try {
      await (await Networks.open()).remove();
      return null;
    } catch (error) {
      return `networks cannot be made (root and iproute2 needed): ${(error as Error).message}`;
    }
  }

  static async open(): Promise<Networks> {
    const number = crypto.getRandomValues(new Uint8Array(2));
    const subnet = `10.${200 + number[0]! % 50}.${number[1]}`;
    const networks = new Networks(`${BRIDGE_PREFIX}${number.toHex()}`, subnet);
    await ip(`link add ${networks.bridge} type bridge`);
    try {
      await ip(`addr add ${networks.host}/24 dev ${networks.bridge}`);
      await ip(`link set ${networks.bridge} up`);
    } catch (error) {
      await networks.remove();
      throw error;
    }
    return networks;
  }

  /** This machine, as all of them reach it. */
  get host(): string {
    return `${this.subnet}.1`;
  }

  async add(): Promise<Network> {
    const number = this.#names.length + 2;
    const name = `${this.bridge}-${number}`;
    const link = `${this.bridge}v${number}`;
    const address = `${this.subnet}.${number}`;
    await ip(`netns add ${name}`);
    this.#names.push(name);
    await ip(`link add ${link} type veth peer name eth0 netns ${name}`);
    this.#links.push(link);
    await ip(`link set ${link} master ${this.bridge} up`);
    await ip(`-n ${name} addr add ${address}/24 dev eth0`);
    await ip(`-n ${name} link set eth0 up`);
    await ip(`-n ${name} link set lo up`);
    return {
      address,
      enter: ["ip", "netns", "exec", name],
      cut: () => ip(`link set ${link} down`),
      mend: () => ip(`link set ${link} up`),
    };
  }

  /** Cuts the links between all of them, or mends these; each still reaches this machine, and is reached. */
  async part(parted: boolean): Promise<void> {
    for (const link of this.#links) {
      await ip(`link set dev ${link} type bridge_slave isolated ${parted ? "on" : "off"}`);
    }
  }

  async remove(): Promise<void> {
    for (const name of this.#names) await ip(`netns del ${name}`);
    await ip(`link del ${this.bridge}`);
  }
}
