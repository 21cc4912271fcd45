import { accessOf, createApi, limitsOf } from "../../src/http/mod.ts";
import { type ParameterKey, Parameters } from "../../src/parameters/mod.ts";
import { type Life, World } from "../engine/world.ts";

export const LIFE = "11111111-2222-4333-8444-555555555555";

export interface Answer {
  readonly status: number;
  readonly type: string | null;
  readonly text: string;
  readonly headers: Headers;
}

/** A header of tests: the request says nothing of the length of its body, as over HTTP/2. */
export const NO_LENGTH = "x-test-no-length";

/** What a client of HTTP/1.1 says of its body, unless a test says it. */
async function tellLength({ headers, method }: Request, body: RequestInit["body"]): Promise<void> {
  if (headers.has(NO_LENGTH)) return;
  if (body === null || body === undefined) {
    if (method === "POST" && !headers.has("content-length")) headers.set("content-length", "0");
    return;
  }
  if (headers.has("content-length") || headers.has("transfer-encoding")) return;
  if (body instanceof ReadableStream) headers.set("transfer-encoding", "chunked");
  else headers.set("content-length", String((await new Response(body).bytes()).length));
}

/** Asks the API of a job in a world. */
export class Client {
  readonly stopping = new AbortController();
  readonly app;

  constructor(readonly world: World, readonly life: Life, token = "") {
    const stopping = this.stopping.signal;
    const params = Parameters.of({
      "http.body.bytes.max": "100000",
      ...world.flags,
      "http.token": token,
    });
    this.app = createApi({
      job: life.job,
      connections: { count: 1, closed: { head: 0, idle: 0, room: 0 } },
      limits: limitsOf(params),
      access: accessOf(params),
      life: LIFE,
      stopping,
    });
  }

  static async open(
    flags: Partial<Record<ParameterKey, string>> = {},
    token = "",
  ): Promise<Client> {
    const world = await World.open(flags);
    return new Client(world, await world.start(), token);
  }

  /** @param host the name and port under which the service is asked */
  async request(
    method: string,
    path: string,
    init: RequestInit = {},
    host = "127.0.0.1:8080",
  ): Promise<Answer> {
    const request = new Request(`http://${host}${path}`, { method, ...init });
    await tellLength(request, init.body);
    const response = await this.world.clock.run(
      Promise.resolve(this.app.fetch(request)),
      `${method} ${path}`,
    );
    const { status, headers } = response;
    // A long answer is made while it is read, in turns with other work.
    const text = await this.#read(response, `the answer of ${method} ${path}`);
    return { status, type: headers.get("content-type"), text, headers };
  }

  async #read(response: Response, what: string): Promise<string> {
    let isRead = false;
    const text = response.text().finally(() => isRead = true);
    await this.world.clock.yield();
    return isRead ? await text : await this.world.clock.run(text, what);
  }

  post(path: string, type: string, body: BodyInit): Promise<Answer> {
    return this.request("POST", path, { body, headers: { "content-type": type } });
  }

  async getJson(path: string) {
    const { status, text } = await this.request("GET", path);
    return { status, body: JSON.parse(text) };
  }

  /** Stops the job; fails unless every record has exactly one outcome. */
  async close(): Promise<void> {
    await this.world.stop(this.life);
    await this.world.assertExactlyOnce();
    this.world.close();
  }
}
