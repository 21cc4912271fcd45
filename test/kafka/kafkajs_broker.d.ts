export default class Broker {
  fetch(request: unknown): Promise<{ responses: { partitions: unknown[] }[] }>;
}
