// Connections of the HTTP server, and how long they may do nothing.
//
// Deno.serve keeps a connection for ever, be it silent, in the middle of a head, or idle, and ends as a whole when it
// cannot take one more. So connections are taken here, and each is served by what Deno.serve calls for its own: a
// server of one connection, which can be ended alone. node:http has such deadlines too, but takes twice the CPU for a
// request and speaks no HTTP/2; a proxy of our own in front would copy every byte.

import { getLogger } from "@logtape/logtape";
import type { Clock } from "../types/mod.ts";

const log = getLogger(["stockflow", "http"]);

/** What answers a request; it may cut the connection that the request came on. */
export type Answer = (request: Request, connection: Cuttable) => Response | Promise<Response>;

export interface Cuttable {
  /** Ends the connection at once, without an answer. */
  cut(): void;
}

/** Lets a handler of Deno know when its answer was sent, or cannot be. */
type Info = Pick<Deno.ServeHandlerInfo, "completed">;

export interface ConnectionsOptions {
  readonly hostname: string;
  /** 0 = any free one. */
  readonly port: number;
  /** A connection whose first request has not come after so long is closed. */
  readonly headTimeoutMs: number;
  /** One on which nothing was asked for so long is closed. */
  readonly idleTimeoutMs: number;
  /** More than so many are not kept. */
  readonly connectionsMax: number;
  readonly clock: Clock;
}

/** Why connections were closed, as metrics name it. */
export const CLOSED_FOR = ["head", "idle", "room"] as const;
export type ClosedFor = (typeof CLOSED_FOR)[number];

/** How often deadlines are looked at. */
const LOOK_MS = 250;
/** Of the connections on which nothing happens, how many are closed when there is no room. */
const ROOM_SHARE = 0.05;
/** When it is tried again to take connections, after the process had too many files open. */
const ACCEPT_AGAIN_MS = 50;

/** The part of Deno that serves one connection; it is not public. */
interface OneConnectionServer {
  readonly finished: Promise<void>;
  shutdown(): Promise<void>;
}
type ServeConnection = (
  connection: Deno.Conn,
  /** Of an AbortSignal it takes only this; what it is given cuts the connection. */
  signal: { addEventListener(type: "abort", cut: () => void): void },
  answer: (request: Request, info: Info) => Promise<Response>,
  onError: (error: unknown) => Response,
  onListen: () => void,
) => OneConnectionServer;

function serveConnectionOfDeno(): ServeConnection {
  const { internal } = Deno as unknown as { internal: symbol };
  const internals = (Deno as unknown as Record<symbol, Record<string, unknown>>)[internal];
  const serve = internals?.["serveHttpOnConnection"];
  if (typeof serve === "function") return serve as ServeConnection;
  throw new Error(`Deno ${Deno.version.deno} cannot serve single connections: use Deno 2.9.6`);
}

/** One connection. */
class Connection implements Cuttable {
  #cut: () => void = () => {};
  readonly #server: OneConnectionServer;
  #underWay = 0;
  #requests = 0;
  /** ms of looks since the last answer, or since it was taken. */
  #quietMs = 0;
  isCut = false;

  constructor(
    connection: Deno.Conn,
    readonly options: ConnectionsOptions,
    serve: ServeConnection,
    answerRequest: (request: Request, connection: Cuttable) => Promise<Response>,
  ) {
    const answered = () => {
      this.#underWay--;
      this.#quietMs = 0;
    };
    const answer = (request: Request, { completed }: Info) => {
      this.#underWay++;
      this.#requests++;
      void completed.then(answered, answered);
      return answerRequest(request, this);
    };
    const onError = () => new Response(null, { status: 500 });
    const signal = { addEventListener: (_: "abort", cut: () => void) => void (this.#cut = cut) };
    this.#server = serve(connection, signal, answer, onError, () => {});
  }

  get finished(): Promise<void> {
    return this.#server.finished;
  }

  /** ms since anything was asked or answered; null while something is. */
  get quietMs(): number | null {
    return this.#underWay > 0 ? null : this.#quietMs;
  }

  /** Which deadline is over; looks are counted, not time: while the process stands still, no client can be blamed. */
  look(ms: number): ClosedFor | null {
    if (this.#underWay > 0) return null;
    this.#quietMs += ms;
    const { headTimeoutMs, idleTimeoutMs } = this.options;
    if (this.#requests === 0) return this.#quietMs >= headTimeoutMs ? "head" : null;
    return this.#quietMs >= idleTimeoutMs ? "idle" : null;
  }

  /** Ends it at once; a body that was refused may be on its way for ever. */
  cut(): void {
    this.isCut = true;
    try {
      this.#cut();
    } catch {
      // It has ended already.
    }
  }

  /** Ends it in good order: a request that has come is answered. */
  end(): Promise<void> {
    return this.#server.shutdown().catch(() => {});
  }
}

/** Takes connections and serves them until it is stopped. */
export class Connections {
  readonly #open = new Set<Connection>();
  readonly #listener: Deno.TcpListener;
  readonly #serve = serveConnectionOfDeno();
  readonly #stop = new AbortController();
  /** How many were closed, by reason. */
  readonly closed: Record<ClosedFor, number> = { head: 0, idle: 0, room: 0 };
  readonly #underWay = new Set<Promise<Response>>();

  /** @param answer answers from now on; it may be replaced */
  constructor(readonly options: ConnectionsOptions, public answer: Answer) {
    const { hostname, port } = options;
    this.#listener = Deno.listen({ hostname, port });
    void this.#take();
    void this.#watch();
  }

  get port(): number {
    return this.#listener.addr.port;
  }

  /** Connections that are open. */
  get count(): number {
    return this.#open.size;
  }

  /** Resolves when the requests that are under way now have their answers. */
  async allAnswered(): Promise<void> {
    await Promise.allSettled(this.#underWay);
  }

  /** Listens no more, and resolves when all connections have ended. */
  async stop(): Promise<void> {
    this.#stop.abort();
    this.#listener.close();
    await Promise.all([...this.#open].map((connection) => connection.end()));
  }

  async #take(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      try {
        const connection = await this.#listener.accept();
        if (this.#open.size >= this.options.connectionsMax) this.#makeRoom(ROOM_SHARE);
        this.#add(connection);
      } catch (error) {
        if (this.#stop.signal.aborted) return;
        log.error("Cannot take connections: {reason}", { reason: (error as Error).message });
        this.#makeRoom(ROOM_SHARE);
        await this.options.clock.sleep(ACCEPT_AGAIN_MS, this.#stop.signal);
      }
    }
  }

  #add(connection: Deno.Conn): void {
    const answer = (request: Request, cuttable: Cuttable) => {
      const answered = Promise.resolve(this.answer(request, cuttable));
      this.#underWay.add(answered);
      return answered.finally(() => this.#underWay.delete(answered));
    };
    const served = new Connection(connection, this.options, this.#serve, answer);
    this.#open.add(served);
    // How it ended is its client's affair.
    void served.finished.catch(() => {}).then(() => this.#open.delete(served));
  }

  /**
   * Closes some that were quiet for the longest. Of those that came in one burst it is the last ones: what the first of
   * them asks may be on its way.
   */
  #makeRoom(share: number): void {
    const quiet = [...this.#open].reverse().filter((c) => !c.isCut && c.quietMs !== null)
      .sort((a, b) => b.quietMs! - a.quietMs!);
    for (const connection of quiet.slice(0, Math.ceil(quiet.length * share))) {
      this.#close(connection, "room");
    }
  }

  #close(connection: Connection, why: ClosedFor): void {
    this.closed[why]++;
    connection.cut();
  }

  async #watch(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await this.options.clock.sleep(LOOK_MS, signal);
      for (const connection of this.#open) {
        const why = connection.isCut ? null : connection.look(LOOK_MS);
        if (why) this.#close(connection, why);
      }
    }
  }
}
