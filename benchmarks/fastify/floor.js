// The floor for `benchmarks.webhooks`: Fastify and pg, the signature of the body, one insert for each request, and nothing else.
// No look-up of the integration, no limit, no second secret, no redaction, no log.
const { createHmac, createHash, timingSafeEqual } = require("node:crypto");
const fastify = require("fastify")();
const { Pool } = require("pg");

const [host, port] = process.argv.slice(2);
const pool = new Pool({ host, user: "postgres", database: "postgres", max: 10 });
const INSERT = {
  name: "store",
  text: `INSERT INTO webhooks_webhookevent (integration_id, event_id, delivery_key, event_type, object_key, verified_by, is_batch, headers,
           body, correlation_id, received_at, status, attempts, error_code, error_message, outcome)
         VALUES ($1, $2, $3, $4, $5, 'body', false, $6, $7, $2, now(), 'pending', 0, '', '', '')
         ON CONFLICT (integration_id, delivery_key) DO NOTHING RETURNING id`,
};

fastify.addContentTypeParser("application/json", { parseAs: "buffer" }, (request, body, done) => done(null, body));
fastify.get("/api/webhooks/health", async () => ({ status: "ok" }));
fastify.post("/api/webhooks/:id", async (request, reply) => {
  const expected = Buffer.from("sha256=" + createHmac("sha256", process.env.FLOOR_SECRET).update(request.body).digest("hex"));
  const offered = Buffer.from(request.headers["x-webhook-signature"] || "");
  if (offered.length !== expected.length || !timingSafeEqual(offered, expected)) return reply.code(401).send({ status: "refused" });
  const event = JSON.parse(request.body);
  const id = request.headers["x-webhook-id"];
  const key = createHash("md5").update(id).update(request.body).digest("hex");
  const values = [request.params.id, id, key, event.event_type, `menu_item:${event.data.menu_id}`, { "x-webhook-id": id }, request.body];
  const { rowCount } = await pool.query({ ...INSERT, values });
  return reply.code(rowCount ? 202 : 200).send({ status: rowCount ? "accepted" : "duplicate" });
});
fastify.listen({ host: "127.0.0.1", port: Number(port) });
