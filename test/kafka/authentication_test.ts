import { assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import { StopError } from "../../src/log/mod.ts";
import { authenticationOf, renewInTime } from "../../src/kafka/client/authentication.ts";
import { isUnavailable, ShortSessionError, stopErrorOf } from "../../src/kafka/client/errors.ts";
import type { SaslConnection } from "../../src/kafka/client/internals.ts";

const USER = { mechanism: "plain", username: "alice", password: "secret" } as const;
const logger = { debug() {}, error() {} };

/** The error of an authentication whose exchange fails with one. */
function failing(error: Error): Promise<Error> {
  const { authenticationProvider } = authenticationOf(USER);
  const saslAuthenticate = () => Promise.reject(error);
  const provider = authenticationProvider({ host: "[__1]", port: 9, logger, saslAuthenticate });
  return assertRejects(() => provider.authenticate(), Error);
}

Deno.test("a connection that fails while SASL is under way is not a refusal of the user", async () => {
  const closed = Object.assign(new Error("Closed connection"), {
    name: "KafkaJSConnectionClosedError",
  });
  const error = await failing(closed);
  assertEquals([isUnavailable(error), stopErrorOf(error)], [true, null]);
});

Deno.test("a refusal of the user names the broker that refused", async () => {
  const stop = stopErrorOf(await failing(new Error("invalid credentials")));
  assertInstanceOf(stop, StopError);
  assertEquals(
    stop.message,
    "Kafka refuses the user: SASL PLAIN authentication failed: invalid credentials (broker [::1]:9)",
  );
});

Deno.test("a session is renewed before its end, whatever its length, and not more than once a second", () => {
  const renewedAt = (sessionLifetime: number) => {
    const connection = { sessionLifetime, broker: "b:1" } as unknown as SaslConnection;
    renewInTime(connection);
    return sessionLifetime - connection.reauthenticationThreshold;
  };
  assertEquals(renewedAt(3_600_000), 3_590_000);
  assertEquals(renewedAt(10_000), 7000);
  assertEquals(renewedAt(2000), 1400);
  try {
    renewedAt(1999);
    throw new Error("It was taken");
  } catch (error) {
    assertInstanceOf(error, ShortSessionError);
  }
});
