// Certificates for tests, which openssl makes in a folder of their own.

export class Certificates {
  private constructor(readonly folder: string) {}

  static async open(): Promise<Certificates> {
    const folder = await Deno.makeTempDir({ prefix: "stockflow-kafka-tls-" });
    Deno.test.afterAll(() => Deno.remove(folder, { recursive: true }));
    return new Certificates(folder);
  }

  file(name: string): string {
    return `${this.folder}/${name}`;
  }

  async openssl(...args: string[]): Promise<void> {
    const { success, stderr } = await new Deno.Command("openssl", { args, cwd: this.folder })
      .output();
    if (!success) throw new Error(`openssl ${args[0]}: ${new TextDecoder().decode(stderr)}`);
  }

  /** An authority of its own, in `<name>.pem`. */
  async makeAuthority(name: string): Promise<void> {
    // deno-fmt-ignore
    await this.openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", `/CN=${name}`,
      "-keyout", `${name}.key`, "-out", `${name}.pem`);
  }

  /** A certificate for 127.0.0.1, signed by an authority. */
  async makeCertificate(name: string, authority: string): Promise<void> {
    // deno-fmt-ignore
    await this.openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", `/CN=${name}`,
      "-keyout", `${name}.key`, "-out", `${name}.csr`);
    await Deno.writeTextFile(this.file("names"), "subjectAltName=IP:127.0.0.1\n");
    // deno-fmt-ignore
    await this.openssl("x509", "-req", "-in", `${name}.csr`, "-CA", `${authority}.pem`, "-CAkey", `${authority}.key`,
      "-CAcreateserial", "-days", "2", "-extfile", "names", "-out", `${name}.pem`);
  }

  /** Key and certificate in one file, as brokers take them: `<name>.store.pem`. */
  async makeStore(name: string): Promise<string> {
    const store = this.file(`${name}.store.pem`);
    const parts = await Promise.all(
      ["key", "pem"].map((end) => Deno.readTextFile(this.file(`${name}.${end}`))),
    );
    await Deno.writeTextFile(store, parts.join(""));
    return store;
  }
}
