import { assertEquals } from "@std/assert";
import { ProcessLife } from "../../src/service/mod.ts";

Deno.test("a process has the address that it listens on, unless that stands for all of a machine", () => {
  const addresses = (["127.0.0.1", "::1", "db-1.example", "0.0.0.0", "::"] as const).map((host) => {
    const life = new ProcessLife("a");
    assertEquals(life.address, null);
    life.listensAt(host, 8080);
    return life.address;
  });
  assertEquals(addresses, ["127.0.0.1:8080", "[::1]:8080", "db-1.example:8080", null, null]);
});
