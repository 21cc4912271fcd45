// SASL beside kafkajs's own ways: an error of the connection stays one, and sessions that end are renewed
// in time, whatever their length.

import {
  type AuthenticationProvider,
  type AuthenticationProviderArgs,
  builtInProviders,
  type SaslConnection,
  type SaslExchange,
} from "./internals.ts";
import { isConnectionError, SESSION_MS_MIN, ShortSessionError } from "./errors.ts";

/** How the job shows who it is. */
export interface SaslOptions {
  readonly mechanism: "plain" | "scram-sha-256" | "scram-sha-512";
  readonly username: string;
  readonly password: string;
}

/**
 * kafkajs's own authentication, but for this: when the connection fails meanwhile, the error is that of the
 * connection (kafkajs makes a refusal of every error), and a refusal names the broker.
 */
export function authenticationOf(sasl: SaslOptions): {
  readonly mechanism: string;
  readonly authenticationProvider: (args: AuthenticationProviderArgs) => AuthenticationProvider;
} {
  const provider = builtInProviders[sasl.mechanism](sasl);
  return {
    mechanism: sasl.mechanism,
    authenticationProvider: (args) => {
      let failure: unknown = null;
      const saslAuthenticate = async (exchange: SaslExchange) => {
        try {
          return await args.saslAuthenticate(exchange);
        } catch (error) {
          failure = error;
          throw error;
        }
      };
      const own = provider({ ...args, saslAuthenticate });
      return {
        authenticate: async () => {
          try {
            await own.authenticate();
          } catch (error) {
            if (failure !== null && isConnectionError(failure)) throw failure;
            throw Object.assign(error as Error, { broker: `${args.host}:${args.port}` });
          }
        },
      };
    },
  };
}

/** A session is renewed so long before its end, or at this part of a shorter one. */
const RENEW_MS = 10_000;
const RENEW_PART = 0.3;
/** When the session of a connection is to be renewed, once it has begun. */
export function renewInTime(connection: SaslConnection): void {
  const ms = Number(connection.sessionLifetime);
  if (ms === 0) return;
  if (ms < SESSION_MS_MIN) throw new ShortSessionError(connection.broker, ms);
  connection.reauthenticationThreshold = Math.floor(Math.min(RENEW_MS, RENEW_PART * ms));
}
